/**
 * The timeline: every entry against real time. Work is a solid bar, waiting is a dashed thread, failed attempts are marked; a click shows the
 * entry. Long journals are virtualised. For a screen reader it is a list whose items say in words what the bars show.
 */
import { useVirtualizer } from "@tanstack/react-virtual";
import { CircleDot, Clock3, Copy, CornerDownRight, Database, Flag, Globe, Hourglass, Mail, Moon, Octagon, Radio, RotateCcw, Send, Zap } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import type { Attempt, Entry, Run } from "../../api/types.ts";
import { absolute, clock, ms, span } from "../../lib/time.ts";
import { extent, folded, linear, type Row, rows as rowsOf, type Scale, sought, type Stretch } from "../../lib/waterfall.ts";
import { Tabs } from "../../ui/controls.tsx";

const ROW = 32;
/** So many entries are seen at a glance. */
const FEW = 8;

/** Which entries somebody looks for. */
export interface Find {
  text: string;
  trouble: boolean;
}

export function Timeline({ run, entries, invocations, now, scale: kind, onScale, chosen, onChoose, find, onFind, over }: { over: boolean; find: Find; onFind: (find: Find) => void; run: Run; entries: readonly Entry[]; invocations: readonly Attempt[]; now: number; scale: "real" | "folded"; onScale: (scale: "real" | "folded") => void; chosen: string | undefined; onChoose: (id: string) => void }): ReactNode {
  const all = useMemo(() => rowsOf(entries, now), [entries, now]);
  const rows = useMemo(() => sought(all, find.text, find.trouble), [all, find.text, find.trouble]);
  const frame = useRef<HTMLDivElement>(null);
  const [ticks, setTicks] = useState(6);
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setTicks(Math.max(2, Math.floor((element.clientWidth - 260) / 90))));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const [begin, end] = extent(run, entries, now);
  const scale = kind === "folded" ? folded(begin, end, all, ticks) : linear(begin, end, ticks);
  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => frame.current, estimateSize: () => ROW, overscan: 20 });
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = event.key === "j" || event.key === "ArrowDown" ? 1 : event.key === "k" || event.key === "ArrowUp" ? -1 : 0;
    if (step === 0 || event.metaKey || event.ctrlKey || rows.length === 0) return;
    event.preventDefault();
    const focused = Number((document.activeElement as HTMLElement | null)?.dataset.index ?? "-1");
    const next = Math.max(0, Math.min(rows.length - 1, focused + step));
    virtual.scrollToIndex(next);
    requestAnimationFrame(() => frame.current?.querySelector<HTMLElement>(`[data-index="${next}"]`)?.focus({ preventScroll: true }));
  };
  return (
    <div className="timeline">
      <div className="timeline-bar">
        <h2>Timeline</h2>
        <span className="faint" aria-live="polite">{rows.length < all.length && `${rows.length} of `}{all.length} {all.length === 1 ? "entry" : "entries"} in {span(end - begin)}</span>
        <span className="grow" />
        {(all.length >= FEW || find.text !== "" || find.trouble) && (
          <>
            <input className="timeline-find" type="search" aria-label="Find entries by id, kind or error" placeholder="Find entries …" value={find.text} onChange={(event) => onFind({ ...find, text: event.target.value })} />
            <button type="button" className="chip" aria-pressed={find.trouble} title="Entries that failed at least once, timed out, or are still open" onClick={() => onFind({ ...find, trouble: !find.trouble })}>Trouble</button>
          </>
        )}
        <Tabs label="Scale of time" value={kind} onChange={onScale} tabs={[["real", "Real time"], ["folded", "Fold waits"]]} />
      </div>
      <div className="timeline-rows" ref={frame} onKeyDown={onKeyDown}>
        <Axis scale={scale} begin={begin} />
        {invocations.length > 0 && <Invocations attempts={invocations} scale={scale} begin={begin} end={end} />}
        <ol style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => <Line key={item.key} row={rows[item.index]!} index={item.index} top={item.start} scale={scale} over={over} chosen={rows[item.index]!.entry.id === chosen} onChoose={onChoose} />)}
        </ol>
        {rows.length === 0 && all.length > 0 && <p className="timeline-empty faint">No entry is what is looked for. <button type="button" className="link" onClick={() => onFind({ text: "", trouble: false })}>Show all</button></p>}
        {all.length === 0 && <p className="timeline-empty faint">{run.status === "queued" || run.status === "ready" ? "The handler has not made an entry yet." : "The handler made no entries: it did everything in one go, or never got to run."}</p>}
      </div>
    </div>
  );
}

function Axis({ scale, begin }: { scale: Scale; begin: number }): ReactNode {
  return (
    <div className="axis" aria-hidden="true">
      <span className="line-label faint" title={absolute(begin)}>{clock(begin).slice(0, 8)}</span>
      <div className="lane">{scale.ticks.map((tick) => tick.place <= 0.97 && <span key={tick.place} className="tick" style={{ insetInlineStart: `${tick.place * 100}%` }}>{tick.label}</span>)}</div>
      <span />
    </div>
  );
}

/** Calls of the handler that failed: they belong to no entry, and are what people look for when nothing moves. */
function Invocations({ attempts, scale, begin, end }: { attempts: readonly Attempt[]; scale: Scale; begin: number; end: number }): ReactNode {
  const last = attempts.at(-1)!;
  return (
    <div className="line invocations">
      <span className="line-label"><RotateCcw aria-hidden="true" /><span className="ellipsis">{attempts.length} failed {attempts.length === 1 ? "call" : "calls"}</span></span>
      <div className="lane">
        {attempts.map((attempt, i) => <Bar key={i} stretch={{ from: Math.max(begin, ms(attempt.startedAt)), to: Math.min(end, ms(attempt.endedAt)), work: "failed", title: `call ${attempt.number} failed: ${attempt.error.message ?? attempt.error.name ?? ""}` }} scale={scale} />)}
      </div>
      <span className="line-end bad ellipsis" title={last.error.message}>{last.error.name}</span>
    </div>
  );
}

function Line({ row, index, top, scale, over, chosen, onChoose }: { row: Row; index: number; top: number; scale: Scale; over: boolean; chosen: boolean; onChoose: (id: string) => void }): ReactNode {
  const { entry } = row;
  const end = row.stretches.at(-1);
  const total = entry.copied ? "copied" : entry.settledAt === null ? (over ? "left open" : "open") : span(ms(entry.settledAt) - ms(entry.createdAt));
  const outcome = entry.err ? "failed" : entry.timeout ? "timed out" : entry.settledAt === null ? (over ? "left open when the run ended" : entry.status) : "done";
  return (
    <li style={{ transform: `translateY(${top}px)` }}>
      <button type="button" className="line" data-index={index} data-chosen={chosen} data-outcome={outcome} aria-pressed={chosen} onClick={() => onChoose(entry.id)}>
        <span className="line-label" title={entry.id}><OpIcon op={entry.op} undo={entry.id.startsWith("$undo/")} /><span className="sr">{entry.op} </span><span className="line-name">{row.scope && <span className="faint ellipsis">{row.scope}/</span>}<span className="own ellipsis">{row.label}</span></span></span>
        <span className="lane">{row.stretches.map((stretch, i) => <Bar key={i} stretch={stretch} scale={scale} />)}</span>
        <span className={`line-end ${entry.err ? "bad" : entry.timeout ? "warn" : end?.open ? "open" : ""}`}>{entry.err ? "failed" : entry.timeout ? "timed out" : total}{entry.failures > 0 && !entry.err && <sup title={`${entry.failures} failed ${entry.failures === 1 ? "attempt" : "attempts"}`}>{entry.failures}</sup>}</span>
        <span className="sr"> {outcome}, {row.stretches.map((one) => one.title).join("; ")}</span>
      </button>
    </li>
  );
}

function Bar({ stretch, scale }: { stretch: Stretch; scale: Scale }): ReactNode {
  const from = scale.at(stretch.from);
  const to = scale.at(stretch.to);
  return <span className="bar" data-work={stretch.work} data-open={stretch.open ?? false} title={stretch.title} style={{ insetInlineStart: `${from * 100}%`, inlineSize: `max(${(to - from) * 100}%, 3px)` }} />;
}

export function OpIcon({ op, undo = false }: { op: string; undo?: boolean }): ReactNode {
  const title = undo ? "compensation" : op;
  const icon = undo ? <RotateCcw /> : OPS[op] ?? <CircleDot />;
  return <span className="op" title={title} data-op={undo ? "undo" : op} aria-hidden="true">{icon}</span>;
}

const OPS: Record<string, ReactNode> = {
  step: <Zap />, sleep: <Moon />, waitSignal: <Radio />, waitEvent: <Hourglass />, invoke: <CornerDownRight />, send: <Send />, state: <Database />, marker: <Flag />, cancel: <Octagon />, fetch: <Globe />, update: <Mail />, copied: <Copy />, status: <Clock3 />,
};
