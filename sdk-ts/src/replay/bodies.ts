/**
 * Bodies: runs the work of steps, each within its time-out and with a signal of its own, and says what became of it.
 */
import type { Json } from "../types.js";
import type { WireError } from "../wire/error.js";
import { toWireError } from "../wire/error.js";
import type { RawJson } from "../wire/json.js";
import type { BodyFacts, Call } from "./entry.js";
import { pipe, type Publish, type Said, said } from "./published.js";
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
  /** How long it may go without a heartbeat. */
  readonly heartbeatMs: number | undefined;
  /** What the last heartbeat of an earlier attempt said. */
  readonly details: Json | undefined;
  readonly body: StepBody;
  /** Called with what a heartbeat says, unless the body was stopped. */
  readonly heartbeat: (details: unknown) => void;
  /** Called with what the body publishes, unless it was stopped. */
  readonly publish: (said: Said) => void;
  /** Resolves when what waits to go out is little enough. */
  readonly room: () => Promise<void>;
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

  async #run(start: BodyStart, stop: RunningBody): Promise<void> {
    const { name, attempt, idempotencyKey, timeoutMs, details, body, ended } = start;
    const began = Date.now();
    const limits = new Limits(start, stop);
    const heartbeat = (details?: unknown): void => {
      if (!this.#running.has(stop)) return;
      limits.alive();
      start.heartbeat(details);
    };
    const publish: Publish = (topic, data, options) => {
      const written = said(topic, data, options);
      if (this.#running.has(stop)) start.publish(written);
    };
    const facts: BodyFacts = {
      attempt,
      idempotencyKey,
      signal: stop.signal,
      deadline: timeoutMs === undefined ? undefined : new Date(began + timeoutMs),
      details,
      heartbeat,
      publish,
      pipe: (topic, source, options) => pipe(publish, start.room, stop.signal, topic, source, options),
    };
    const result = await limits.within(() => bodyContext().run({ of: this.#marker, entry: name }, () => body(facts)));
    if (!this.#running.delete(stop)) return;
    const end = Date.now();
    this.longestMs = Math.max(this.longestMs, end - began);
    ended({ ...result, attempt, startedAt: new Date(began).toISOString(), endedAt: new Date(end).toISOString() });
  }
}

/** How long one body may take, and how long it may be silent. */
class Limits {
  readonly #start: BodyStart;
  readonly #stop: AbortController;
  readonly #late: Promise<never>;
  #reject: (error: Error) => void = () => undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;

  constructor(start: BodyStart, stop: AbortController) {
    this.#start = start;
    this.#stop = stop;
    this.#late = new Promise((_, reject) => {
      this.#reject = reject;
    });
    this.#late.catch(() => undefined);
    const { name, timeoutMs } = start;
    if (timeoutMs !== undefined) this.#timer = setTimeout(() => this.#end(`step \`${name}\` took longer than its time-out of ${timeoutMs} ms`), clamped(timeoutMs));
    this.alive();
  }

  /** A heartbeat has come: the silence begins anew. */
  alive(): void {
    const { name, heartbeatMs } = this.#start;
    if (heartbeatMs === undefined) return;
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#end(`step \`${name}\` gave no heartbeat for ${heartbeatMs} ms`), clamped(heartbeatMs));
  }

  /** The result of the body, or its error, or that it was too slow. */
  async within(body: () => Promise<RawJson>): Promise<{ ok: RawJson } | { err: WireError }> {
    try {
      return { ok: await Promise.race([body(), this.#late]) };
    } catch (error) {
      return { err: toWireError(error, true) };
    } finally {
      clearTimeout(this.#timer);
      clearTimeout(this.#silence);
    }
  }

  #end(message: string): void {
    const error = Object.assign(new Error(message), { name: "Timeout" });
    this.#reject(error);
    this.#stop.abort(error);
  }
}

/** What a timer of the host can hold. */
const clamped = (ms: number): number => Math.min(ms, 2 ** 31 - 1);
