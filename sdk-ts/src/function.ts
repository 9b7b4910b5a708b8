/**
 * Functions: what a user defines, what others call them by, and what a handler is given.
 */
import { MisuseError } from "./errors.js";
import type { EventType, ReceivedEvent } from "./event.js";
import type { Logger } from "./log.js";
import type { Run } from "./run.js";
import type { Step } from "./step.js";
import type { Duration, Json, Jsonify, StandardSchema } from "./types.js";
import type { Trigger as WireTrigger } from "./wire/invocation.js";

/** When a failed attempt is tried again. What is left out is the server's default: 5 attempts, from 1 s, doubling, at most 1 h, ±20 %. */
export interface RetryOptions {
  /** How many attempts in all. */
  attempts?: number;
  /** The first pause. */
  initialInterval?: Duration;
  /** By how much each pause is longer than the one before. */
  factor?: number;
  /** The longest pause. */
  maxInterval?: Duration;
  /** By which share a pause may differ, 0 to 1. */
  jitter?: number;
  /** Names of errors that no retry helps. */
  nonRetryable?: string[];
}

/** How long things may take. */
export interface FunctionTimeouts {
  /** From its creation until its first invocation. */
  start?: Duration;
  /** From its creation until its end. */
  run?: Duration;
  /** One invocation. */
  invocation?: Duration;
}

/** An event that cancels a run. */
export interface CancelTrigger {
  /** The event. */
  event: EventType<any, any, any> | string;
  /**
   * Which runs: a CEL filter over `event` (what triggered the run) and `async` (the event that may cancel it), with an equality to
   * look the runs up by, such as `async.data.orderId == event.data.orderId`.
   */
  if: string;
}

/** What `onFailure` is started with. */
export interface Failure {
  /** The run that has failed for good. */
  readonly run: { readonly id: string; readonly app: string; readonly function: string; readonly name: string | null };
  /** Why. */
  readonly error: { readonly name: string; readonly message: string; readonly code?: string; readonly data?: Json };
  /** What it was started with. */
  readonly input: Json;
}

/** How a schedule goes about its times. */
export interface ScheduleOptions {
  /** What the schedule is called, unique in the app: the function's id if left out. A function with several gives each its own. */
  id?: string;
  /** By how much at most a tick is put off; always the same for the same tick. */
  jitter?: Duration;
  /**
   * What becomes of a tick while the run of an earlier one goes on. `skip` (if left out): it has no run. `bufferOne`: it waits for the other to end,
   * and a later one takes its place. `bufferAll`: it waits for its turn, and so do later ones. `cancelOther`: the other is cancelled first. `allow`: it begins at once.
   */
  overlap?: "skip" | "bufferOne" | "bufferAll" | "cancelOther" | "allow";
  /** How late a tick may still have its run, when the server was away: a day if left out. */
  catchUp?: Duration;
  /** The input of its runs; `null` if left out. */
  input?: Json;
}

/** Starts a function at the local times of a cron line. */
export interface CronTrigger extends ScheduleOptions {
  /** Minute, hour, day of month, month, day of week; with seconds in front, if there are six fields; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. */
  cron: string;
  /** Such as `Europe/Berlin`; UTC if left out. */
  tz?: string;
}

/** Starts a function at equal intervals, counted from the beginning of 1970. */
export interface IntervalTrigger extends ScheduleOptions {
  /** At least a second. */
  every: Duration;
  /** How much later than the multiples of the interval. */
  offset?: Duration;
}

/** The time of a schedule that a run is for. */
export interface Tick {
  /** The schedule, as `app/schedule`. */
  readonly schedule: string;
  /** The logical time: when the tick was due, however late or often its run is made. */
  readonly at: Date;
  /** The logical time of the tick before it that had a run; null for the first. In a backfill, the time before it. */
  readonly previous: Date | null;
}

/** Starts a function for the events that a CEL filter over `event` lets through. */
export interface FilteredTrigger<E extends EventType<any, any, any> = EventType<any, any, any>> {
  event: E;
  if: string;
}

/** What starts a function by itself. */
export type Trigger = EventType<any, any, any> | FilteredTrigger | CronTrigger | IntervalTrigger | string;

type EventOf<T> =
  T extends EventType<infer Name, any, infer Output> ? ReceivedEvent<Name, Output>
  : T extends FilteredTrigger<infer E> ? EventOf<E>
  : T extends string ? ReceivedEvent<T, Json>
  : never;

/** The event that a handler gets, by its triggers. */
export type TriggeredBy<On extends readonly Trigger[]> = [EventOf<On[number]>] extends [never] ? ReceivedEvent<string, Json> : EventOf<On[number]>;

/** What a function is, besides its code. */
export interface FunctionOptions<On extends readonly Trigger[] = readonly Trigger[], In = unknown, Sent = unknown> {
  /** Unique in the app. Runs are found by it: do not change it while there are any. */
  id: string;
  /** What people see; the id if left out. */
  name?: string;
  /** What starts it; nothing but calls if left out. */
  on?: On;
  /** What its input must look like, when it is called and not triggered. */
  input?: StandardSchema<Sent, In>;
  /** When the handler is tried again after an error of its own; steps have theirs. */
  retry?: RetryOptions;
  /** How long its runs may take, to begin, to end, and in one invocation. What takes longer fails with `Timeout`. */
  timeouts?: FunctionTimeouts;
  /** Events that cancel a run. */
  cancelOn?: readonly CancelTrigger[];
  /** A function of its own, `<id>.onFailure`, that is started for each run that fails for good: to tell somebody, to clean up. */
  onFailure?: Handler<[], Failure>;
}

/** What a handler is given. */
export interface Context<On extends readonly Trigger[] = readonly Trigger[], In = Json> {
  /**
   * What triggered the run. A run that was called and not triggered has an event made of its call: `name` is `backstitch/call`,
   * `backstitch/invoke`, `backstitch/failure` or `backstitch/schedule`, `data` is the input.
   */
  readonly event: TriggeredBy<On>;
  /** What the run was started with; the event's data if an event started it. */
  readonly input: In;
  /** How the run was started, in full. */
  readonly trigger: WireTrigger;
  /** Which time of a schedule the run is for; undefined if no schedule started it. */
  readonly tick: Tick | undefined;
  /** The durable calls. */
  readonly step: Step;
  /** Deterministic facts. */
  readonly run: Run;
  /** Silent while replaying. */
  readonly log: Logger;
  /** Fires when this invocation ends, for whatever reason: tie to it what lives outside of steps, since `finally` may never run. */
  readonly signal: AbortSignal;
}

/** A handler. It must be deterministic outside of steps. */
export type Handler<On extends readonly Trigger[] = readonly Trigger[], In = Json, Out = unknown> = (context: Context<On, In>) => Out | Promise<Out>;

/** What a function can be called by: a definition of this code base, or a reference to one elsewhere. */
export interface FunctionRef<In = unknown, Out = unknown> {
  /** The app it lives in; the caller's own if undefined. */
  readonly app: string | undefined;
  /** Its id; of a handler of an object `object/handler`. */
  readonly function: string;
  /** The key of the object, for a handler of one. */
  readonly key?: string;
  /** Only types. */
  readonly $types?: { input: In; output: Out };
}

/** A defined function. */
export interface FunctionDefinition<In = unknown, Out = unknown> extends FunctionRef<In, Out> {
  readonly app: string;
  readonly options: FunctionOptions;
  readonly handler: Handler<any, any, unknown>;
  /** Whose failures start it, if it is an `onFailure`. */
  readonly failureOf?: string;
  /** How it works on its object, if it is a handler of one. */
  readonly mode?: ObjectMode;
}

/** How a handler works on its object: one at a time, or at once beside others and without changing it. */
export type ObjectMode = "exclusive" | "shared";

/**
 * Refers to a function by its name, `"app/function"`, or `"function"` for the caller's own app: for functions of other code bases and languages.
 *
 * ```ts
 * const charge = functionRef<{ cents: number }, { id: string }>("billing/charge");
 * const { id } = await step.invoke("bill", charge, { cents: 100 });
 * ```
 */
export function functionRef<In = Json, Out = Json>(name: string): FunctionRef<In, Jsonify<Out>> {
  const [first, second, more] = name.split("/");
  if (!first || second === "" || more !== undefined) {
    throw new MisuseError(`failed to refer to the function \`${name}\`: write "app/function", or "function" for the caller's own app.`);
  }
  return second === undefined ? { app: undefined, function: first } : { app: first, function: second };
}
