/**
 * Objects: durable state under a key, and the handlers that work on it. Of the exclusive handlers of one key one runs at a time, in the
 * order of arrival; shared ones run at once and only read.
 *
 * This file declares; `state.ts` is what a handler reads and writes, `app.ts` defines.
 */
import { MisuseError } from "./errors.js";
import type { CancelTrigger, FunctionDefinition, FunctionRef, FunctionTimeouts, ObjectMode, RetryOptions } from "./function.js";
import type { Logger } from "./log.js";
import type { Run } from "./run.js";
import type { ReadState, State } from "./state.js";
import type { Step } from "./step.js";
import type { Json, Jsonify, StandardSchema } from "./types.js";
import type { Trigger } from "./wire/invocation.js";

/** What a shared handler is given. */
export interface SharedContext<S extends object = Record<string, Json>, In = Json> {
  /** Which object this is. */
  readonly key: string;
  /** Its state, as it was when the run began. */
  readonly state: ReadState<S>;
  /** What the handler was called with. */
  readonly input: In;
  /** How the run was started. */
  readonly trigger: Trigger;
  /** The durable calls. */
  readonly step: Step;
  /** Deterministic facts. */
  readonly run: Run;
  /** Silent while replaying. */
  readonly log: Logger;
  /** Fires when this invocation ends. */
  readonly signal: AbortSignal;
}

/** What an exclusive handler is given: nobody else changes the state while it runs. */
export interface ObjectContext<S extends object = Record<string, Json>, In = Json> extends Omit<SharedContext<S, In>, "state"> {
  /** The object's state. What is written is there at once for this handler, and for all others when it is durable. */
  readonly state: State<S>;
}

/** What a handler of an object is, besides its code. */
export interface ObjectHandlerOptions<In = unknown, Sent = unknown> {
  /** What people see; the id if left out. */
  name?: string;
  /** What its input must look like. */
  input?: StandardSchema<Sent, In>;
  /** When the handler is tried again after an error of its own. */
  retry?: RetryOptions;
  timeouts?: FunctionTimeouts;
  /** Events that cancel a run. */
  cancelOn?: readonly CancelTrigger[];
}

/** A handler, made by `exclusive` or `shared`. */
export interface ObjectHandler<In = any, Out = any> {
  readonly mode: ObjectMode;
  readonly options: ObjectHandlerOptions<any, any>;
  readonly handler: (context: any) => unknown;
  /** Only types. */
  readonly $types?: { input: In; output: Out };
}

/** The handlers of one object, as others call them. */
export type ObjectCalls<H extends Record<string, ObjectHandler>> = {
  readonly [K in keyof H]: H[K] extends ObjectHandler<infer In, infer Out> ? FunctionRef<In, Out> : never;
};

/** The handlers of an object of this code base, for one key. */
export type ObjectHandlers<H extends Record<string, ObjectHandler>> = {
  readonly [K in keyof H]: H[K] extends ObjectHandler<infer In, infer Out> ? FunctionDefinition<In, Out> : never;
};

/** An object: call it with a key, to get the handlers of that one. */
export interface ObjectDefinition<H extends Record<string, ObjectHandler> = Record<string, ObjectHandler>> {
  (key: string): ObjectHandlers<H>;
  readonly app: string;
  readonly object: string;
}

function handler(mode: ObjectMode, first: unknown, second: unknown): ObjectHandler {
  const [options, run] = typeof first === "function" ? [{}, first] : [first, second];
  if (typeof run !== "function") throw new MisuseError(`failed to define ${mode === "shared" ? "a shared" : "an exclusive"} handler: it is ${typeof run}, not a function. Write ${mode}(async ({ state }) => …).`);
  return { mode, options: options as ObjectHandlerOptions, handler: run as ObjectHandler["handler"] };
}

/**
 * A handler that is alone with its object while it runs, and may change its state.
 *
 * ```ts
 * const add = exclusive(async ({ state, input }: ObjectContext<Cart, Item>) => {
 *   state.set("items", [...(state.get("items") ?? []), input]);
 * });
 * ```
 */
export function exclusive<S extends object, In, Out>(run: (context: ObjectContext<S, In>) => Out | Promise<Out>): ObjectHandler<In, Jsonify<Out>>;
export function exclusive<S extends object, In, Out, Sent = In>(options: ObjectHandlerOptions<In, Sent>, run: (context: ObjectContext<S, In>) => Out | Promise<Out>): ObjectHandler<Sent, Jsonify<Out>>;
export function exclusive(first: unknown, second?: unknown): ObjectHandler {
  return handler("exclusive", first, second);
}

/**
 * A handler that runs beside whatever else runs, and only reads the state.
 *
 * ```ts
 * const total = shared(async ({ state }: SharedContext<Cart>) => (state.get("items") ?? []).reduce((sum, item) => sum + item.cents, 0));
 * ```
 */
export function shared<S extends object, In, Out>(run: (context: SharedContext<S, In>) => Out | Promise<Out>): ObjectHandler<In, Jsonify<Out>>;
export function shared<S extends object, In, Out, Sent = In>(options: ObjectHandlerOptions<In, Sent>, run: (context: SharedContext<S, In>) => Out | Promise<Out>): ObjectHandler<Sent, Jsonify<Out>>;
export function shared(first: unknown, second?: unknown): ObjectHandler {
  return handler("shared", first, second);
}

/** Checks the key of an object. Throws `MisuseError`. */
export function checkedKey(key: unknown, object: string): string {
  const bytes = typeof key === "string" ? new TextEncoder().encode(key).length : 0;
  if (bytes < 1 || bytes > 256) throw new MisuseError(`failed to take ${JSON.stringify(key)} as a key of the object \`${object}\`: keys are texts of 1 to 256 bytes.`);
  return key as string;
}

/**
 * Refers to an object by its name, `"app/object"`, or `"object"` for the caller's own app: for objects of other code bases and languages.
 *
 * ```ts
 * const cart = objectRef<{ add: ObjectHandler<Item, number> }>("shop/cart");
 * const total = await step.invoke("add", cart("user-17").add, { sku: "lamp", cents: 4_900 });
 * ```
 */
export function objectRef<H extends Record<string, ObjectHandler>>(name: string): (key: string) => ObjectCalls<H> {
  const [first, second, more] = name.split("/");
  if (!first || second === "" || more !== undefined) throw new MisuseError(`failed to refer to the object \`${name}\`: write "app/object", or "object" for the caller's own app.`);
  const [app, object] = second === undefined ? [undefined, first] : [first, second];
  return (key) => {
    checkedKey(key, object);
    // Which handlers there are only the types know, since the object may be another code base's.
    return new Proxy({}, { get: (_, id) => (typeof id === "string" && id !== "then" ? { app, function: `${object}/${id}`, key } : undefined) }) as ObjectCalls<H>;
  };
}
