/**
 * What people find runs by: tags, which are there or not, and attributes, which have a value. Read and bounded here, before they leave.
 */
import { MisuseError } from "./errors.js";

/** The value of an attribute. A `Date` becomes a text in RFC 3339, which is in the order of time. */
export type AttributeValue = string | number | boolean | Date;

/** Attributes by name. What is `undefined` is left out. */
export type Attributes = Readonly<Record<string, AttributeValue | undefined>>;

/** What a run is found by. */
export interface LabelOptions {
  /** At most 32 texts of at most 128 bytes. */
  tags?: readonly string[];
  /** At most 32 texts, numbers, booleans or dates by name. */
  attributes?: Attributes;
}

/** Labels as they are written. */
export interface Labels {
  readonly tags: readonly string[];
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
}

const TAGS_MAX = 32;
const TAG_BYTES_MAX = 128;
const ATTRIBUTES_MAX = 32;
const VALUE_BYTES_MAX = 1_024;
const LABELS_BYTES_MAX = 16 * 1_024;
const NAME = /^[A-Za-z0-9_.-]{1,64}$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

const encoder = new TextEncoder();

function checkText(what: string, text: unknown, bytesMax: number): void {
  if (typeof text !== "string") throw new MisuseError(`failed to set ${what}: it is not a text.`);
  const bytes = encoder.encode(text).length;
  if (bytes > bytesMax) throw new MisuseError(`failed to set ${what}: it has ${bytes} bytes, at most ${bytesMax} are allowed.`);
  if (CONTROL.test(text)) throw new MisuseError(`failed to set ${what}: it contains control characters.`);
}

/** Tags, each once, in order. Throws `MisuseError`. */
export function checkTags(tags: Iterable<string>): readonly string[] {
  const all = [...new Set(tags)].sort();
  for (const tag of all) {
    checkText(`the tag ${JSON.stringify(tag)}`, tag, TAG_BYTES_MAX);
    if (tag === "") throw new MisuseError("failed to set a tag: it is empty.");
  }
  if (all.length > TAGS_MAX) throw new MisuseError(`failed to set tags: there are ${all.length}, at most ${TAGS_MAX} are allowed.`);
  return all;
}

/** Attributes as they are written. Throws `MisuseError`. */
export function checkAttributes(attributes: Attributes): Labels["attributes"] {
  const written: Record<string, string | number | boolean> = {};
  let bytes = 0;
  for (const [name, given] of Object.entries(attributes)) {
    if (given === undefined) continue;
    const what = `the attribute ${JSON.stringify(name)}`;
    if (!NAME.test(name)) throw new MisuseError(`failed to set ${what}: a name has 1 to 64 of the characters A-Z, a-z, 0-9, _, - and .`);
    const value = given instanceof Date ? (Number.isNaN(given.getTime()) ? Number.NaN : given.toISOString()) : given;
    if (typeof value === "number") {
      if (!(Math.abs(value) <= Number.MAX_SAFE_INTEGER)) throw new MisuseError(`failed to set ${what}: ${String(given)} is no number within ±(2^53 − 1); write it as a text.`);
    } else if (typeof value !== "boolean") {
      checkText(what, value, VALUE_BYTES_MAX);
    }
    bytes += name.length + (typeof value === "string" ? encoder.encode(value).length : 8);
    Object.defineProperty(written, name, { value, enumerable: true, configurable: true, writable: true });
  }
  const count = Object.keys(written).length;
  if (count > ATTRIBUTES_MAX) throw new MisuseError(`failed to set attributes: there are ${count}, at most ${ATTRIBUTES_MAX} are allowed.`);
  if (bytes > LABELS_BYTES_MAX) throw new MisuseError(`failed to set attributes: names and values have ${bytes} bytes, at most ${LABELS_BYTES_MAX} are allowed.`);
  return written;
}

/** The options of a start or a child as they are written: nothing where nothing is said. */
export function writeLabels({ tags, attributes }: LabelOptions): { tags?: readonly string[]; attributes?: Labels["attributes"] } {
  const written = { tags: checkTags(tags ?? []), attributes: checkAttributes(attributes ?? {}) };
  return {
    ...(written.tags.length === 0 ? {} : { tags: written.tags }),
    ...(Object.keys(written.attributes).length === 0 ? {} : { attributes: written.attributes }),
  };
}
