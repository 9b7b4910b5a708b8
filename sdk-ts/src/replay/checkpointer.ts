/**
 * The port through which a replay reports while it works. Without one it only answers: respond mode.
 *
 * Who implements it: `links/checkpoints.ts` over HTTP, `testing/` in process.
 */
import type { CheckpointReply, CheckpointRequest } from "../wire/checkpoint.js";

/** Takes reports. */
export interface Checkpointer {
  /** For how many milliseconds the invocation may be kept open while nothing runs. */
  readonly lingerMs: number;
  /**
   * Resolves when the ops are durable (or, for a beat, when there is news or its wait is over). Rejects with `Stale`, or with
   * anything else if the report cannot be taken, now and later. The signal fires when nobody waits for the reply any more.
   */
  checkpoint(request: CheckpointRequest, signal: AbortSignal): Promise<CheckpointReply>;
}

/** Another invocation has taken over, or the run has ended: nothing that is done here counts any more. */
export class Stale extends Error {
  override readonly name = "Stale";
}
