/**
 * Types that the whole surface shares: JSON, the JSON form of a type, durations, and the shape of a schema.
 *
 * Nothing here exists at run time. `StandardSchema` is the structural part of the Standard Schema convention
 * (https://standardschema.dev) that this SDK uses, so that any library that follows it fits without being imported.
 */

/** A JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * A length of time: integer milliseconds, or integers with the units `ms`, `s`, `m`, `h`, `d`, `w`, as in `"1h30m"`.
 * At most ten years.
 *
 * ```ts
 * await step.sleep("cool-off", "1h30m");
 * ```
 */
export type Duration = number | string;

type Unwritable = bigint | symbol | ((...args: never[]) => unknown) | ReadonlyMap<unknown, unknown> | ReadonlySet<unknown>;
type IsAny<T> = 0 extends 1 & T ? true : false;
type Droppable<T> = undefined extends T ? true : [Exclude<T, undefined>] extends [Unwritable] ? true : false;
type RequiredKeys<T> = { [K in keyof T]-?: K extends string | number ? (Droppable<T[K]> extends true ? never : K) : never }[keyof T];
type OptionalKeys<T> = {
  [K in keyof T]-?: K extends string | number ? (undefined extends T[K] ? ([Exclude<T[K], undefined>] extends [Unwritable] ? never : K) : never) : never;
}[keyof T];
type Flatten<T> = { [K in keyof T]: T[K] };
type JsonifyObject<T> = Flatten<
  { [K in RequiredKeys<T>]: Jsonify<T[K]> } & { [K in OptionalKeys<T>]?: Jsonify<Exclude<T[K], undefined>> }
>;

/**
 * What a value of type `T` is after it went through JSON: a `Date` is a string, `undefined` is `null`, methods are gone,
 * and what JSON cannot hold is `never`. Handlers always see this form, on the first try as well as after a crash.
 *
 * ```ts
 * type Row = Jsonify<{ at: Date; note?: string }>; // { at: string; note?: string }
 * ```
 */
export type Jsonify<T> =
  IsAny<T> extends true ? T
  : unknown extends T ? Json
  : [T] extends [never] ? never
  : T extends Json ? T
  : T extends { toJSON(...args: never[]): infer J } ? Jsonify<J>
  : T extends undefined | void ? null
  : T extends Unwritable ? never
  : T extends readonly unknown[] ? { [I in keyof T]: Jsonify<T[I]> }
  : T extends object ? JsonifyObject<T>
  : never;

/** What a schema says about a value. */
export type SchemaResult<Out> =
  | { readonly value: Out; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string; readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined }[] };

/** Any schema that follows the Standard Schema convention, version 1: zod, valibot, arktype and others. */
export interface StandardSchema<In = unknown, Out = In> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Out> | Promise<SchemaResult<Out>>;
    readonly types?: { readonly input: In; readonly output: Out } | undefined;
    /** Of libraries that can say it: what the schema takes, as JSON Schema. Shown to people and tools. */
    readonly jsonSchema?: { input(options: { target: "draft-2020-12" }): Record<string, unknown> } | undefined;
  };
}

/** The type that a schema accepts. */
export type InferInput<S extends StandardSchema> = NonNullable<S["~standard"]["types"]>["input"];
/** The type that a schema produces. */
export type InferOutput<S extends StandardSchema> = NonNullable<S["~standard"]["types"]>["output"];
