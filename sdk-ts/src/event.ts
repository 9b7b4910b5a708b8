/**
 * Events: named facts that start functions and wake waiting runs, declared once and used on both sides.
 */
import { MisuseError } from "./errors.js";
import { checkWith } from "./schema.js";
import type { InferInput, InferOutput, Json, Jsonify, StandardSchema } from "./types.js";

/** An event that is to be sent. */
export interface EventDraft<Name extends string = string, Data = unknown> {
  readonly name: Name;
  readonly data: Data;
  /** Dedupes: of two events with one id the server takes the first. */
  readonly id?: string;
}

/** An event as a handler gets it. */
export interface ReceivedEvent<Name extends string = string, Data = Json> {
  readonly id: string;
  readonly name: Name;
  readonly data: Data;
  /** When the server accepted it: RFC 3339. */
  readonly at: string;
}

/** A declared event: call it to make a draft, name it in `on` or `step.waitForEvent` to receive it. */
export interface EventType<Name extends string = string, Input = unknown, Output = unknown> {
  (...args: undefined extends Input ? [data?: Input, options?: DraftOptions] : [data: Input, options?: DraftOptions]): EventDraft<Name, Input>;
  /** The event's name; `Function.name` has the same value. */
  readonly event: Name;
  readonly schema: StandardSchema<unknown, Output> | undefined;
}

/** Options of one draft. */
export interface DraftOptions {
  /** Dedupes: of two events with one id the server takes the first. */
  id?: string;
}

/**
 * Declares an event, with the type of its data or with any Standard Schema. With a schema the sender's data is checked, and the
 * receiver gets the schema's output; without one the receiver gets the data's JSON form.
 *
 * ```ts
 * const orderCreated = event("order/created", z.object({ id: z.string(), cents: z.number() }));
 * const paid = event<{ id: string }>("payment/settled");
 * await client.send(orderCreated({ id: "17", cents: 999 }));
 * ```
 */
export function event<Name extends string, S extends StandardSchema>(name: Name, schema: S): EventType<Name, InferInput<S>, InferOutput<S>>;
export function event<Data = Json>(name: string): EventType<string, Data, Jsonify<Data>>;
export function event(name: string, schema?: StandardSchema): EventType<string, any, any> {
  if (typeof name !== "string" || name === "") throw new MisuseError("failed to declare an event: its name is empty.");
  const make = (data: unknown, options: DraftOptions = {}): EventDraft => {
    checkWith(schema, `the data of event \`${name}\``, data);
    return {
      name,
      data: data === undefined ? null : data,
      ...(options.id === undefined ? {} : { id: options.id }),
    };
  };
  Object.defineProperty(make, "name", { value: name });
  return Object.assign(make, { event: name, schema }) as unknown as EventType<string, any, any>;
}

/** A point in time as the wire has it. Throws `MisuseError`. */
export function pointInTime(at: Date | string, what: string): string {
  const date = at instanceof Date ? at : new Date(at);
  if (Number.isNaN(date.getTime())) throw new MisuseError(`failed to read ${what}: ${String(at)} is no point in time. Use a Date or an RFC 3339 text.`);
  return date.toISOString();
}
