/**
 * Schemas at the edges: what comes in from others is parsed with the schema it was declared with, in each invocation anew.
 */
import { SchemaError } from "./errors.js";
import type { SchemaResult, StandardSchema } from "./types.js";

function unwrap<Out>(what: string, result: SchemaResult<Out>): Out {
  if (result.issues === undefined) return result.value;
  const lines = result.issues.map((issue) => {
    const path = (issue.path ?? []).map((part) => String(typeof part === "object" ? part.key : part)).join(".");
    return path === "" ? issue.message : `${path}: ${issue.message}`;
  });
  throw new SchemaError(what, lines);
}

/** Parses a value, at once if the schema can. Throws, or rejects with, `SchemaError`. */
export function parseWith<Out>(schema: StandardSchema<unknown, Out> | undefined, what: string, value: unknown): Out | Promise<Out> {
  if (schema === undefined) return value as Out;
  const result = schema["~standard"].validate(value);
  return result instanceof Promise ? result.then((r) => unwrap(what, r)) : unwrap(what, result);
}

/** What a schema takes, as JSON Schema, if its library can say it: for people and tools. */
export function jsonSchemaOf(schema: StandardSchema<any, any> | undefined): Record<string, unknown> | undefined {
  try {
    return schema?.["~standard"].jsonSchema?.input({ target: "draft-2020-12" });
  } catch {
    return undefined; // What cannot be written as JSON Schema, such as a date.
  }
}

/** Checks a value that is about to be sent; a schema that needs to wait is left to the receiver. Throws `SchemaError`. */
export function checkWith(schema: StandardSchema | undefined, what: string, value: unknown): void {
  const result = schema?.["~standard"].validate(value);
  if (result instanceof Promise) result.catch(() => undefined);
  else if (result !== undefined) unwrap(what, result);
}
