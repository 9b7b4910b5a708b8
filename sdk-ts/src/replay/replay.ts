/**
 * Replay: a handler and a journal become an answer. The algorithm of docs/reference/protocol.md, sections 5 and 9.
 *
 * It knows nothing of HTTP, keys or the surface: `steps.ts` calls `create`, `handler.ts` calls `answer`, reports go through a port. Order is
 * decided in `ledger.ts`, work is done in `bodies.ts`, what was done is kept in `reports.ts`; here they meet. One instance serves one
 * invocation and is then closed for good: whatever an abandoned frame still calls gets promises that never settle.
 *
 * A handler that has ended is sealed. The end goes out at once, or after the children that hold it back, or, when the run has failed for
 * good or was cancelled, after what was done is undone.
 */
import type { Labels } from "../labels.js";
import { CancelledError, NestedStepError } from "../errors.js";
import type { Json } from "../types.js";
import type { Answer, MismatchOp, Op, ReplyOp, ReportOp, TerminalOp } from "../wire/answer.js";
import type { CheckpointReply } from "../wire/checkpoint.js";
import { toWireError, type WireError } from "../wire/error.js";
import { digest } from "../wire/ids.js";
import type { Invocation, JournalEntry } from "../wire/invocation.js";
import { type RawJson, writeNote } from "../wire/json.js";
import { BODY_RESERVE_FACTOR, BODY_RESERVE_MS, INVOCATION_MS_MAX, QUIET_MS, UNDO_QUIET_MS } from "../wire/limits.js";
import { awaitingGroups } from "./awaiting.js";
import { Bodies, type StepBody } from "./bodies.js";
import { type Checkpointer, Stale } from "./checkpointer.js";
import type { Call, Entry } from "./entry.js";
import { Ledger } from "./ledger.js";
import { maySettleBy } from "./linger.js";
import { publishOp, type Said } from "./published.js";
import { Reports } from "./reports.js";
import { turn } from "./turns.js";
import { UNDO, undoCall } from "./undo.js";

/** What the replay is told from outside. */
export interface ReplayOptions {
  /** Ends the invocation early: the server is gone, or the host stops. */
  readonly signal?: AbortSignal;
  /** How long the invocation may last. */
  readonly timeoutMs?: number;
  /** Takes reports while the handler works; without it everything goes out with the answer. */
  readonly checkpointer?: Checkpointer;
  /** Fetches an entry whose outcome the journal only refers to. */
  readonly fetchEntry?: (id: string) => Promise<JournalEntry>;
  /** Told of things that are legal and probably not meant. */
  readonly warn?: (message: string, entry: string) => void;
  /** Stands in for steps' bodies: for tests. Given an entry's id and its own body, it says what to run. */
  readonly stage?: (entry: string, body: StepBody) => StepBody;
}

/** The invocation was ended from outside; there is nobody to answer. */
export class Abandoned extends Error {
  override readonly name = "Abandoned";
}

/** The reason of every `signal`. One for all: making an error costs more than the rest of an invocation's end. */
const ENDED = new Abandoned("the invocation is over");

const never = new Promise<never>(() => undefined);

/** One invocation of one run. */
export class Replay {
  readonly #invocation: Invocation;
  readonly #options: ReplayOptions;
  readonly #ledger: Ledger;
  readonly #bodies = new Bodies();
  readonly #reports: Reports;
  readonly #lasts: number;
  readonly #deadline: number;
  #end: AbortController | undefined;
  /** Steps that may not begin in this invocation any more. */
  #heldBack = 0;
  /** What is to begin if a shield opens before the cancellation has had its turn. */
  #withheld: (() => void)[] = [];
  #labels: Labels;
  #touched = 0;
  #closed = false;
  #terminal: TerminalOp | undefined;
  /** The handler is over: what it still calls never settles. */
  #sealed = false;
  /** Steps whose undoing has begun in this invocation, once it is time for that. */
  #undone: Set<string> | undefined;
  #undo: Entry | undefined;
  #quietUntil: number | undefined;
  readonly #patches = new Map<string, boolean>();
  #mismatch: MismatchOp | undefined;
  #fetching = false;
  /** Why an outcome could not be fetched. */
  #unfetched: Error | undefined;
  #wake: () => void = () => undefined;

  constructor(invocation: Invocation, options: ReplayOptions = {}) {
    this.#invocation = invocation;
    this.#labels = invocation.labels;
    this.#options = options;
    this.#ledger = new Ledger(invocation);
    this.#lasts = options.timeoutMs ?? INVOCATION_MS_MAX;
    this.#deadline = Date.now() + this.#lasts;
    this.#reports = new Reports(options.checkpointer, (reply, sent) => this.#take(reply, sent), () => this.#wake());
  }

  /** `at` of the last delivered outcome. */
  get lastDeliveredAt(): string {
    return this.#ledger.lastDeliveredAt;
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
    // Without the server's word: what the journal knew was created by code that has run before.
    return seen === undefined ? this.#ledger.behind : this.#ledger.deliveredSeq <= seen;
  }

  /** Creates an entry, or finds it in the journal. The promise settles in its turn, or never in this invocation. */
  create<T>(call: Call<T>): Promise<T> {
    if (this.#over) return never;
    const { caller } = this.#bodies;
    if (caller !== undefined) {
      const refused = Promise.reject(new NestedStepError(call.name, caller));
      refused.catch(() => undefined);
      return refused;
    }
    return this.#create(call as Call<unknown>).promise as Promise<T>;
  }

  /** Creates an entry that settles at once and that nobody waits for. Throws `NestedStepError` in a step's body. */
  note(call: Call<void>): void {
    const { caller } = this.#bodies;
    if (caller !== undefined) throw new NestedStepError(call.name, caller);
    if (this.#over) return;
    const { op, id, params } = call;
    const { known } = this.#ledger.createSilent(call as Call<unknown>);
    this.#touched++;
    if (known === undefined) this.#reports.add({ op, id, ...(op === "marker" ? { name: call.name } : {}), params });
    else if (known.op !== op) this.#mismatch = { op: "mismatch", id, journal: known.op, code: op };
    else this.#reports.repliedBefore();
    this.#wake();
  }

  /** What the run shows of itself from now on; sent when everything that is known has been delivered. */
  setStatus(value: RawJson): void {
    if (this.#over) return;
    this.#reports.setStatus(value);
    this.#wake();
  }

  /** Publishes what the handler says outside of bodies. What an earlier invocation has said there is not said again. */
  publish(id: string, index: number, said: Said): void {
    const { caller } = this.#bodies;
    if (caller !== undefined) throw new NestedStepError("run.publish", caller);
    if (this.#over || index < (this.#invocation.run.published?.[id] ?? 0)) return;
    this.#reports.publish(publishOp(id, undefined, said, index));
    this.#touched++;
    this.#wake();
  }

  /** What the run is found by: as it was started, with what the handler has said since. */
  get labels(): Labels {
    return this.#labels;
  }

  /** What the run is found by from now on; sent as a status is. Throws `NestedStepError` in a step's body, which no replay runs again. */
  setLabels(name: string, labels: Labels): void {
    const { caller } = this.#bodies;
    if (caller !== undefined) throw new NestedStepError(name, caller);
    if (this.#over) return;
    this.#labels = labels;
    this.#reports.setLabels({ op: "labels", tags: labels.tags, attributes: labels.attributes });
    this.#wake();
  }

  /** Replies to an update. The server takes the first reply. */
  reply(op: ReplyOp): void {
    if (this.#over) return;
    this.#reports.reply(op);
    this.#touched++;
    this.#wake();
  }

  /** Ends the run, to go on in a new one. What the handler still calls never settles. */
  continueAsNew(input: RawJson): Promise<never> {
    const { caller } = this.#bodies;
    if (caller !== undefined) return Promise.reject(new NestedStepError("continueAsNew", caller));
    if (!this.#over) {
      this.#terminal ??= { op: "continueAsNew", input };
      this.#seal();
      this.#wake();
    }
    return never;
  }

  /** Whether the code goes the new way: the journal says so, or no invocation has been here before. One answer in each invocation. */
  patched(patch: Call<void>): boolean {
    const { caller } = this.#bodies;
    if (caller !== undefined) throw new NestedStepError(patch.name, caller);
    const before = this.#patches.get(patch.id);
    if (before !== undefined || this.#over) return before ?? false;
    const goes = this.#ledger.known(patch.id) !== undefined || this.#ledger.onNewGround;
    this.#patches.set(patch.id, goes);
    if (goes) this.note(patch);
    return goes;
  }

  /** Opens a section that a cancellation waits for. What it gives is called when the section has ended. */
  shield(): () => void {
    this.#ledger.shields++;
    // The section may wait for what was created before it.
    for (const begin of this.#withheld.splice(0)) begin();
    return () => {
      this.#ledger.shields--;
      this.#wake();
    };
  }

  /** How many entries the code has created. */
  get entriesCreated(): number {
    return this.#ledger.size;
  }

  /** The entry that a promise stands for, if it is the very promise that `create` gave out. */
  entryOf(promise: unknown): Entry | undefined {
    return typeof promise === "object" && promise !== null ? this.#ledger.entryOf(promise) : undefined;
  }

  /** Runs the handler as far as it goes, and says what to answer. Throws `Abandoned` when it was ended from outside, `Stale` when another invocation has taken over. */
  async answer(handler: () => unknown, write: (result: unknown) => RawJson): Promise<Answer> {
    const { signal } = this.#options;
    const stop = (): void => this.#wake();
    signal?.addEventListener("abort", stop, { once: true });
    this.#start(handler, write);
    try {
      return await this.#loop();
    } finally {
      signal?.removeEventListener("abort", stop);
      this.#closed = true;
      this.#reports.close();
      this.#bodies.stopAll(ENDED);
      this.#end?.abort(ENDED);
    }
  }

  get #over(): boolean {
    return this.#closed || this.#sealed || this.#mismatch !== undefined;
  }

  #create(call: Call<unknown>): Entry {
    const entry = this.#ledger.create(call);
    const { known } = entry;
    this.#touched++;
    // What the journal has was reported by an earlier invocation, and with it all replies that came before.
    if (known !== undefined) this.#reports.repliedBefore();
    if (known !== undefined && known.op !== call.op) this.#mismatch = { op: "mismatch", id: call.id, journal: known.op, code: call.op };
    else {
      this.#compareParams(entry);
      if (known?.seq === undefined && !entry.pending) this.#begin(entry, known?.run?.attempt ?? 1, known?.run?.details);
    }
    this.#wake();
    return entry;
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

  async #loop(): Promise<Answer> {
    const reports = this.#reports;
    let waitedQuietly = false;
    let lingersUntil: number | undefined;
    for (;;) {
      await turn();
      if (this.#options.signal?.aborted) throw new Abandoned("the invocation was ended from outside");
      if (reports.stale) throw new Stale("another invocation has taken over");
      const over = this.#mismatch ?? this.#ending();
      if (over === undefined && this.#givesTime()) {
        await this.#woken(UNDO_QUIET_MS);
        continue;
      }
      if (over === undefined && (this.#deliverNext() || this.#runAgain())) {
        waitedQuietly = false;
        lingersUntil = undefined;
        continue;
      }
      // What is in flight when the handler ends must be known before the answer, or the end could overtake it.
      if (over !== undefined) {
        if (reports.busy) await this.#woken();
        else return this.#close(over.op === "mismatch" ? [over] : [...reports.unconfirmed, over]);
      } else if (reports.flush(this.#ledger.seen) || this.#fetching || this.#bodies.running > 0) {
        await this.#woken(Math.min(reports.notesInMs, reports.beat(this.#ledger.seen) ?? Number.POSITIVE_INFINITY));
      } else if (this.#unfetched !== undefined) {
        return this.#withoutOutcome(this.#unfetched);
      } else if (this.#heldBack > 0) {
        return this.#close([...reports.unconfirmed, { op: "yield" }]);
      } else if (this.#sealed || this.#ledger.undelivered > 0) {
        // The last outcome led to nothing visible although several are open: a branch may be in an await of its own.
        if (!waitedQuietly && !this.#sealed && this.#touched === 0 && this.#ledger.undelivered > 1) {
          waitedQuietly = true;
          await this.#woken(QUIET_MS);
          continue;
        }
        const begins = lingersUntil === undefined;
        lingersUntil ??= Date.now() + reports.lingerMs;
        if (!(await this.#linger(lingersUntil, begins))) return this.#suspend();
      } else if (Date.now() >= this.#deadline) {
        return this.#close([...reports.unconfirmed, { op: "fail", err: stuck(this.#lasts) }]);
      } else {
        await this.#woken(Math.min(this.#deadline - Date.now(), reports.notesInMs, reports.beat(this.#ledger.seen) ?? Number.POSITIVE_INFINITY));
      }
    }
  }

  /** How the run ends, if the handler has ended, nothing holds the end back, and nothing is left to undo. */
  #ending(): TerminalOp | undefined {
    const terminal = this.#terminal;
    if (terminal === undefined) return undefined;
    this.#seal();
    const { failure, wasCancelled, holdingEnd } = this.#ledger;
    const cancelled = wasCancelled && terminal.op === "fail" && terminal.err.name === "CancelledError";
    if (failure === undefined && !cancelled) return holdingEnd.length > 0 ? undefined : terminal;
    return this.#undoNext() ? undefined : { op: "fail", err: failure?.err ?? (terminal as { err: WireError }).err };
  }

  /** The handler is over: its bodies are told to stop, and nothing that settles is for it any more. */
  #seal(): void {
    if (this.#sealed) return;
    this.#sealed = true;
    this.#heldBack = 0;
    this.#bodies.stopAll(ENDED);
    this.#reports.forget();
    for (const entry of this.#ledger.abandon()) entry.body = undefined;
  }

  /** Sees to what was done and is to be undone, the last first, one after the other. False when nothing is left. */
  #undoNext(): boolean {
    const undone = (this.#undone ??= new Set());
    if (this.#undo?.delivered === false) return true;
    const next = this.#ledger.undoable.find((entry) => !undone.has(entry.call.id));
    if (next?.known?.ref === true) {
      if (!this.#fetching && this.#unfetched === undefined) void this.#fetch(next);
      return true;
    }
    if (next !== undefined) {
      undone.add(next.call.id);
      this.#undo = this.#create(undoCall(next));
      return true;
    }
    // A step that has succeeded and is not durable yet would be forgotten by the end.
    return this.#reports.unconfirmed.some((op) => op.op === "step" && op.ok !== undefined && !op.id.startsWith(UNDO) && this.#ledger.created(op.id)?.call.undo !== undefined);
  }

  /** Whether a handler whose run has failed is given a moment, to come to steps that it would have to undo. */
  #givesTime(): boolean {
    if (this.#sealed || this.#ledger.next() !== "failure" || !this.#ledger.lacksSteps) return false;
    this.#quietUntil ??= Date.now() + UNDO_QUIET_MS;
    return Date.now() < this.#quietUntil;
  }

  /** What may settle and move the run on. */
  get #waitsFor(): Entry[] {
    return this.#undone === undefined && this.#sealed ? this.#ledger.holdingEnd : this.#ledger.open;
  }

  /** Waits for what may settle soon. False if nothing does, or the time is over. */
  async #linger(untilMs: number, begins: boolean): Promise<boolean> {
    const left = Math.min(untilMs, this.#deadline) - Date.now();
    if (left <= 0) return false;
    const retryAt = this.#ledger.nextRetry()?.at ?? Number.POSITIVE_INFINITY;
    const news = maySettleBy(this.#waitsFor, untilMs);
    if (!news && retryAt >= untilMs) return false;
    if (news) this.#reports.beat(this.#ledger.seen, left, begins);
    await this.#woken(Math.min(left, Math.max(0, retryAt - Date.now())));
    return true;
  }

  /** Hands over the one outcome whose turn it is. False if there is none, or it is still being fetched. */
  #deliverNext(): boolean {
    const next = this.#ledger.next();
    if (next === undefined || this.#fetching || this.#unfetched !== undefined) return false;
    this.#touched = 0;
    if (next === "failure") {
      this.#terminal ??= { op: "fail", err: this.#ledger.failure?.err as WireError };
      return true;
    }
    if (next === "cancel") {
      this.#withheld = [];
      for (const entry of this.#ledger.cancelled()) {
        this.#stop(entry);
        entry.reject(new CancelledError());
      }
      return true;
    }
    if (next.known?.ref === true) {
      void this.#fetch(next);
      return false;
    }
    this.#ledger.delivered(next);
    try {
      next.resolve(next.call.read(next.known as JournalEntry));
    } catch (error) {
      next.reject(error);
    }
    return true;
  }

  async #fetch(entry: Entry): Promise<void> {
    const { fetchEntry } = this.#options;
    this.#fetching = true;
    try {
      if (fetchEntry === undefined) throw new Error("the invocation has no `links.journal`");
      entry.known = { ...(await fetchEntry(entry.call.id)), seq: entry.seq };
    } catch (error) {
      this.#unfetched = new Error(`failed to fetch the outcome of \`${entry.call.id}\` from the server: ${(error as Error).message}`);
    }
    this.#fetching = false;
    this.#wake();
  }

  /** An outcome is missing: what was done goes out, and the next invocation asks for it again. */
  #withoutOutcome(error: Error): Answer {
    const ops = this.#reports.unconfirmed;
    if (ops.length === 0) throw error;
    return this.#close(ops);
  }

  /** Starts the step that is due again. False if there is none. */
  #runAgain(): boolean {
    const next = this.#reports.live ? this.#ledger.nextRetry() : undefined;
    if (next === undefined || next.at > Date.now() || this.#ledger.cancelling) return false;
    this.#begin(next.entry, next.attempt, next.details);
    return true;
  }

  /** Takes what a reply brings. Bodies whose outcome can no longer matter are told to stop; a cancellation does so in its turn, which is now. */
  #take(reply: CheckpointReply, sent: readonly ReportOp[]): void {
    for (const entry of this.#ledger.take(reply, sent, Date.now())) this.#stop(entry);
  }

  #stop(entry: Entry): void {
    if (entry.body !== undefined) this.#bodies.stop(entry.body, ENDED);
    entry.body = undefined;
    this.#reports.forget(entry.call.id);
  }

  /** Starts a body, or puts the op into the answer. Nothing begins while a cancellation is on its way: it will be rejected. */
  #begin(entry: Entry, attempt: number, details?: Json): void {
    entry.withheld = this.#ledger.cancelling;
    if (entry.withheld) return void this.#withheld.push(() => this.#begin(entry, attempt, details));
    const { op, id, name, params, body, timeoutMs, heartbeatMs } = entry.call;
    if (body === undefined) return this.#reports.add({ op, id, name, params });
    entry.attempt = attempt;
    if (this.#holdsBack()) {
      this.#heldBack++;
      return;
    }
    let index = 0;
    entry.body = this.#bodies.start({
      name,
      attempt,
      idempotencyKey: `${this.#invocation.run.id}/${id}`,
      timeoutMs,
      heartbeatMs,
      details: details === undefined ? undefined : entry.call.readDetails?.(details),
      body: this.#options.stage?.(id, body) ?? body,
      heartbeat: (said) => {
        this.#reports.heartbeat({ op: "heartbeat", id, name, params, attempt, details: writeNote(`the details of \`${id}\``, said) });
        this.#wake();
      },
      publish: (said) => {
        this.#reports.publish(publishOp(id, attempt, said, index++));
        this.#wake();
      },
      room: () => this.#reports.room(),
      ended: (result) => {
        entry.body = undefined;
        this.#reports.add({ op, id, name, params, ...result });
        this.#wake();
      },
    });
  }

  /** Whether no body may begin any more: the server is about to stop, or there is no time left for one. The first may, so that each invocation does something. */
  #holdsBack(): boolean {
    if (this.#options.checkpointer === undefined || this.#bodies.begun === 0) return false;
    if (this.#reports.draining) return true;
    const needed = Math.max(Math.min(BODY_RESERVE_MS, this.#lasts / 2), BODY_RESERVE_FACTOR * this.#bodies.longestMs);
    return this.#deadline - Date.now() < needed;
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
    const { unconfirmed } = this.#reports;
    // What settles at once and nobody waits for must not wake the run.
    const silent = unconfirmed.some((op) => op.op === "state" || op.op === "marker");
    const open = this.#waitsFor;
    const awaiting = this.#sealed && open.length > 1 ? [open.map((entry) => entry.call.id)] : awaitingGroups(open, silent);
    return { ...this.#close(unconfirmed), ...(awaiting === undefined ? {} : { awaiting }) };
  }

  #close(ops: Op[]): Answer {
    this.#closed = true;
    return { token: this.#invocation.token, seen: this.#ledger.seen, ops };
  }

  #woken(ms?: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === undefined || ms === Number.POSITIVE_INFINITY ? undefined : setTimeout(resolve, Math.min(ms, 2 ** 31 - 1));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      // The port may have ended the invocation while it took a report, before anybody waited.
      if (this.#options.signal?.aborted) this.#wake();
    });
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
