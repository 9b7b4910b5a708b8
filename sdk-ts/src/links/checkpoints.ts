/**
 * Checkpoints over HTTP: the replay's port, with `links.checkpoint` behind it; and answers that come too late for their connection.
 *
 * What cannot be taken is an error here, and the replay then goes on without reports. One `Reach` for each instance remembers
 * that the server could not be reached, so that a firewall does not cost each invocation its patience.
 */
import { type Checkpointer, Stale } from "../replay/checkpointer.js";
import type { ReportOp } from "../wire/answer.js";
import { type CheckpointReply, type CheckpointRequest, printCheckpoint, readReply } from "../wire/checkpoint.js";
import { LATE_ANSWER_MS, RESPOND_MS, UNREACHABLE_MS } from "../wire/limits.js";
import { ask, type Caller, type Said, type Transport, Unreachable } from "./request.js";

/** Whether this instance reaches the server. */
export class Reach {
  #notBefore = 0;

  /** Whether invocations may begin with checkpoints. */
  get open(): boolean {
    return Date.now() >= this.#notBefore;
  }

  /** Notes that the server could not be reached, or takes no checkpoints. */
  lost(): void {
    this.#notBefore = Date.now() + RESPOND_MS;
  }
}

/** What a checkpointer over HTTP is told. */
export interface HttpCheckpointsOptions {
  readonly url: string;
  readonly caller: Caller;
  /** How reports go together with those of other invocations, where they may. */
  readonly together?: Transport | undefined;
  readonly lingerMs: number;
  readonly reach: Reach;
  /** Told of ops that are being reported. */
  readonly tell?: (ops: readonly ReportOp[]) => void;
}

/** Reports to the server. */
export class HttpCheckpoints implements Checkpointer {
  readonly lingerMs: number;
  readonly #options: HttpCheckpointsOptions;

  constructor(options: HttpCheckpointsOptions) {
    this.#options = options;
    this.lingerMs = options.lingerMs;
  }

  async checkpoint(request: CheckpointRequest, signal: AbortSignal): Promise<CheckpointReply> {
    const { url, reach, tell, together } = this.#options;
    // A beat waits, and whoever came with it would have to wait, too.
    const transport = request.waitMs === undefined ? together : undefined;
    const caller = transport === undefined ? this.#options.caller : { ...this.#options.caller, transport };
    tell?.(request.ops);
    let said: Said;
    try {
      said = await ask(caller, { url, body: printCheckpoint(request), forMs: UNREACHABLE_MS + (request.waitMs ?? 0), signal });
    } catch (error) {
      if (error instanceof Unreachable && !signal.aborted) reach.lost();
      throw error;
    }
    if (said.status === 200) return readReply(said.text);
    if (said.status === 409) throw new Stale("another invocation has taken over");
    if (said.status === 404) reach.lost();
    throw new Error(`the checkpoint was refused with ${said.status}: ${said.text.slice(0, 500)}`);
  }
}

/** Offers an answer, printed as final, whose connection is gone. True if the server has taken it. */
export async function answerLate(url: string, caller: Caller, body: string): Promise<boolean> {
  try {
    return (await ask(caller, { url, body, forMs: LATE_ANSWER_MS })).status === 200;
  } catch {
    return false; // The server has waited for as long as it does, and invokes the run again.
  }
}
