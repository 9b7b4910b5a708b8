/**
 * Checkpoints in a test: takes reports in process, as the server does over HTTP. Time is the test's, but a beat waits in real time, since
 * it waits for real bodies.
 */
import type { Checkpointer } from "../replay/checkpointer.js";
import { type CheckpointReply, type CheckpointRequest, printCheckpoint, readReply } from "../wire/checkpoint.js";
import type { Journal } from "./journal.js";

/** What a test run does with reports. */
export interface TestServer {
  readonly journal: Journal;
  readonly nowMs: () => number;
  /** Applies an op. */
  readonly apply: (op: any) => Promise<void>;
  /** Whether the process dies before the server has this report. */
  readonly loses: (ops: any[]) => boolean;
}

/** The port of one invocation in a test. It never lingers: what is to happen soon, the test makes happen. */
export class TestCheckpoints implements Checkpointer {
  readonly lingerMs = 0;
  readonly #server: TestServer;
  #taken = 0;

  constructor(server: TestServer) {
    this.#server = server;
  }

  async checkpoint(request: CheckpointRequest, signal: AbortSignal): Promise<CheckpointReply> {
    const { journal, apply, loses } = this.#server;
    // Through the wire's own text, so that a test sees what a server would.
    const { n, seen, ops } = JSON.parse(printCheckpoint(request)) as { n: number; seen: number; ops: any[] };
    if (ops.length === 0) await journal.news(seen, request.waitMs ?? 0, signal);
    else if (loses(ops)) return new Promise(() => undefined);
    if (ops.length > 0 && n !== this.#taken + 1) throw new Error(`the report has the number ${n} after ${this.#taken}`);
    const before = journal.seq;
    for (const op of ops) await apply(op);
    if (ops.length > 0) this.#taken = n;
    return readReply(JSON.stringify(this.#reply(seen, before, ops)));
  }

  #reply(seen: number, before: number, ops: any[]): object {
    const { journal, nowMs } = this.#server;
    const own = new Set(ops.filter((op) => op.op === "step").map((op) => op.id));
    const settled = journal.wire(nowMs()).filter((entry) => (entry.seq ?? 0) > seen);
    const steps = [...journal.entries.values()].filter((entry) => entry.op === "step" && entry.status === "open" && entry.attempts > 0 && entry.dueAt !== Number.POSITIVE_INFINITY);
    return {
      settled: settled.map((entry) => {
        const { ok: _, err: __, ...bare } = entry;
        return own.has(entry.id) && (entry.seq as number) > before ? bare : entry;
      }),
      retry: steps.map((entry) => ({ id: entry.id, attempt: entry.attempts + 1, dueIn: Math.max(0, (entry.dueAt ?? 0) - nowMs()), error: entry.error, details: entry.details })),
    };
  }
}
