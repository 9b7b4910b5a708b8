/**
 * Reports: where each op of an invocation is. Waiting to be sent, in flight, or durable; and the beat, which asks for news.
 *
 * One report with ops is in flight at most, and one beat beside it. When a report cannot be taken, the invocation goes on in respond
 * mode: everything that was not confirmed stays here, for the answer.
 */
import type { EntryOp } from "../wire/answer.js";
import type { CheckpointReply } from "../wire/checkpoint.js";
import { BEAT_EVERY_MS, BEAT_WAIT_MS, CHECKPOINT_CHARS_MAX } from "../wire/limits.js";
import { type Checkpointer, Stale } from "./checkpointer.js";

/** Told of every reply, with the ops of the report that it replies to. Throws if the reply makes no sense. */
export type OnReply = (reply: CheckpointReply, sent: readonly EntryOp[]) => void;

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
  #waiting: EntryOp[] = [];
  #inFlight: EntryOp[] = [];
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

  /** What the server has not confirmed, in order. */
  get unconfirmed(): EntryOp[] {
    return [...this.#inFlight, ...this.#waiting];
  }

  /** For how many milliseconds the invocation may be kept open. */
  get lingerMs(): number {
    return this.live && !this.draining ? (this.#port?.lingerMs ?? 0) : 0;
  }

  /** Notes what was done. */
  add(op: EntryOp): void {
    this.#waiting.push(op);
  }

  /** Sends what waits, unless a report is on its way. True if one is now. */
  flush(seen: number): boolean {
    if (!this.live || this.draining) return this.busy;
    if (this.#inFlight.length === 0 && this.#waiting.length > 0) {
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

  /** The first ops that fit into one report, at least one. */
  #nextBatch(): EntryOp[] {
    let chars = 0;
    let count = 0;
    for (const op of this.#waiting) {
      chars += op.params.text.length + (op.ok?.text.length ?? 0);
      if (count > 0 && chars > CHECKPOINT_CHARS_MAX) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  async #send(ops: readonly EntryOp[], n: number, seen: number, waitMs?: number): Promise<void> {
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
    } finally {
      if (ops.length === 0) this.#beating = false;
      this.#wake();
    }
  }
}
