/** The small parts of every page: statuses, times, ids, copy buttons, empty places, errors. They hold no state of the server. */
import { Check, Copy, TriangleAlert } from "lucide-react";
import { type ReactNode, useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { Refusal } from "../api/client.ts";
import type { RunStatus } from "../api/types.ts";
import { absolute, ms, relative } from "../lib/time.ts";

/** Each status with the words that a new user understands; the word of the API stands in the badge. */
const MEANING: Record<RunStatus, string> = {
  queued: "waits for its delay to be over",
  ready: "is executing, or about to",
  suspended: "waits for something: a time, a signal, an event, a child",
  backoff: "failed and is tried again",
  paused: "is held until somebody resumes it",
  completed: "has ended well",
  failed: "has failed for good",
  cancelled: "was cancelled",
  continued: "ended itself and went on in a new run",
};

/** A status as a shape and a word, never as a colour alone. */
export function Status({ status, quiet = false }: { status: RunStatus; quiet?: boolean }): ReactNode {
  return (
    <span className={`status ${quiet ? "quiet" : ""}`} data-status={status} title={`${status}: ${MEANING[status] ?? ""}`}>
      <svg viewBox="0 0 12 12" aria-hidden="true">{shape(status)}</svg>
      {status}
    </span>
  );
}

/** The shape alone, where there is no room for the word: who uses it says the word to a screen reader. */
export function StatusSign({ status }: { status: RunStatus }): ReactNode {
  return <span className="status quiet sign" data-status={status} title={status}><svg viewBox="0 0 12 12" aria-hidden="true">{shape(status)}</svg></span>;
}

function shape(status: RunStatus): ReactNode {
  switch (status) {
    case "completed": return <path d="M2 6.5 5 9.5 10 3" className="line" />;
    case "failed": return <path d="M3 3l6 6M9 3l-6 6" className="line" />;
    case "ready": return <circle cx="6" cy="6" r="4" />;
    case "suspended": return <circle cx="6" cy="6" r="4" className="line dash" />;
    case "backoff": return <path d="M10 6a4 4 0 1 1-1.3-3M9 .8V3.2H6.6" className="line" />;
    case "paused": return <path d="M4 2.5v7M8 2.5v7" className="line" />;
    case "queued": return <circle cx="6" cy="6" r="3.6" className="line" />;
    case "cancelled": return <path d="M2.5 6h7" className="line" />;
    case "continued": return <path d="M2 6h7M6.5 3 9.5 6l-3 3" className="line" />;
  }
}

// One clock for all relative times, so that they change together and cost one timer.
let now = Date.now();
let skew = 0;
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;
function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  if (timer === undefined) {
    // While nobody looked it stood still.
    now = Date.now();
    timer = setInterval(() => {
      now = Date.now();
      for (const one of listeners) one();
    }, 1_000);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}
/** The server's clock may differ from the browser's, in dev by days: it can be skipped there. */
export function setServerTime(at: string): void {
  skew = ms(at) - Date.now();
}
/** The server's time, each second anew. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now) + skew;
}
/** The server's time right now. */
export const serverNow = (): number => Date.now() + skew;

/** A time as its distance from now, with the whole of it for a pointer and a screen reader. */
export function Time({ at, full = false }: { at: string | null | undefined; full?: boolean }): ReactNode {
  const current = useNow();
  if (!at) return <span className="faint">–</span>;
  const whole = absolute(at);
  return <time dateTime={at} title={`${whole} · ${at}`}>{full ? whole : relative(ms(at), current)}</time>;
}

/** A text in which times are shown as people read them. */
export function Prose({ text }: { text: string }): ReactNode {
  const parts = text.split(/(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z)/);
  return <>{parts.map((part, i) => (i % 2 === 1 ? <ProseTime key={i} at={part} /> : ticked(part, i)))}</>;
}

function ProseTime({ at }: { at: string }): ReactNode {
  const current = useNow();
  return <time dateTime={at} title={at}>{absolute(at).slice(0, 19)} <span className="muted">({relative(ms(at), current)})</span></time>;
}

function ticked(text: string, key: number): ReactNode {
  return <span key={key}>{text.split(/(`[^`]+`)/).map((part, i) => (i % 2 === 1 ? <code key={i}>{part.slice(1, -1)}</code> : part))}</span>;
}

/** Puts a text on the clipboard, and says so for a moment. */
export function CopyButton({ text, label = "Copy", children }: { text: string | (() => string); label?: string; children?: ReactNode }): ReactNode {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), 1_400);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = useCallback(() => {
    const value = typeof text === "function" ? text() : text;
    void put(value).then(setDone);
  }, [text]);
  return (
    <button type="button" className={children ? "button small" : "icon-button small"} onClick={copy} aria-label={children ? undefined : label} title={label}>
      {done ? <Check aria-hidden="true" /> : <Copy aria-hidden="true" />}
      {children && <span>{done ? "Copied" : children}</span>}
      <span className="sr" role="status">{done ? "Copied" : ""}</span>
    </button>
  );
}

async function put(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Over plain HTTP from another machine there is no clipboard: the old way still works.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** An id, short enough for a line: the end tells ids apart, the beginning says of what they are. */
export function Id({ id, short = true }: { id: string; short?: boolean }): ReactNode {
  return <span className="id" title={id}>{short && id.length > 16 ? `${id.slice(0, 4)}…${id.slice(-8)}` : id}</span>;
}

/** A place where something will be, with the way to get it there. */
export function Empty({ title, children, command, icon }: { title: string; children?: ReactNode; command?: string; icon?: ReactNode }): ReactNode {
  return (
    <div className="empty">
      {icon ?? <Stitches />}
      <h2>{title}</h2>
      {children && <p>{children}</p>}
      {command && <Command text={command} />}
    </div>
  );
}

function Stitches(): ReactNode {
  return (
    <svg className="stitches" viewBox="0 0 120 24" aria-hidden="true">
      <path d="M4 12h16M28 12h16M52 12h16M76 12h16M100 12h16" />
    </svg>
  );
}

/** A command to type, with its copy button. */
export function Command({ text }: { text: string }): ReactNode {
  return (
    <div className="command">
      <pre tabIndex={0}><code>{text}</code></pre>
      <CopyButton text={text} label="Copy the command" />
    </div>
  );
}

/** What the server refused, with the fields that it names. */
export function Trouble({ error, retry }: { error: unknown; retry?: () => void }): ReactNode {
  const refusal = error instanceof Refusal ? error : undefined;
  const message = error instanceof Error ? error.message : String(error);
  // The detail of a refusal often has what its only field says.
  const fields = refusal?.fields.filter((field) => !message.includes(field.detail)) ?? [];
  return (
    <div className="trouble" role="alert">
      <TriangleAlert aria-hidden="true" />
      <div>
        <p><Prose text={capital(message)} /></p>
        {fields.length > 0 && (
          <ul>{fields.map((field, i) => <li key={i}><code>{field.pointer ?? field.parameter}</code> {field.detail}</li>)}</ul>
        )}
        {refusal && <p className="faint">{refusal.status > 0 ? `${refusal.status} · ` : ""}{refusal.code}</p>}
      </div>
      {retry && <button type="button" className="button small" onClick={retry}>Try again</button>}
    </div>
  );
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** A line that stands where text will come, as high as the text. */
export function Waiting({ lines = 3, label = "Loading" }: { lines?: number; label?: string }): ReactNode {
  return <div className="skeleton" role="status" aria-label={label}>{Array.from({ length: lines }, (_, i) => <span key={i} style={{ width: `${88 - ((i * 23) % 40)}%` }} />)}</div>;
}
