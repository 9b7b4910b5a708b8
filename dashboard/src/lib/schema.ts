/**
 * JSON Schema as far as a form needs it: which fields there are, what each takes, and a value to begin with. What a schema says beyond that
 * stays the app's business: the form never refuses a value that the app might take, because the JSON beside it can say anything.
 */
import type { Json } from "../api/types.ts";

export type Schema = { [name: string]: Json };

export interface Field {
  name: string;
  title: string;
  about: string;
  kind: "text" | "number" | "integer" | "boolean" | "choice" | "group" | "json";
  required: boolean;
  choices: Json[];
  schema: Schema;
}

const isObject = (value: Json | undefined): value is Schema => typeof value === "object" && value !== null && !Array.isArray(value);

/** Follows local references, so many at most that a circle ends. */
export function resolve(schema: Schema, root: Schema, depth = 0): Schema {
  const ref = schema.$ref;
  if (typeof ref !== "string" || !ref.startsWith("#/") || depth > 16) return schema;
  let target: Json | undefined = root;
  for (const part of ref.slice(2).split("/")) target = isObject(target) ? target[part.replaceAll("~1", "/").replaceAll("~0", "~")] : undefined;
  return isObject(target) ? resolve(target, root, depth + 1) : schema;
}

/** The fields of an object's schema; nothing when it is no object with named properties. */
export function fields(given: Schema | null, root: Schema | null = given): Field[] {
  if (!given || !root) return [];
  const schema = resolve(given, root);
  const properties = schema.properties;
  if (!isObject(properties)) return [];
  const required = Array.isArray(schema.required) ? schema.required : [];
  return Object.entries(properties).flatMap(([name, value]) => {
    if (!isObject(value)) return [];
    const own = resolve(value, root);
    const choices = Array.isArray(own.enum) ? own.enum : own.const !== undefined ? [own.const] : [];
    return [{ name, title: typeof own.title === "string" ? own.title : name, about: typeof own.description === "string" ? own.description : "", kind: kindOf(own, choices), required: required.includes(name), choices, schema: own }];
  });
}

function kindOf(schema: Schema, choices: Json[]): Field["kind"] {
  if (choices.length > 0) return "choice";
  const type = Array.isArray(schema.type) ? schema.type.find((one) => one !== "null") : schema.type;
  if (type === "string") return "text";
  if (type === "number" || type === "integer" || type === "boolean") return type;
  return isObject(schema.properties) ? "group" : "json";
}

/** A value that fits, to begin with. */
export function sample(given: Schema | null, root: Schema | null = given, depth = 0): Json {
  if (!given || !root || depth > 8) return null;
  const schema = resolve(given, root);
  if (schema.default !== undefined) return schema.default;
  if (Array.isArray(schema.examples) && schema.examples.length > 0) return schema.examples[0]!;
  if (schema.const !== undefined) return schema.const;
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return schema.enum[0]!;
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (type === "object" || isObject(schema.properties)) {
    const needed = fields(schema, root).filter((field) => field.required || schema.required === undefined);
    return Object.fromEntries(needed.map((field) => [field.name, sample(field.schema, root, depth + 1)]));
  }
  if (type === "array") return [];
  if (type === "string") return typeof schema.format === "string" && schema.format === "date-time" ? "2026-01-01T00:00:00.000Z" : "";
  if (type === "number" || type === "integer") return typeof schema.minimum === "number" ? schema.minimum : 0;
  if (type === "boolean") return false;
  return null;
}
