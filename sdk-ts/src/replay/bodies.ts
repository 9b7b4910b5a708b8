/**
 * Bodies: runs the work of steps, each within its time-out and with a signal of its own, and says what became of it.
 */
import type { WireError } from "../wire/error.js";
import { toWireError } from "../wire/error.js";
import type { RawJson } from "../wire/json.js";
import type { BodyFacts, Call } from "./entry.js";
import { bodyContext } from "./turns.js";

/** What runs a step and resolves to its written result. */
export type StepBody = NonNullable<Call<unknown>["body"]>;

/** What a body came to. */
export type BodyResult = ({ ok: RawJson } | { err: WireError }) & { attempt: number; startedAt: string; endedAt: string };

/** What a body is started with. */
export interface BodyStart {
  readonly name: string;
  readonly attempt: number;
  readonly idempotencyKey: string;
  readonly timeoutMs: number | undefined;
  readonly body: StepBody;
  /** Called once, unless the body was stopped. */
  readonly ended: (result: BodyResult) => void;
}

/** A body that runs. */
export type RunningBody = AbortController;

/** The bodies of one invocation. */
export class Bodies {
  /** How many have begun. */
  begun = 0;
  /** Milliseconds that the longest took. */
  longestMs = 0;
  readonly #running = new Set<RunningBody>();
  /** What marks the bodies of this invocation. It must not lead to the invocation: asynchronous contexts live long. */
  readonly #marker = {};

  /** How many run. */
  get running(): number {
    return this.#running.size;
  }

  /** The name of the step in whose body this is called, if it is one of this invocation. */
  get caller(): string | undefined {
    const context = bodyContext().current() as { of: object; entry: string } | undefined;
    return context?.of === this.#marker ? context.entry : undefined;
  }

  start(start: BodyStart): RunningBody {
    const stop = new AbortController();
    this.begun++;
    this.#running.add(stop);
    void this.#run(start, stop);
    return stop;
  }

  /** Tells a body to stop. What it comes to is dropped. */
  stop(body: RunningBody, reason: unknown): void {
    if (this.#running.delete(body)) body.abort(reason);
  }

  /** Tells all bodies to stop. */
  stopAll(reason: unknown): void {
    for (const body of [...this.#running]) this.stop(body, reason);
  }

  async #run({ name, attempt, idempotencyKey, timeoutMs, body, ended }: BodyStart, stop: RunningBody): Promise<void> {
    const began = Date.now();
    const facts: BodyFacts = { attempt, idempotencyKey, signal: stop.signal, deadline: timeoutMs === undefined ? undefined : new Date(began + timeoutMs) };
    const result = await limited(timeoutMs, name, stop, () => bodyContext().run({ of: this.#marker, entry: name }, () => body(facts)));
    if (!this.#running.delete(stop)) return;
    const end = Date.now();
    this.longestMs = Math.max(this.longestMs, end - began);
    ended({ ...result, attempt, startedAt: new Date(began).toISOString(), endedAt: new Date(end).toISOString() });
  }
}

/** The result of a body, or its error, within its time-out. */
async function limited(timeoutMs: number | undefined, name: string, stop: AbortController, body: () => Promise<RawJson>): Promise<{ ok: RawJson } | { err: WireError }> {
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
