/**
 * Replay: a handler and a journal become an answer. The algorithm of docs/reference/protocol.md, section 5, in respond mode.
 *
 * It knows nothing of HTTP, keys or the surface: `step.ts` calls `create`, `handler.ts` calls `answer`. Time and chance do not
 * enter, except for the stamps of a step's begin and end. One instance serves one invocation and is then closed for good:
 * whatever an abandoned frame still calls gets promises that never settle.
 */
import { CancelledError, NestedStepError } from "../errors.js";
import type { Answer, Op, TerminalOp } from "../wire/answer.js";
import { toWireError } from "../wire/error.js";
import { digest } from "../wire/ids.js";
import type { Invocation, JournalEntry } from "../wire/invocation.js";
import { RawJson } from "../wire/json.js";
import { INVOCATION_MS_MAX, QUIET_MS } from "../wire/limits.js";
import { awaitingGroups } from "./awaiting.js";
import { type Call, Entry } from "./entry.js";
import { bodyContext, turn } from "./turns.js";

/** What the replay is told from outside. */
export interface ReplayOptions {
  /** Ends the invocation early: the server is gone, or the host stops. */
  readonly signal?: AbortSignal;
  /** How long the invocation may last. */
  readonly timeoutMs?: number;
  /** Told of things that are legal and probably not meant. */
  readonly warn?: (message: string, entry: string) => void;
  /** Stands in for steps' bodies: for tests. Given an entry's id and its own body, it says what to run. */
  readonly stage?: (entry: string, body: StepBody) => StepBody;
}

/** What runs a step and resolves to its written result. */
export type StepBody = NonNullable<Call<unknown>["body"]>;

/** The invocation was ended from outside; there is nobody to answer. */
export class Abandoned extends Error {
  override readonly name = "Abandoned";
}

/** The reason of every `signal`. One for all: making an error costs more than the rest of an invocation's end. */
const ENDED = new Abandoned("the invocation is over");

const never = new Promise<never>(() => undefined);

/** One invocation of one run. */
export class Replay {
  /** `at` of the last delivered outcome. */
  lastDeliveredAt: string;

  readonly #invocation: Invocation;
  readonly #options: ReplayOptions;
  readonly #journal = new Map<string, JournalEntry>();
  readonly #created = new Map<string, Entry>();
  /** Created, settled in the journal, not yet handed over. */
  readonly #ready = new Set<Entry>();
  readonly #byPromise = new WeakMap<object, Entry>();
  readonly #ops: Op[] = [];
  /** What marks the bodies of this invocation. It must not lead to the invocation: asynchronous contexts live long. */
  readonly #marker = {};
  #end: AbortController | undefined;
  readonly #seen: number;
  #cancelSeq = Number.POSITIVE_INFINITY;
  #deliveredSeq = 0;
  #undelivered = 0;
  #running = 0;
  #touched = 0;
  #closed = false;
  #terminal: TerminalOp | undefined;
  #mismatch: Op | undefined;
  #wake: () => void = () => undefined;

  constructor(invocation: Invocation, options: ReplayOptions = {}) {
    this.#invocation = invocation;
    this.#options = options;
    this.lastDeliveredAt = invocation.run.startedAt;
    let seen = 0;
    for (const entry of invocation.journal) {
      if (entry.seq !== undefined) seen = Math.max(seen, entry.seq);
      if (entry.id === "$cancel") this.#cancelSeq = entry.seq ?? Number.POSITIVE_INFINITY;
      else this.#journal.set(entry.id, entry);
    }
    this.#seen = seen;
  }

  /** Fires when the invocation ends for any reason. Made when it is first asked for, since most handlers never do. */
  get signal(): AbortSignal {
    this.#end ??= new AbortController();
    if (this.#closed) this.#end.abort(ENDED);
    return this.#end.signal;
  }

  /** Whether the handler goes over ground that an earlier invocation has covered. */
  get replaying(): boolean {
    if (this.#closed) return true;
    const { seen } = this.#invocation.run;
    if (seen !== undefined) return this.#deliveredSeq <= seen;
    // Without the server's word: what the journal knows was created by code that has run before.
    return this.#created.size < this.#journal.size;
  }

  /** Creates an entry, or finds it in the journal. The promise settles in its turn, or never in this invocation. */
  create<T>(call: Call<T>): Promise<T> {
    if (this.#closed || this.#mismatch !== undefined) return never;
    const body = bodyContext().current() as { of: object; entry: string } | undefined;
    if (body?.of === this.#marker) {
      const refused = Promise.reject(new NestedStepError(call.name, body.entry));
      refused.catch(() => undefined);
      return refused;
    }
    const known = this.#journal.get(call.id);
    const entry = new Entry(call as Call<unknown>, known);
    this.#created.set(call.id, entry);
    this.#byPromise.set(entry.promise, entry);
    this.#undelivered++;
    this.#touched++;
    if (known !== undefined && known.op !== call.op) this.#mismatch = { op: "mismatch", id: call.id, journal: known.op, code: call.op };
    else {
      this.#compareParams(entry);
      if (known?.seq !== undefined) this.#ready.add(entry);
      else if (!entry.pending) this.#begin(entry);
    }
    this.#wake();
    return entry.promise as Promise<T>;
  }

  /** The entry that a promise stands for, if it is the very promise that `create` gave out. */
  entryOf(promise: unknown): Entry | undefined {
    return typeof promise === "object" && promise !== null ? this.#byPromise.get(promise) : undefined;
  }

  /** Runs the handler as far as it goes, and says what to answer. Throws `Abandoned` when it was ended from outside. */
  async answer(handler: () => unknown, write: (result: unknown) => RawJson): Promise<Answer> {
    const { signal } = this.#options;
    const deadline = Date.now() + (this.#options.timeoutMs ?? INVOCATION_MS_MAX);
    const stop = (): void => this.#wake();
    signal?.addEventListener("abort", stop, { once: true });
    this.#start(handler, write);
    try {
      return await this.#loop(deadline);
    } finally {
      signal?.removeEventListener("abort", stop);
      this.#closed = true;
      this.#end?.abort(ENDED);
    }
  }

  #start(handler: () => unknown, write: (result: unknown) => RawJson): void {
    const ended = (terminal: TerminalOp): void => {
      this.#terminal ??= terminal;
      this.#wake();
    };
    Promise.resolve()
      .then(handler)
      .then((result) => ended({ op: "done", ok: write(result) }))
      .catch((error: unknown) => ended({ op: "fail", err: toWireError(error, false) }));
  }

  async #loop(deadline: number): Promise<Answer> {
    let waitedQuietly = false;
    for (;;) {
      await turn();
      if (this.#options.signal?.aborted) throw new Abandoned("the invocation was ended from outside");
      if (this.#mismatch !== undefined) return this.#close([this.#mismatch]);
      if (this.#terminal !== undefined) return this.#close([...this.#ops, this.#terminal]);
      if (this.#deliverNext()) {
        waitedQuietly = false;
        continue;
      }
      if (this.#running > 0) {
        await this.#woken();
      } else if (this.#undelivered > 0) {
        // The last outcome led to nothing visible although several are open: a branch may be in an await of its own.
        if (waitedQuietly || this.#touched > 0 || this.#undelivered < 2) return this.#suspend();
        waitedQuietly = true;
        await this.#woken(QUIET_MS);
      } else if (Date.now() >= deadline) {
        return this.#close([...this.#ops, { op: "fail", err: stuck(this.#options.timeoutMs ?? INVOCATION_MS_MAX) }]);
      } else {
        await this.#woken(deadline - Date.now());
      }
    }
  }

  /** Hands over the one outcome whose turn it is. False if there is none. */
  #deliverNext(): boolean {
    let next: Entry | undefined;
    for (const entry of this.#ready) if (next === undefined || entry.seq < next.seq) next = entry;
    if (this.#cancelSeq < (next?.seq ?? Number.POSITIVE_INFINITY)) {
      // A cancellation has its turn as soon as there is something that it can reject.
      if (this.#undelivered === 0) return false;
      this.#cancel();
      return true;
    }
    if (next === undefined) return false;
    this.#settle(next);
    this.lastDeliveredAt = next.known?.at ?? this.lastDeliveredAt;
    this.#deliveredSeq = next.seq;
    this.#touched = 0;
    const { call, known } = next;
    try {
      next.resolve(call.read(known as JournalEntry));
    } catch (error) {
      next.reject(error);
    }
    return true;
  }

  #cancel(): void {
    const at = this.#invocation.journal.find((entry) => entry.id === "$cancel")?.at;
    this.lastDeliveredAt = at ?? this.lastDeliveredAt;
    this.#deliveredSeq = this.#cancelSeq;
    this.#cancelSeq = Number.POSITIVE_INFINITY;
    this.#touched = 0;
    for (const entry of this.#created.values()) {
      if (entry.delivered) continue;
      this.#settle(entry);
      entry.reject(new CancelledError());
    }
  }

  #settle(entry: Entry): void {
    entry.delivered = true;
    this.#ready.delete(entry);
    this.#undelivered--;
  }

  /** Starts a body, or puts the op into the answer. Nothing begins while a cancellation is on its way: it will be rejected. */
  #begin(entry: Entry): void {
    if (this.#cancelSeq !== Number.POSITIVE_INFINITY) return;
    const { op, id, name, params, body } = entry.call;
    if (body === undefined) this.#ops.push({ op, id, name, params });
    else void this.#runBody(entry, this.#options.stage?.(id, body) ?? body);
  }

  async #runBody(entry: Entry, body: StepBody): Promise<void> {
    const { op, id, name, params, timeoutMs } = entry.call;
    const attempt = entry.known?.run?.attempt ?? 1;
    const startedAt = new Date();
    this.#running++;
    const stop = new AbortController();
    const { signal } = this;
    const stopped = (): void => stop.abort(ENDED);
    signal.addEventListener("abort", stopped, { once: true });
    const facts = {
      attempt,
      idempotencyKey: `${this.#invocation.run.id}/${id}`,
      signal: stop.signal,
      deadline: timeoutMs === undefined ? undefined : new Date(startedAt.getTime() + timeoutMs),
    };
    const result = await limited(timeoutMs, name, stop, () => bodyContext().run({ of: this.#marker, entry: name }, () => body(facts)));
    signal.removeEventListener("abort", stopped);
    this.#running--;
    const times = { attempt, startedAt: startedAt.toISOString(), endedAt: new Date().toISOString() };
    // After the end of the invocation nobody reads the ops any more: the outcome is dropped.
    this.#ops.push({ op, id, name, params, ...result, ...times });
    this.#wake();
  }

  #compareParams(entry: Entry): void {
    const { known, call } = entry;
    if (known?.digest === undefined || this.#options.warn === undefined) return;
    if (known.digest === digest(call.params.text)) return;
    this.#options.warn(
      `the parameters of \`${call.id}\` are not those that the journal was written with; the journal's outcome counts. ` +
        "Give the entry another id if the edit is to matter for runs that are under way.",
      call.id,
    );
  }

  #suspend(): Answer {
    const open = [...this.#created.values()].filter((entry) => !entry.delivered);
    const awaiting = awaitingGroups(open);
    return { ...this.#close(this.#ops), ...(awaiting === undefined ? {} : { awaiting }) };
  }

  #close(ops: Op[]): Answer {
    this.#closed = true;
    return { token: this.#invocation.token, seen: this.#seen, ops };
  }

  #woken(ms?: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(resolve, Math.min(ms, 2 ** 31 - 1));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** The result of a body, or its error, within its time-out. */
async function limited(
  timeoutMs: number | undefined,
  name: string,
  stop: AbortController,
  body: () => Promise<RawJson>,
): Promise<{ ok: RawJson } | { err: ReturnType<typeof toWireError> }> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    if (timeoutMs === undefined) return;
    timer = setTimeout(() => {
      const error = Object.assign(new Error(`step \`${name}\` took longer than its time-out of ${timeoutMs} ms`), { name: "Timeout" });
      reject(error);
      stop.abort(error);
    }, Math.min(timeoutMs, 2 ** 31 - 1));
  });
  try {
    return { ok: await Promise.race([body(), late]) };
  } catch (error) {
    return { err: toWireError(error, true) };
  } finally {
    clearTimeout(timer);
  }
}

function stuck(timeoutMs: number): ReturnType<typeof toWireError> {
  return {
    name: "Stuck",
    message:
      `the handler waited for ${timeoutMs} ms for something that is not an entry of its journal (a request, a timer, a promise that never settles). ` +
      "Put it into step.run, so that it is done once, can be retried and has a time-out.",
    retryable: true,
  };
}
