/**
 * Signals: named messages to one run, declared once and used by the sender and the waiting run.
 */
import { MisuseError } from "./errors.js";
import type { InferInput, InferOutput, Json, Jsonify, StandardSchema } from "./types.js";

/** A declared signal. */
export interface SignalType<Input = unknown, Output = unknown> {
  readonly signal: string;
  readonly schema: StandardSchema<unknown, Output> | undefined;
  /** Only a type: what the sender passes. */
  readonly $input?: Input;
}

/**
 * Declares a signal, with the type of its payload or with any Standard Schema.
 *
 * ```ts
 * const approve = signal<{ by: string }>("approve");
 * const answer = await step.waitForSignal("approval", approve, { timeout: "3d" });
 * if (!answer.timedOut) log.info(`approved by ${answer.data.by}`);
 * ```
 */
export function signal<S extends StandardSchema>(name: string, schema: S): SignalType<InferInput<S>, InferOutput<S>>;
export function signal<Data = Json>(name: string): SignalType<Data, Jsonify<Data>>;
export function signal(name: string, schema?: StandardSchema): SignalType<any, any> {
  if (typeof name !== "string" || name === "") throw new MisuseError("failed to declare a signal: its name is empty.");
  return { signal: name, schema };
}
