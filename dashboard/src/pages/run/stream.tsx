/** What a run publishes while it works (tokens, progress, anything), as it comes, with what attempts said that came to nothing crossed out. */
import { type ReactNode, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { address, path } from "../../api/client.ts";
import { follow } from "../../api/run.ts";
import { hear, type Piece, pieces, SILENCE, type StreamEvent } from "../../lib/transcript.ts";
import { clock } from "../../lib/time.ts";
import { Empty } from "../../ui/basics.tsx";

/** Milliseconds between two pictures: tokens may come by the hundred a second. */
const DRAW_MS = 100;
/** Pixels from the end within which a reader is taken to read along. */
const AT_END = 40;

export function StreamView({ run, ended }: { run: string; ended: boolean }): ReactNode {
  const [transcript, setTranscript] = useState(SILENCE);
  const [live, setLive] = useState(false);
  const [open, setOpen] = useState(true);
  useEffect(() => {
    const stop = new AbortController();
    let after: number | undefined;
    let gathered: StreamEvent[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    setTranscript(SILENCE);
    setOpen(true);
    const show = (): void => {
      timer = undefined;
      const fresh = gathered;
      gathered = [];
      setTranscript((old) => hear(old, fresh));
    };
    // A connection that broke is gone on with where it was: nothing is heard twice.
    void follow(() => address(`/v1${path("runs", run, "stream")}`, { after }), stop.signal, setLive, (kind, data, id) => {
      after = Number(id);
      gathered.push({ kind, id: after, data });
      timer ??= setTimeout(show, DRAW_MS);
    }).then(() => setOpen(false));
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [run]);
  const shown = useMemo(() => pieces(transcript), [transcript]);
  const list = useRef<HTMLOListElement>(null);
  const atEnd = useRef(true);
  useLayoutEffect(() => {
    if (atEnd.current && list.current) list.current.scrollTop = list.current.scrollHeight;
  }, [shown]);
  if (shown.length === 0) {
    return open && !ended
      ? <Empty title="Nothing published yet">What the handler publishes comes here as it is said.</Empty>
      : <Empty title="Nothing published">This run has published nothing, or so long ago that it is not kept any more: messages stay for a day after a run's end.</Empty>;
  }
  const said = transcript.said.filter((one) => !one.cut).length;
  return (
    <div className="stack">
      <div className="table-note">
        {open && !ended ? <span className={`live ${live ? "on" : ""}`}><span className="dot" aria-hidden="true" />{live ? "live" : "reconnecting"}</span> : <span className="faint">The run has ended: nothing follows.</span>}
        <span className="faint">{said.toLocaleString("en")} {said === 1 ? "message" : "messages"}</span>
      </div>
      <ol className="stream" aria-label="Published messages" aria-live="off" tabIndex={0} ref={list}
        onScroll={(event) => { const at = event.currentTarget; atEnd.current = at.scrollHeight - at.scrollTop - at.clientHeight < AT_END; }}>
        {transcript.forgotten && <li className="faint">Older messages are not kept.</li>}
        {shown.map((piece) => <Line key={piece.id} piece={piece} />)}
      </ol>
    </div>
  );
}

function Line({ piece }: { piece: Piece }): ReactNode {
  const Text = piece.cut ? "del" : "span";
  return (
    <li data-cut={piece.cut}>
      <div className="stream-who">
        <span className="tag">{piece.topic}</span>
        {piece.step && <span className="faint">{piece.step}{(piece.attempt ?? 1) > 1 || piece.cut ? `, attempt ${piece.attempt}` : ""}</span>}
        {piece.at && <time className="faint" dateTime={piece.at}>{clock(piece.at)}</time>}
      </div>
      <Text className="stream-data">{piece.text}</Text>
      {piece.cut && <div className="warn">Taken back: that attempt came to nothing, and readers were told to forget it.</div>}
    </li>
  );
}
