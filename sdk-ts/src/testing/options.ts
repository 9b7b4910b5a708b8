/**
 * What a test gives to a run: what started it, what its steps and children come to, where it crashes.
 */
import { appOf } from "../app.js";
import type { Codec } from "../codec.js";
import { MisuseError } from "../errors.js";
import type { EventDraft } from "../event.js";
import type { Failure, FunctionDefinition } from "../function.js";
import type { LabelOptions } from "../labels.js";
import type { Logger } from "../log.js";
import type { BodyFacts } from "../replay/entry.js";
import type { StepBody } from "../replay/bodies.js";
import { writeJson } from "../wire/json.js";
import type { InjectedFetch } from "./fetches.js";

/** Stands in for a step: a value, an error to throw, or what to do instead, given the attempt. */
export type Injected = unknown | Error | ((facts: BodyFacts) => unknown);

/** Where the handler's process dies. Each place is hit once. */
export interface CrashPoints {
  /** Entries whose step is about to begin. */
  before?: string[];
  /** Entries (or `done`, `fail`) that the server is just being told of, in an answer or a report: what was done is not recorded. */
  after?: string[];
  /** The answer or the report of this place, from 0, of those that the server took. */
  at?: number;
}

/** Attempts of a step that fail without running its body. */
export type FailingAttempts = readonly number[] | { readonly attempts: readonly number[]; readonly error: Error };

/** What a test gives to a run. */
export interface TestRunOptions extends LabelOptions {
  /** What the function is called with. */
  input?: unknown;
  /** The event that triggers it, instead of a call. */
  event?: EventDraft;
  /** The failure of a run of the function: not the function runs then, but its `onFailure`. */
  failure?: Failure;
  /** The time of a schedule that it is for, instead of a call: its schedule is called as the function. */
  tick?: { at: Date | string; previous?: Date | string };
  /** The key of the object, for a handler of one; that of the reference, or `"key"`, if left out. */
  key?: string;
  /** The state of the object that it begins with. */
  state?: Record<string, unknown>;
  /** The name its starter gives it. */
  runId?: string;
  /** The run's own id, `run_` and 26 characters; the same one each time if left out. What is made of it (`run.uuid()`, idempotency keys, tokens) differs with it. */
  id?: string;
  /** Where the handler's log goes; the app's logger if left out. */
  log?: Logger;
  /**
   * How the handler talks to the server: in one answer an invocation (`"respond"`, if left out), or in reports while it works
   * (`"checkpoint"`), as it does wherever it can reach the server. A correct handler comes to the same result in both.
   */
  mode?: "respond" | "checkpoint";
  /** When it starts: a fixed time if left out. */
  now?: Date | string;
  /** Stands in for the bodies of steps, by entry id. The others really run. */
  steps?: Record<string, Injected>;
  /** Attempts of steps that fail, by entry id: `{ charge: [1, 2] }` fails the first two, then its body runs. */
  failures?: Record<string, FailingAttempts>;
  /**
   * Results of awaited children, by `"function"` or `"app/function"`: a value, what to do with the input, or a function of an app, which is
   * then run like this one. The others stay open.
   */
  children?: Record<string, unknown | ((input: any) => unknown) | FunctionDefinition<any, any>>;
  /** Stands in for the calls that the server makes, by entry id. The others are really made, by this process. */
  fetches?: Record<string, InjectedFetch>;
  /** Where the process dies; `"everywhere"`: every answer, and every report, is lost once. */
  crash?: CrashPoints | "everywhere";
}

/** The body of an attempt that is to fail, if this one is. */
export function failingBody(failures: Record<string, FailingAttempts> | undefined, id: string, own: StepBody): StepBody {
  const failing = failures !== undefined && Object.hasOwn(failures, id) ? failures[id] : undefined;
  if (failing === undefined) return own;
  const [attempts, error] = "attempts" in failing ? [failing.attempts, failing.error] : [failing, undefined];
  return (facts) => {
    if (!attempts.includes(facts.attempt)) return own(facts);
    throw error ?? new Error(`attempt ${facts.attempt} of \`${id}\` was made to fail`);
  };
}

/** The body that stands in for a step's own, if there is one. */
export function injectedBody(steps: Record<string, Injected> | undefined, id: string, codec: Codec): StepBody | undefined {
  if (steps === undefined || !Object.hasOwn(steps, id)) return undefined;
  const injected = steps[id];
  return async (facts) => {
    const value = typeof injected === "function" ? await (injected as (facts: BodyFacts) => unknown)(facts) : injected;
    if (value instanceof Error) throw value;
    return writeJson(`the result of step \`${id}\``, codec.encode(value));
  };
}

/** The `onFailure` of a function, or itself if it is one. */
export function failureHandlerOf(fn: FunctionDefinition<any, any>): FunctionDefinition<any, any> {
  if (fn.failureOf !== undefined) return fn;
  const handler = [...appOf(fn).functions.values()].find((one) => one.failureOf === fn.function);
  if (handler === undefined) throw new MisuseError(`failed to prepare the failure of \`${fn.function}\`: it has no \`onFailure\`.`);
  return handler;
}
