/**
 * Values on their way into the journal: written once, at once, and checked, so that nothing turns into something else silently.
 */
import { MisuseError, UnserializableError } from "../errors.js";
import { NOTE_BYTES_MAX } from "./limits.js";

/** A piece of JSON that is already text. Printed as it is; for anybody else it is the value. */
export class RawJson {
  constructor(readonly text: string) {}

  /** The value that the text stands for. */
  value(): unknown {
    return JSON.parse(this.text);
  }

  /** Lets `JSON.stringify` show the value. */
  toJSON(): unknown {
    return this.value();
  }
}

/** Built-in objects that `JSON.stringify` would turn into `{}` or into an object of indices. */
const OPAQUE: Record<string, string> = {
  Map: "Use Object.fromEntries(map), or an array of pairs.",
  Set: "Use an array: [...set].",
  WeakMap: "Weak collections cannot be read.",
  WeakSet: "Weak collections cannot be read.",
  RegExp: "Use its source, a string.",
  Error: "Throw it, or return its name and message.",
  Promise: "Await it first.",
  ArrayBuffer: "Encode bytes as base64.",
  Generator: "Use an array: [...items].",
};

/** Why JSON cannot hold a value as it is, or null if it can (as far as its own level goes). */
function objection(value: unknown): { kind: string; advice: string } | null {
  switch (typeof value) {
    case "bigint":
      return { kind: "a bigint", advice: "Use a string: value.toString()." };
    case "function":
      return { kind: "a function", advice: "Return data; functions cannot be stored." };
    case "symbol":
      return { kind: "a symbol", advice: "Use a string." };
    case "number":
      return Number.isFinite(value) ? null : { kind: `the number ${value}`, advice: "JSON has no such number: use null or a string." };
    case "object": {
      if (value === null || Array.isArray(value)) return null;
      if (ArrayBuffer.isView(value)) return { kind: "binary data", advice: "Encode bytes as base64." };
      const tag = Object.prototype.toString.call(value).slice(8, -1);
      const advice = Object.hasOwn(OPAQUE, tag) ? OPAQUE[tag] : undefined;
      return advice === undefined ? null : { kind: `a ${tag}`, advice };
    }
    default:
      return null;
  }
}

const step = (path: string, key: string | number): string =>
  typeof key === "number" ? `${path}[${key}]` : /^[A-Za-z_]\w*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;

/** Walks a value as `JSON.stringify` would, and throws at the first thing that it would lose. */
function inspect(what: string, value: unknown, path: string, key: string, above: Set<object>): void {
  const binary = typeof value === "object" && value !== null && ArrayBuffer.isView(value);
  const convertible = value as { toJSON?: (key: string) => unknown } | null | undefined;
  if (!binary && (typeof value === "object" || typeof value === "bigint") && typeof convertible?.toJSON === "function") value = convertible.toJSON(key);
  const reason = objection(value);
  if (reason !== null) throw new UnserializableError(what, path, reason.kind, reason.advice);
  if (typeof value !== "object" || value === null) return;
  if (above.has(value)) throw new UnserializableError(what, path, "part of a cycle", "Break the cycle, for instance by storing an id.");
  above.add(value);
  if (Array.isArray(value)) value.forEach((item, i) => inspect(what, item, step(path, i), String(i), above));
  else for (const name of Object.keys(value)) inspect(what, (value as Record<string, unknown>)[name], step(path, name), name, above);
  above.delete(value);
}

/**
 * The JSON of a value; `undefined` is `null`. Throws `UnserializableError`, which names the path, for what JSON cannot hold.
 * `what` says whose value it is.
 */
export function writeJson(what: string, value: unknown): RawJson {
  if (value instanceof RawJson) return value;
  if (typeof value === "string" || typeof value === "boolean" || value === null || value === undefined) return new RawJson(JSON.stringify(value ?? null));
  inspect(what, value, "$", "", new Set());
  return new RawJson(JSON.stringify(value) ?? "null");
}

/** The JSON of what only tells how things stand. Throws `MisuseError` if it is larger than the server takes. */
export function writeNote(what: string, value: unknown): RawJson {
  const written = writeJson(what, value);
  return bounded(what, written, NOTE_BYTES_MAX, "Store it elsewhere and show where.");
}

/** The JSON as it is, if it has no more than so many bytes. Throws `MisuseError` otherwise. */
export function bounded(what: string, written: RawJson, bytesMax: number, advice: string): RawJson {
  const bytes = written.text.length * 3 <= bytesMax ? 0 : new TextEncoder().encode(written.text).length;
  if (bytes > bytesMax) throw new MisuseError(`failed to write ${what}: it takes ${bytes} bytes, at most ${bytesMax} are allowed. ${advice}`);
  return written;
}
