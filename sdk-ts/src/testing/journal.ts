/**
 * The journal of a test run: what the server would hold, with the same rules. An entry settles once; settlements are numbered.
 */
import { durationMs } from "../duration.js";
import type { RetryOptions } from "../function.js";
import type { Json } from "../types.js";
import type { WireError } from "../wire/error.js";
import { digest } from "../wire/ids.js";
import type { JournalEntry } from "../wire/invocation.js";

/** What an entry came to. */
export type Outcome = { ok: Json } | { err: WireError } | { timeout: true };

/** An entry, as tests see it. */
export interface TestEntry {
  readonly id: string;
  readonly op: string;
  readonly name: string;
  readonly params: any;
  /** `open` until it settles. */
  status: "open" | "ok" | "err" | "timeout";
  /** The ordinal of its settlement. */
  seq?: number;
  /** The value, if it settled with one. */
  value?: Json;
  /** The error, if it settled with one; of an open step, the last attempt's. */
  error?: WireError;
  /** How many attempts of the step, or of the call, have ended. */
  attempts: number;
  /** When something happens by itself, in milliseconds since 1970: a sleep is over, a wait times out, a step is tried again. */
  dueAt?: number;
  /** When it settled. */
  at?: string;
  /** What a call has come to that settles when it is due. */
  outcome?: Outcome;
  /** What the last heartbeat of a step said. */
  details?: Json;
  /** When a step fails whatever its attempts, in milliseconds since 1970. */
  closeAt?: number;
}

const DEFAULT_RETRY = { attempts: 5, initialInterval: "1s", factor: 2, maxInterval: "1h" } as const;

/** Milliseconds until the next attempt, or null if there is none. There is no jitter in tests. */
export function nextAttemptMs(retry: RetryOptions | undefined, failed: number, error: WireError): number | null {
  const policy = { ...DEFAULT_RETRY, ...retry };
  if (error.retryable === false || retry?.nonRetryable?.includes(error.name) || failed >= policy.attempts) return null;
  const pause = Math.min(durationMs(policy.initialInterval) * policy.factor ** (failed - 1), durationMs(policy.maxInterval));
  return Math.max(pause, error.retryAfter === undefined ? 0 : durationMs(error.retryAfter));
}

/** The entries of one run. */
export class Journal {
  readonly entries = new Map<string, TestEntry>();
  readonly #listeners = new Set<() => void>();
  #seq = 0;

  /** The ordinal of the last settlement. */
  get seq(): number {
    return this.#seq;
  }

  /** Adds an entry that an op created, or finds it. */
  create(id: string, op: string, name: string, params: unknown): TestEntry {
    let entry = this.entries.get(id);
    if (entry === undefined) {
      entry = { id, op, name, params, status: "open", attempts: 0 };
      this.entries.set(id, entry);
    }
    return entry;
  }

  /** Settles an entry. The first outcome wins; false if it had one. */
  settle(entry: TestEntry, outcome: Outcome, nowMs: number): boolean {
    if (entry.status !== "open") return false;
    delete entry.dueAt;
    delete entry.error;
    entry.seq = ++this.#seq;
    entry.at = new Date(nowMs).toISOString();
    if ("ok" in outcome) [entry.status, entry.value] = ["ok", outcome.ok];
    else if ("err" in outcome) [entry.status, entry.error] = ["err", outcome.err];
    else entry.status = "timeout";
    for (const tell of this.#listeners) tell();
    return true;
  }

  /** Resolves when something has settled after `seen`, after `ms` of real time, or when nobody waits any more. */
  async news(seen: number, ms: number, signal: AbortSignal): Promise<void> {
    if (this.#seq > seen || signal.aborted) return;
    let end = (): void => undefined;
    const news = new Promise<void>((resolve) => {
      end = resolve;
    });
    const timer = setTimeout(end, ms);
    this.#listeners.add(end);
    signal.addEventListener("abort", end, { once: true });
    await news;
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    this.#listeners.delete(end);
  }

  /** The open entry that is due first. */
  nextDue(): TestEntry | undefined {
    let next: TestEntry | undefined;
    for (const entry of this.entries.values()) {
      if (entry.dueAt !== undefined && (next?.dueAt === undefined || entry.dueAt < next.dueAt)) next = entry;
    }
    return next;
  }

  /** The journal as an invocation carries it: settled entries by `seq`, then open ones. */
  wire(nowMs: number): JournalEntry[] {
    const all = [...this.entries.values()];
    const settled = all.filter((e) => e.status !== "open").sort((a, b) => (a.seq ?? 0) - (b.seq ?? 0));
    return [...settled, ...all.filter((e) => e.status === "open")].map((e) => wireEntry(e, nowMs));
  }
}

function wireEntry(entry: TestEntry, nowMs: number): JournalEntry {
  const { id, op, name } = entry;
  const head = { id, op, name, ...(entry.id === "$cancel" || entry.id === "$failure" ? {} : { digest: digest(JSON.stringify(entry.params)) }) };
  const settled = { ...head, seq: entry.seq ?? 0, at: entry.at ?? "" };
  if (entry.status === "ok") return { ...settled, ok: entry.value ?? null };
  if (entry.status === "err") return { ...settled, err: entry.error as WireError };
  if (entry.status === "timeout") return { ...settled, timeout: true };
  if (op === "step" && (entry.dueAt === undefined || entry.dueAt <= nowMs)) {
    return { ...head, run: { attempt: entry.attempts + 1, ...(entry.error === undefined ? {} : { error: entry.error }), ...(entry.details === undefined ? {} : { details: entry.details }) } };
  }
  return { ...head, pending: true };
}

/** What a step fails with whose attempts took too long together. */
export function tooLate({ id, error }: TestEntry): WireError {
  return { name: "Timeout", message: `step \`${id}\` took longer than its \`scheduleToClose\``, data: { lastError: (error ?? null) as unknown as Json }, retryable: false };
}
