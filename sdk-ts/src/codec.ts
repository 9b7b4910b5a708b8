/**
 * Codecs: how an app's own values are put into JSON, for types that JSON does not have, or for secrecy.
 */

/**
 * Puts an app's values into JSON and back. It is used for what the app itself writes and reads: results of steps and functions,
 * and inputs of functions. Events, signals and awakeables are others' to write, so they stay plain.
 *
 * `decode` also meets values that were written without the codec (an input from `curl`, a journal from before); it must
 * recognise its own form and give back the others as they are. Both must be pure.
 *
 * ```ts
 * const codec: Codec = {
 *   encode: (value) => ({ $s: superjson.serialize(value) }),
 *   decode: (json) => (isMine(json) ? superjson.deserialize(json.$s) : json),
 * };
 * ```
 */
export interface Codec {
  encode(value: unknown): unknown;
  decode(json: unknown): unknown;
}

/** Plain JSON. */
export const plain: Codec = { encode: (value) => value, decode: (json) => json };
