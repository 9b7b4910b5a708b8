/** What a run publishes while it works (tokens, progress, anything), as it comes. */
import { type ReactNode, useEffect, useState } from "react";
import { path } from "../../api/client.ts";
import { follow } from "../../api/run.ts";
import type { Json } from "../../api/types.ts";
import { line } from "../../lib/digits.ts";
import { Empty } from "../../ui/basics.tsx";

/** Messages that are shown; older ones leave. */
const SHOWN = 300;

interface Message {
  n: number;
  kind: string;
  topic: string;
  step: string | null;
  data: Json;
}

export function StreamView({ run }: { run: string }): ReactNode {
  const [messages, setMessages] = useState<readonly Message[]>([]);
  const [live, setLive] = useState(false);
  useEffect(() => {
    const stop = new AbortController();
    let n = 0;
    let gathered: Message[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    setMessages([]);
    // Tokens may come by the hundred a second; the page is drawn ten times.
    const show = (): void => {
      timer = undefined;
      const fresh = gathered;
      gathered = [];
      setMessages((old) => [...old, ...fresh].slice(-SHOWN));
    };
    void follow(`/v1${path("runs", run, "stream")}`, stop.signal, setLive, (kind, data) => {
      const said = (typeof data === "object" && data !== null && !Array.isArray(data) ? data : {}) as { topic?: string; step?: string | null; data?: Json };
      gathered.push({ n: ++n, kind, topic: said.topic ?? kind, step: said.step ?? null, data: said.data ?? null });
      timer ??= setTimeout(show, 100);
    });
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [run]);
  if (messages.length === 0) return <Empty title="Nothing published">{live ? "What the handler publishes comes here as it is said." : "This run has published nothing, or nothing that is kept."}</Empty>;
  return (
    <ol className="stream" aria-label="Published messages" aria-live="off">
      {messages.map((message) => <li key={message.n}><span className="tag">{message.topic}</span>{message.step && <span className="faint">{message.step} </span>}<span className="stream-data">{typeof message.data === "string" ? message.data : line(message.data)}</span></li>)}
    </ol>
  );
}
