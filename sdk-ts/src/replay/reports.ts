/**
 * Reports: where each op of an invocation is. Waiting to be sent, in flight, or durable; and the beat, which asks for news.
 *
 * One report with ops is in flight at most, and one beat beside it. When a report cannot be taken, the invocation goes on in respond
 * mode: everything that was not confirmed stays here, for the answer. What makes no entry and is only worth its newest value (the
 * status, tags and attributes, heartbeats) is kept apart as notes: they go with the next report, and make one of their own only once a second.
 */
import { MisuseError } from "../errors.js";
import type { EntryOp, HeartbeatOp, LabelsOp, PublishOp, ReplyOp, ReportOp, StatusOp } from "../wire/answer.js";
import type { CheckpointReply } from "../wire/checkpoint.js";
import type { RawJson } from "../wire/json.js";
import { BEAT_EVERY_MS, BEAT_WAIT_MS, CHECKPOINT_CHARS_MAX, NOTE_EVERY_MS, PUBLISH_CHARS, PUBLISH_EVERY_MS, PUBLISH_PAUSE_CHARS, PUBLISH_WAITING_CHARS_MAX } from "../wire/limits.js";
import { type Checkpointer, Stale } from "./checkpointer.js";
import { gather } from "./published.js";

/** Told of every reply, with the ops of the report that it replies to. Throws if the reply makes no sense. */
export type OnReply = (reply: CheckpointReply, sent: readonly ReportOp[]) => void;

export class Reports {
  /** Whether reports are made. False from the start in respond mode, and for good once one could not be taken. */
  live: boolean;
  /** Another invocation has taken over. */
  stale = false;
  /** The server is about to stop: nothing is sent before the answer. */
  draining = false;

  readonly #port: Checkpointer | undefined;
  readonly #onReply: OnReply;
  readonly #wake: () => void;
  readonly #end = new AbortController();
  #waiting: ReportOp[] = [];
  #inFlight: ReportOp[] = [];
  #status: StatusOp | undefined;
  #labels: LabelsOp | undefined;
  readonly #heartbeats = new Map<string, HeartbeatOp>();
  #nextNotesAt = Date.now() + NOTE_EVERY_MS;
  /** Characters of what was published and waits. */
  #published = 0;
  #nextPublishAt = 0;
  #roomFor: (() => void)[] = [];
  #n = 0;
  #beating = false;
  #nextBeatAt = Date.now() + BEAT_EVERY_MS;

  constructor(port: Checkpointer | undefined, onReply: OnReply, wake: () => void) {
    this.#port = port;
    this.#onReply = onReply;
    this.#wake = wake;
    this.live = port !== undefined;
  }

  /** Whether a report is on its way. */
  get busy(): boolean {
    return this.#inFlight.length > 0 && this.live;
  }

  /** What the server has not confirmed, in order. Of a status and of labels only the newest, of heartbeats only those of steps that did not end well. */
  get unconfirmed(): ReportOp[] {
    const all = [...this.#inFlight, ...this.#waiting, ...this.#notes()];
    const newest = new Set([all.findLast((op) => op.op === "status"), all.findLast((op) => op.op === "labels")]);
    const ended = new Set(all.flatMap((op) => (op.op === "step" && op.ok !== undefined ? [op.id] : [])));
    const last = new Map(all.flatMap((op) => (op.op === "heartbeat" && !ended.has(op.id) ? [[op.id, op]] : [])));
    return all.filter((op) => (op.op === "status" || op.op === "labels" ? newest.has(op) : op.op !== "heartbeat" || last.get(op.id) === op));
  }

  /** For how many milliseconds the invocation may be kept open. */
  get lingerMs(): number {
    return this.live && !this.draining ? (this.#port?.lingerMs ?? 0) : 0;
  }

  /** In how many milliseconds notes, or what was published, make a report of their own; infinity if there is nothing, or nobody takes reports. */
  get notesInMs(): number {
    if (!this.live || this.draining) return Number.POSITIVE_INFINITY;
    const at = Math.min(
      this.#notes().length === 0 ? Number.POSITIVE_INFINITY : this.#nextNotesAt,
      this.#published === 0 ? Number.POSITIVE_INFINITY : this.#published >= PUBLISH_CHARS ? 0 : this.#nextPublishAt,
    );
    return Math.max(0, at - Date.now());
  }

  /** Notes what was published, behind what was done before it. What can only go out with the answer, and is too much for it, is dropped. */
  publish(op: PublishOp): void {
    const most = this.live ? PUBLISH_WAITING_CHARS_MAX.live : PUBLISH_WAITING_CHARS_MAX.answer;
    const chars = op.data.text.length;
    if (this.#published + chars > most) {
      if (this.live) throw new MisuseError(`failed to publish on \`${op.topic}\`: ${most} characters wait for the server already. Publish through \`pipe\`, which pauses, or less.`);
      return;
    }
    const last = this.#waiting.at(-1);
    if (last?.op !== "publish" || !gather(last, op)) this.#waiting.push(op);
    this.#published += chars;
  }

  /** Resolves when little enough waits for the server. */
  room(): Promise<void> {
    if (!this.live || this.draining || this.#published < PUBLISH_PAUSE_CHARS) return Promise.resolve();
    return new Promise((resolve) => this.#roomFor.push(resolve));
  }

  /** Notes what was done. How far a step had come that failed must be known before its error. */
  add(op: EntryOp): void {
    const heartbeat = this.#heartbeats.get(op.id);
    this.#heartbeats.delete(op.id);
    if (heartbeat !== undefined && op.err !== undefined) this.#waiting.push(heartbeat);
    // Nothing came of the attempt: what it said and nobody has heard need not be said.
    if (op.err !== undefined) this.#unsay((said) => said.id === op.id);
    this.#waiting.push(op);
  }

  /** Notes what the run shows of itself. */
  setStatus(value: RawJson): void {
    this.#status = { op: "status", value };
  }

  /** Notes what the run is found by. */
  setLabels(op: LabelsOp): void {
    this.#labels = op;
  }

  /** Notes how far a step has come. */
  heartbeat(op: HeartbeatOp): void {
    this.#heartbeats.set(op.id, op);
  }

  /** A body was told to stop: how far it had come does not matter any more. All bodies, if no entry is named. */
  forget(id?: string): void {
    if (id === undefined) this.#heartbeats.clear();
    else this.#heartbeats.delete(id);
    this.#unsay((said) => said.attempt !== undefined && (id === undefined || said.id === id));
  }

  /** Notes the reply to an update. */
  reply(op: ReplyOp): void {
    this.#waiting.push(op);
  }

  /** The code has come to an entry that an earlier invocation reported: its replies so far went out then. */
  repliedBefore(): void {
    if (this.#waiting.some((op) => op.op === "reply")) this.#waiting = this.#waiting.filter((op) => op.op !== "reply");
  }

  /** Sends what waits, unless a report is on its way. True if one is now. */
  flush(seen: number): boolean {
    if (!this.live || this.draining) return this.busy;
    if (this.#inFlight.length === 0 && (this.#waiting.some((op) => op.op !== "publish") || this.notesInMs === 0)) {
      this.#inFlight = this.#nextBatch();
      void this.#send(this.#inFlight, this.#n + 1, seen);
    }
    return this.busy;
  }

  /** Opens a beat if it is time for one. Returns the milliseconds until the next, if none is open. */
  beat(seen: number, waitMs: number = BEAT_WAIT_MS, now = false): number | undefined {
    if (!this.live || this.draining || this.#beating) return undefined;
    const inMs = this.#nextBeatAt - Date.now();
    if (inMs > 0 && !now) return inMs;
    this.#beating = true;
    this.#nextBeatAt = Date.now() + BEAT_EVERY_MS;
    void this.#send([], this.#n, seen, waitMs);
    return undefined;
  }

  /** Nobody waits for replies any more. */
  close(): void {
    this.#end.abort();
  }

  #unsay(which: (said: PublishOp) => boolean): void {
    if (this.#published === 0) return;
    this.#waiting = this.#waiting.filter((op) => op.op !== "publish" || !which(op));
    this.#count();
  }

  #count(): void {
    this.#published = this.#waiting.reduce((chars, op) => chars + (op.op === "publish" ? op.data.text.length : 0), 0);
    if (this.live && this.#published >= PUBLISH_PAUSE_CHARS) return;
    for (const resolve of this.#roomFor.splice(0)) resolve();
  }

  #notes(): ReportOp[] {
    const notes: (ReportOp | undefined)[] = [...this.#heartbeats.values(), this.#status, this.#labels];
    return notes.filter((op) => op !== undefined);
  }

  /** The first ops that fit into one report, at least one; the notes go with the last of them. */
  #nextBatch(): ReportOp[] {
    let chars = 0;
    let count = 0;
    for (const op of this.#waiting) {
      chars += "params" in op ? op.params.text.length : 0;
      chars += ("ok" in op ? op.ok?.text.length : undefined) ?? 0;
      chars += op.op === "publish" ? op.data.text.length : 0;
      if (count > 0 && chars > CHECKPOINT_CHARS_MAX) break;
      count++;
    }
    const batch = this.#waiting.splice(0, count);
    this.#nextPublishAt = Date.now() + PUBLISH_EVERY_MS;
    this.#count();
    if (this.#waiting.length > 0) return batch;
    batch.push(...this.#notes());
    this.#status = undefined;
    this.#labels = undefined;
    this.#heartbeats.clear();
    this.#nextNotesAt = Date.now() + NOTE_EVERY_MS;
    return batch;
  }

  async #send(ops: readonly ReportOp[], n: number, seen: number, waitMs?: number): Promise<void> {
    try {
      const reply = await (this.#port as Checkpointer).checkpoint({ n, seen, ops, ...(waitMs === undefined ? {} : { waitMs }) }, this.#end.signal);
      if (this.#end.signal.aborted || !this.live) return;
      this.#onReply(reply, ops);
      this.draining ||= reply.drain;
      if (ops.length > 0) [this.#n, this.#inFlight] = [n, []];
    } catch (error) {
      if (this.#end.signal.aborted) return;
      this.live = false;
      this.stale ||= error instanceof Stale;
      this.#count();
    } finally {
      if (ops.length === 0) this.#beating = false;
      this.#wake();
    }
  }
}
