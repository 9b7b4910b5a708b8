/**
 * The errors of the surface: what a handler throws to steer retries, and what it may catch.
 *
 * Which error becomes which JSON is decided in `wire/error.ts`. Names are part of the protocol: they cross the wire, and
 * handlers in other languages match on them.
 */
import type { Duration, Json } from "./types.js";
import { FAILURES_NAMED_MAX } from "./wire/limits.js";

/** What may be attached to an error that crosses the wire. */
export interface ErrorDetails {
  /** What people and programs match on; the class's name if left out. */
  name?: string;
  /** A code for programs. */
  code?: string;
  /** Anything JSON can hold. */
  data?: unknown;
  /** The error that led to this one. */
  cause?: unknown;
}

function attach(error: Error & { code?: string; data?: unknown }, name: string, details: ErrorDetails): void {
  error.name = details.name ?? name;
  if (details.code !== undefined) error.code = details.code;
  if (details.data !== undefined) error.data = details.data;
}

function causeOf(details: ErrorDetails): ErrorOptions | undefined {
  return details.cause === undefined ? undefined : { cause: details.cause };
}

/**
 * Thrown in a step's body or in a handler: no further attempt will help.
 *
 * ```ts
 * await step.run("pay", () => { throw new NonRetriableError("card declined", { name: "CardDeclined", data: { limit: 5 } }); });
 * ```
 */
export class NonRetriableError extends Error {
  declare readonly code?: string;
  declare readonly data?: unknown;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, causeOf(details));
    attach(this, "NonRetriableError", details);
  }
}

/**
 * Thrown in a step's body or in a handler: try again, but not before `retryAfter` is over.
 *
 * ```ts
 * if (response.status === 429) throw new RetryAfterError("rate limited", "90s");
 * ```
 */
export class RetryAfterError extends Error {
  declare readonly code?: string;
  declare readonly data?: unknown;
  /** How long to wait: a duration, or the point in time. */
  readonly retryAfter: Duration | Date;

  constructor(message: string, retryAfter: Duration | Date, details: ErrorDetails = {}) {
    super(message, causeOf(details));
    attach(this, "RetryAfterError", details);
    this.retryAfter = retryAfter;
  }
}

/**
 * What a durable call rejects with: the error of a step whose attempts are used up, of a child, or of an awakeable's holder.
 * It comes from the journal, so it is the same on every replay. `name` is the original error's name.
 *
 * ```ts
 * try { await step.run("pay", pay); }
 * catch (e) { if (e instanceof StepError && e.name === "CardDeclined") await step.run("tell", tell); else throw e; }
 * ```
 */
export class StepError extends Error {
  /** The id of the entry in the journal. */
  readonly entry: string;
  /** The original error's code, if it had one. */
  readonly code?: string;
  /** What the original error had attached. */
  readonly data?: Json;

  constructor(entry: string, message: string, details: { name?: string; code?: string; data?: Json; cause?: unknown; stack?: string } = {}) {
    super(message, causeOf(details));
    this.name = details.name ?? "StepError";
    this.entry = entry;
    if (details.code !== undefined) this.code = details.code;
    if (details.data !== undefined) this.data = details.data;
    if (details.stack !== undefined) this.stack = details.stack;
  }
}

/**
 * The run was cancelled: what was open at that moment rejects with this. What is called afterwards runs normally, so catch it
 * to put things right, and throw it again.
 *
 * ```ts
 * try { await step.waitForSignal("approval", approve); }
 * catch (e) { if (e instanceof CancelledError) await step.run("refund", refund); throw e; }
 * ```
 */
export class CancelledError extends Error {
  override readonly name = "CancelledError";

  constructor(message = "the run was cancelled") {
    super(message);
  }
}

/** A branch or an item that failed, as an error lists it. */
export interface FailedBranch {
  /** Its place, from 0. */
  readonly index: number;
  /** The item's key, in a fan-out. */
  readonly key?: string;
  readonly error: { readonly name: string; readonly message: string; readonly code?: string };
}

/** Too much of what ran side by side has failed. */
export abstract class BranchesFailed extends Error {
  /** What each of them failed with, in their order. */
  readonly errors: readonly unknown[];
  /** Whether the handler's retries may help: not where what failed has had its own. */
  readonly retryable: boolean;

  constructor(message: string, failed: readonly FailedBranch[], errors: readonly unknown[], retryable: boolean) {
    const named = failed.slice(0, FAILURES_NAMED_MAX).map(({ key, index, error }) => `${key ?? index} (${error.name}: ${error.message})`);
    super(`${message}: ${named.join(", ")}${errors.length > named.length ? ", …" : ""}`);
    this.errors = errors;
    this.retryable = retryable;
  }
}

/**
 * More items of a `step.map` have failed than `toleratedFailures` allows. Everything that had begun has ended; what had not was not begun.
 *
 * ```ts
 * try { await step.map("mails", users, send, { key: (u) => u.id, toleratedFailures: "1%" }); }
 * catch (e) { if (e instanceof MapFailed) log.error("not sent", e.data.failed.map((f) => f.key)); throw e; }
 * ```
 */
export class MapFailed extends BranchesFailed {
  override readonly name = "MapFailed";
  /** How many items there are, how many failed and how many might have, and the failed ones in their order: at most the first 100. */
  readonly data: { readonly items: number; readonly failures: number; readonly tolerated: number; readonly failed: readonly (FailedBranch & { readonly key: string })[] };

  constructor(data: MapFailed["data"], errors: readonly unknown[], retryable: boolean) {
    super(`${data.failures} of ${data.items} items failed, ${data.tolerated} may`, data.failed, errors, retryable);
    this.data = data;
  }
}

/** Every branch of a `step.any` has failed. */
export class AnyFailed extends BranchesFailed {
  override readonly name = "AnyFailed";
  /** How many failed, and what with: at most the first 100. */
  readonly data: { readonly failures: number; readonly failed: readonly FailedBranch[] };

  constructor(data: AnyFailed["data"], errors: readonly unknown[], retryable: boolean) {
    super(`all ${data.failures} branches failed`, data.failed, errors, retryable);
    this.data = data;
  }
}

/** A durable call was made inside a step's body, where it has no place in the journal. Not retryable. */
export class NestedStepError extends Error {
  override readonly name = "NestedStepError";

  constructor(inner: string, outer: string) {
    super(
      `failed to create \`${inner}\` inside the body of \`${outer}\`: a body is one unit of work and has no entries of its own. ` +
        `Call it in the handler, before or after \`${outer}\`; to group several, use step.scope.`,
    );
  }
}

/** A value that JSON cannot hold. It would be something else after a crash, so it is refused. Not retryable. */
export class UnserializableError extends Error {
  override readonly name = "UnserializableError";
  /** Where the value is, such as `$.items[3].price`. */
  readonly path: string;

  constructor(what: string, path: string, kind: string, advice: string) {
    super(`failed to write ${what} as JSON: ${path} is ${kind}. ${advice}`);
    this.path = path;
  }
}

/** The SDK was used in a way that cannot work; the message says what to change. Not retryable. */
export class MisuseError extends Error {
  override readonly name = "MisuseError";
}

/** An input, event or signal does not match the schema that it was declared with. Not retryable. */
export class SchemaError extends Error {
  override readonly name = "SchemaError";
  /** One line per problem. */
  readonly issues: readonly string[];

  constructor(what: string, issues: readonly string[]) {
    super(`failed to accept ${what}: it does not match its schema: ${issues.join("; ")}`);
    this.issues = issues;
  }
}
