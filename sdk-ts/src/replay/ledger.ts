/**
 * The ledger of one invocation: what the journal says, what the code has created, and whose turn it is.
 *
 * It decides order and nothing else: it starts no body, sends nothing, settles no promise. Replies to checkpoints join the journal here.
 */
import type { EntryOp } from "../wire/answer.js";
import { type CheckpointReply, hasOutcome } from "../wire/checkpoint.js";
import type { Invocation, JournalEntry } from "../wire/invocation.js";
import { type Call, Entry } from "./entry.js";

/** Whose turn it is: an entry's, or the cancellation's. */
export type Turn = Entry | "cancel";

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
  readonly #due = new Map<string, { attempt: number; at: number }>();
  readonly #atFirst: number;
  #cancel: JournalEntry | undefined;

  constructor({ journal, run }: Invocation) {
    this.lastDeliveredAt = run.startedAt;
    for (const entry of journal) this.#note(entry);
    this.#atFirst = this.#journal.size;
  }

  /** Whether a cancellation has come and had no turn yet: nothing may begin. */
  get cancelling(): boolean {
    return this.#cancel !== undefined;
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
    const entry = new Entry(call, known);
    this.#created.set(call.id, entry);
    this.#byPromise.set(entry.promise, entry);
    this.undelivered++;
    if (entry.seq !== NEVER) this.#ready.add(entry);
    return entry;
  }

  /** Whose turn it is: the least `seq`, and a cancellation as soon as there is something that it can reject. */
  next(): Turn | undefined {
    let next: Entry | undefined;
    for (const entry of this.#ready) if (next === undefined || entry.seq < next.seq) next = entry;
    if ((this.#cancel?.seq ?? NEVER) < (next?.seq ?? NEVER)) return this.undelivered === 0 ? undefined : "cancel";
    return next;
  }

  /** Notes that an entry has had its turn. */
  delivered(entry: Entry): void {
    this.#leave(entry);
    this.lastDeliveredAt = entry.known?.at ?? this.lastDeliveredAt;
    this.deliveredSeq = entry.seq;
  }

  /** Notes that the cancellation has had its turn, and gives what it rejects. */
  cancelled(): Entry[] {
    this.lastDeliveredAt = this.#cancel?.at ?? this.lastDeliveredAt;
    this.deliveredSeq = this.#cancel?.seq ?? this.deliveredSeq;
    this.#cancel = undefined;
    const rejected = this.open;
    for (const entry of rejected) this.#leave(entry);
    return rejected;
  }

  /**
   * Takes a reply, with the ops that it replies to. Gives the created entries that it settles. Throws, having changed nothing, if an
   * entry has no outcome, neither in the reply nor in those ops.
   */
  take(reply: CheckpointReply, sent: readonly EntryOp[], nowMs: number): Entry[] {
    // Both a report's reply and a beat's may bring the same: what is up to `seen` is known.
    const news = reply.settled.filter((entry) => (entry.seq as number) > this.seen).map((entry) => (hasOutcome(entry) ? entry : withOwn(entry, sent)));
    const settled: Entry[] = [];
    for (const entry of news) {
      this.#note(entry);
      const created = this.#created.get(entry.id);
      if (created === undefined || created.delivered) continue;
      created.known = entry;
      this.#ready.add(created);
      settled.push(created);
    }
    for (const { id, attempt, dueIn } of reply.retry) this.#due.set(id, { attempt, at: nowMs + dueIn });
    return settled;
  }

  /** The step that runs again first, of those that the code has created and that wait for it. */
  nextRetry(): { entry: Entry; attempt: number; at: number } | undefined {
    let next: { entry: Entry; attempt: number; at: number } | undefined;
    for (const [id, { attempt, at }] of this.#due) {
      const entry = this.#created.get(id);
      if (entry === undefined) continue;
      // Replies cross: one may still name an attempt that has begun, or a step that has settled.
      if (entry.delivered || entry.seq !== NEVER || entry.attempt >= attempt) this.#due.delete(id);
      else if (entry.body === undefined && (next === undefined || at < next.at)) next = { entry, attempt, at };
    }
    return next;
  }

  #note(entry: JournalEntry): void {
    this.seen = Math.max(this.seen, entry.seq ?? 0);
    if (entry.id === "$cancel") this.#cancel = entry;
    else this.#journal.set(entry.id, entry);
  }

  #leave(entry: Entry): void {
    entry.delivered = true;
    this.#ready.delete(entry);
    this.undelivered--;
  }
}

/** A step that settled with what was reported of it. */
function withOwn(entry: JournalEntry, sent: readonly EntryOp[]): JournalEntry {
  const op = sent.find(({ id }) => id === entry.id);
  if (op?.ok !== undefined) return { ...entry, ok: op.ok.value() as never };
  if (op?.err !== undefined) return { ...entry, err: JSON.parse(JSON.stringify(op.err)) };
  throw new Error(`the reply has no outcome of \`${entry.id}\`, and this report did not bring one`);
}
