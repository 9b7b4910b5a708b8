/**
 * Updates: named messages to one run whose sender gets an answer, declared once and used by the sender and the waiting run.
 */
import { MisuseError } from "./errors.js";
import type { InferInput, InferOutput, Json, Jsonify, StandardSchema } from "./types.js";

/** A declared update. */
export interface UpdateType<Input = unknown, Output = unknown, Result = unknown> {
  readonly update: string;
  readonly schema: StandardSchema<unknown, Output> | undefined;
  /** Only types: what the sender passes, and what the sender gets. */
  readonly $types?: { input: Input; result: Result };
}

/** An update that has come: answer it with `reply` or `reject`. The first answer counts; of a run that ends without one the sender gets an error. */
export interface Update<T, Result> {
  readonly timedOut: false;
  /** What tells this update from others: the sender's own id, if there was one. */
  readonly id: string;
  readonly data: T;
  /** Answers with a value. */
  reply(result: Result): void;
  /** Answers with an error; the sender's call throws it. */
  reject(error: Error | string): void;
}

/** What a wait for an update comes to: an update, or that none came in time. */
export type Updated<T, Result> = Update<T, Result> | { readonly timedOut: true };

/**
 * Declares an update, with the types of its data and of its answer, or with any Standard Schema for the data. What a schema refuses is
 * rejected before the handler hears of it.
 *
 * ```ts
 * const changeAddress = update<{ street: string }, { fee: number }>("change-address");
 * const change = await step.waitForUpdate("change", changeAddress, { timeout: "3d" });
 * if (!change.timedOut) change.reply({ fee: 0 });
 * ```
 */
export function update<Result, S extends StandardSchema>(name: string, schema: S): UpdateType<InferInput<S>, InferOutput<S>, Result>;
export function update<Data = Json, Result = Json>(name: string): UpdateType<Data, Jsonify<Data>, Result>;
export function update(name: string, schema?: StandardSchema): UpdateType<any, any, any> {
  if (typeof name !== "string" || name === "") throw new MisuseError("failed to declare an update: its name is empty.");
  return { update: name, schema };
}
