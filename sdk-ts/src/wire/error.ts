/**
 * Errors on the wire: what was thrown becomes plain JSON, and what the journal holds becomes an error again.
 */
import { durationMs } from "../duration.js";
import { BranchesFailed, CancelledError, MisuseError, NestedStepError, NonRetriableError, RetryAfterError, SchemaError, StepError, UnserializableError } from "../errors.js";
import type { Duration, Json } from "../types.js";
import { writeJson } from "./json.js";
import { ERROR_CAUSES_MAX, ERROR_MESSAGE_CHARS_MAX, ERROR_STACK_CHARS_MAX } from "./limits.js";

/** An error as it crosses the wire. */
export interface WireError {
  name: string;
  message: string;
  code?: string;
  data?: Json;
  stack?: string;
  cause?: WireError;
  retryable?: boolean;
  retryAfter?: Duration;
}

const FINAL = [NonRetriableError, MisuseError, NestedStepError, UnserializableError, SchemaError];

/** Whether the error, or one that it was caused by, came out of the journal: it would come again on every replay. */
function delivered(error: unknown, depth = 0): boolean {
  if (error instanceof StepError || error instanceof CancelledError) return true;
  if (error instanceof BranchesFailed) return !error.retryable;
  return error instanceof Error && error.cause !== undefined && depth < ERROR_CAUSES_MAX && delivered(error.cause, depth + 1);
}

/** Whether trying again cannot help: in a step's body (`inBody`), or in a handler. */
export function isFinal(error: unknown, inBody: boolean): boolean {
  if (FINAL.some((kind) => error instanceof kind)) return true;
  return !inBody && !(error instanceof RetryAfterError) && delivered(error);
}

function retryAfterOf(error: unknown): Duration | undefined {
  if (!(error instanceof RetryAfterError)) return undefined;
  if (error.retryAfter instanceof Date) return Math.max(0, error.retryAfter.getTime() - Date.now());
  try {
    durationMs(error.retryAfter);
    return error.retryAfter;
  } catch {
    return undefined;
  }
}

function dataOf(error: { data?: unknown }): Json | undefined {
  if (error.data === undefined) return undefined;
  try {
    return writeJson("an error's data", error.data).value() as Json;
  } catch {
    return undefined; // An error must not fail over what is attached to it.
  }
}

/** Where this SDK's own code lies; empty where a bundler leaves no address. */
const OWN = import.meta.url ? new URL("../", import.meta.url).href : "";

/** A stack without the lines that only show how the SDK called the user's code. */
function usersPart(stack: string): string {
  if (OWN === "") return stack;
  return stack
    .split("\n")
    .filter((line) => !line.includes(OWN) && !/^\s+at .*\(?node:(internal|async_hooks)/.test(line))
    .join("\n");
}

function describe(thrown: unknown, depth: number): WireError {
  if (!(thrown instanceof Error)) {
    const message = typeof thrown === "string" ? thrown : `something that is not an Error was thrown: ${String(thrown)}`;
    return { name: "Error", message: message.slice(0, ERROR_MESSAGE_CHARS_MAX) };
  }
  const error = thrown as Error & { code?: unknown; data?: unknown };
  const wire: WireError = { name: String(error.name || "Error"), message: String(error.message).slice(0, ERROR_MESSAGE_CHARS_MAX) };
  if (typeof error.code === "string" || typeof error.code === "number") wire.code = String(error.code);
  const data = dataOf(error);
  if (data !== undefined) wire.data = data;
  if (typeof error.stack === "string") wire.stack = usersPart(error.stack).slice(0, ERROR_STACK_CHARS_MAX);
  if (error.cause !== undefined && depth < ERROR_CAUSES_MAX) wire.cause = describe(error.cause, depth + 1);
  return wire;
}

/** The JSON of whatever a step's body (`inBody`) or a handler threw. */
export function toWireError(thrown: unknown, inBody: boolean): WireError {
  const wire = describe(thrown, 0);
  wire.retryable = !isFinal(thrown, inBody);
  const retryAfter = retryAfterOf(thrown);
  if (retryAfter !== undefined) wire.retryAfter = retryAfter;
  return wire;
}

/** The error that a handler gets for an `err` of the journal. */
export function fromWireError(entry: string, wire: WireError): StepError {
  const cause = wire.cause === undefined ? undefined : fromWireError(entry, wire.cause);
  return new StepError(entry, wire.message, { ...wire, cause } as ConstructorParameters<typeof StepError>[2]);
}
