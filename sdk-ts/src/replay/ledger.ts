/**
 * The ledger of one invocation: what the journal says, what the code has created, and whose turn it is.
 *
 * It decides order and nothing else: it starts no body, sends nothing, settles no promise. Replies to checkpoints join the journal here.
 */
import type { EntryOp, ReportOp } from "../wire/answer.js";
import { type CheckpointReply, hasOutcome } from "../wire/checkpoint.js";
import type { Invocation, JournalEntry } from "../wire/invocation.js";
import type { Json } from "../types.js";
import { type Call, Entry } from "./entry.js";
import { UNDO } from "./undo.js";

/** Whose turn it is: an entry's, the cancellation's, or the failure's that ends the handler. */
export type Turn = Entry | "cancel" | "failure";

const NEVER = Number.POSITIVE_INFINITY;

export class Ledger {
  /** The greatest `seq` that is known. */
  seen = 0;
  /** `at` of the last delivered outcome. */
  lastDeliveredAt: string;
  /** `seq` of the last delivered outcome. */
  deliveredSeq = 0;
  /** How many created entries were not delivered yet. */
  undelivered = 0;

  readonly #journal = new Map<string, JournalEntry>();
  readonly #created = new Map<string, Entry>();
  /** Created, settled, not yet handed over. */
  readonly #ready = new Set<Entry>();
  readonly #byPromise = new WeakMap<object, Entry>();
  /** Steps that are to run again: by id, with the time from which on. */
  readonly #due = new Map<string, { attempt: number; at: number; details: Json | undefined }>();
  readonly #atFirst: number;
  #cancel: JournalEntry | undefined;
  /** The cancellation has had its turn. */
  wasCancelled = false;
  /** How many sections are open that the cancellation waits for. */
  shields = 0;
  /** The run has failed for good: what was done is to be undone, and this is the error that it ends with. */
  failure: JournalEntry | undefined;
  /** The handler is over: what settles is not for it any more. */
  #abandoned = false;

  constructor({ journal, run }: Invocation) {
    this.lastDeliveredAt = run.startedAt;
    for (const entry of journal) this.#note(entry);
    this.#atFirst = this.#journal.size;
  }

  /** Whether a cancellation or a failure has come and had no turn yet: nothing may begin. A cancellation that waits for a shield is as if it had not come. */
  get cancelling(): boolean {
    return !this.#abandoned && ((this.#cancel !== undefined && this.shields === 0) || this.failure !== undefined);
  }

  /** Whether no earlier invocation has been here: everything known is delivered, and the code has created all that the journal has. */
  get onNewGround(): boolean {
    return this.#ready.size === 0 && ![...this.#journal.values()].some(({ id, op }) => op !== "marker" && !id.startsWith(UNDO) && !this.#created.has(id));
  }

  /** Whether steps settled before the failure that the code has not created (yet), so that it could not undo them. */
  get lacksSteps(): boolean {
    const until = this.failure?.seq ?? 0;
    return [...this.#journal.values()].some(({ id, op, seq }) => op === "step" && (seq ?? NEVER) < until && !id.startsWith(UNDO) && !this.#created.has(id));
  }

  /** Children that must have ended before the run does; one that a cancellation rejected before it began is not there. */
  get holdingEnd(): Entry[] {
    return [...this.#created.values()].filter((entry) => entry.call.holdsEnd === true && entry.seq === NEVER && !entry.withheld);
  }

  /** Steps that can be undone, and that succeeded as far as is known: the last one that did comes first. */
  get undoable(): Entry[] {
    const done = [...this.#created.values()].filter((entry) => entry.call.undo !== undefined && entry.known !== undefined && ("ok" in entry.known || entry.known.ref === true));
    return done.sort((a, b) => b.seq - a.seq);
  }

  /** How many entries the code has created. */
  get size(): number {
    return this.#created.size;
  }

  /** What the code has created under an id. */
  created(id: string): Entry | undefined {
    return this.#created.get(id);
  }

  /** What the journal has under an id. */
  known(id: string): JournalEntry | undefined {
    return this.#journal.get(id);
  }

  /** Whether the code has created less than the journal knew when the invocation began. */
  get behind(): boolean {
    return this.#created.size < this.#atFirst;
  }

  /** What is created and was not delivered. */
  get open(): Entry[] {
    return [...this.#created.values()].filter((entry) => !entry.delivered);
  }

  /** The entry that a promise stands for. */
  entryOf(promise: object): Entry | undefined {
    return this.#byPromise.get(promise);
  }

  /** Creates an entry, or finds it in the journal. */
  create(call: Call<unknown>): Entry {
    const known = this.#journal.get(call.id);
    const entry = new Entry(call, known, this.#created.size);
    this.#created.set(call.id, entry);
    this.#byPromise.set(entry.promise, entry);
    this.undelivered++;
    if (entry.seq !== NEVER) this.#ready.add(entry);
    return entry;
  }

  /** Notes an entry that nobody waits for: it has no turn. */
  createSilent(call: Call<unknown>): Entry {
    const entry = new Entry(call, this.#journal.get(call.id), this.#created.size);
    entry.delivered = true;
    this.#created.set(call.id, entry);
    return entry;
  }

  /** Whose turn it is: the least `seq`, and a cancellation or a failure as soon as there is something that it can reject. */
  next(): Turn | undefined {
    let next: Entry | undefined;
    for (const entry of this.#ready) if (next === undefined || entry.seq < next.seq) next = entry;
    const cancelAt = this.shields > 0 ? NEVER : (this.#cancel?.seq ?? NEVER);
    const failureAt = this.#abandoned ? NEVER : (this.failure?.seq ?? NEVER);
    if (Math.min(cancelAt, failureAt) > (next?.seq ?? NEVER) || Math.min(cancelAt, failureAt) === NEVER) return next;
    if (this.undelivered === 0) return undefined;
    return cancelAt < failureAt ? "cancel" : "failure";
  }

  /** Notes that an entry has had its turn. */
  delivered(entry: Entry): void {
    this.#leave(entry);
    this.lastDeliveredAt = entry.known?.at ?? this.lastDeliveredAt;
    this.deliveredSeq = entry.seq;
  }

  /** Notes that the cancellation has had its turn, and gives what it rejects. */
  cancelled(): Entry[] {
    const { seq = 0, at = this.lastDeliveredAt } = this.#cancel ?? {};
    // A shield that it waited for may have come further: time does not run backwards.
    if (seq > this.deliveredSeq) {
      this.deliveredSeq = seq;
      this.lastDeliveredAt = at;
    }
    this.#cancel = undefined;
    this.wasCancelled = true;
    const rejected = this.open;
    for (const entry of rejected) this.#leave(entry);
    return rejected;
  }

  /** The handler is over, and everything that it has created. Gives what was still open. */
  abandon(): Entry[] {
    this.#abandoned = true;
    this.#cancel = undefined;
    const open = this.open;
    for (const entry of open) this.#leave(entry);
    return open;
  }

  /**
   * Takes a reply, with the ops that it replies to. Gives the created entries that it settles. Throws, having changed nothing, if an
   * entry has no outcome, neither in the reply nor in those ops.
   */
  take(reply: CheckpointReply, sent: readonly ReportOp[], nowMs: number): Entry[] {
    // Both a report's reply and a beat's may bring the same: what is up to `seen` is known.
    const news = reply.settled.filter((entry) => (entry.seq as number) > this.seen).map((entry) => (hasOutcome(entry) ? entry : withOwn(entry, sent)));
    const settled: Entry[] = [];
    for (const entry of news) {
      this.#note(entry);
      const created = this.#created.get(entry.id);
      if (created === undefined) continue;
      // Also of what nobody waits for any more: a step that succeeded unheard may have to be undone.
      if (created.seq === NEVER) created.known = entry;
      if (created.delivered) continue;
      this.#ready.add(created);
      settled.push(created);
    }
    for (const { id, attempt, dueIn, details } of reply.retry) this.#due.set(id, { attempt, at: nowMs + dueIn, details });
    return settled;
  }

  /** The step that runs again first, of those that the code has created and that wait for it. */
  nextRetry(): { entry: Entry; attempt: number; at: number; details: Json | undefined } | undefined {
    let next: ReturnType<Ledger["nextRetry"]>;
    for (const [id, { attempt, at, details }] of this.#due) {
      const entry = this.#created.get(id);
      if (entry === undefined) continue;
      // Replies cross: one may still name an attempt that has begun, or a step that has settled.
      if (entry.delivered || entry.seq !== NEVER || entry.attempt >= attempt) this.#due.delete(id);
      else if (entry.body === undefined && (next === undefined || at < next.at)) next = { entry, attempt, at, details };
    }
    return next;
  }

  #note(entry: JournalEntry): void {
    this.seen = Math.max(this.seen, entry.seq ?? 0);
    if (entry.id === "$cancel") this.#cancel = this.#abandoned || this.wasCancelled ? undefined : entry;
    else if (entry.id === "$failure") this.failure = entry;
    else this.#journal.set(entry.id, entry);
  }

  #leave(entry: Entry): void {
    entry.delivered = true;
    this.#ready.delete(entry);
    this.undelivered--;
  }
}

/** A step that settled with what was reported of it. */
function withOwn(entry: JournalEntry, sent: readonly ReportOp[]): JournalEntry {
  const op = sent.find((one) => one.op === "step" && one.id === entry.id) as EntryOp | undefined;
  if (op?.ok !== undefined) return { ...entry, ok: op.ok.value() as never };
  if (op?.err !== undefined) return { ...entry, err: JSON.parse(JSON.stringify(op.err)) };
  throw new Error(`the reply has no outcome of \`${entry.id}\`, and this report did not bring one`);
}
