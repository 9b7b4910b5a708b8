/**
 * What follows from ids: the wire id of an entry, the digest of parameters, awakeable tokens, deterministic chance.
 *
 * Pure functions, exact to the byte; `tests/conformance/vectors.json` holds their inputs and outputs.
 */
import { MisuseError } from "../errors.js";
import { base64url, hex, sha256 } from "./sha256.js";

/** The longest wire id, in bytes of UTF-8. */
export const ENTRY_ID_BYTES_MAX = 256;

/** The digest of `{}`: what most steps have. */
const EMPTY_DIGEST = "44136fa355b3678a";
const encoder = new TextEncoder();
const ESCAPES: Record<string, string> = { "%": "%25", "/": "%2F", ":": "%3A", $: "%24" };

/** One segment of a path: escaped, and numbered if it is the k-th repeat. Refuses what is no id. */
export function segment(id: string, repeat: number): string {
  if (typeof id !== "string" || id === "") {
    throw new MisuseError(`failed to take ${JSON.stringify(id)} as an id: ids are texts of at least one character.`);
  }
  if (/\p{Cc}/u.test(id)) throw new MisuseError(`failed to take ${JSON.stringify(id)} as an id: it contains control characters.`);
  const escaped = id.replace(/[%/:$]/g, (c) => ESCAPES[c] ?? c);
  return repeat === 0 ? escaped : `${escaped}:${repeat}`;
}

/** A segment under a scope's path. Refuses paths that are too long. */
export function join(scope: string, last: string): string {
  const path = scope === "" ? last : `${scope}/${last}`;
  const bytes = path.length * 3 <= ENTRY_ID_BYTES_MAX ? 0 : encoder.encode(path).length;
  if (bytes > ENTRY_ID_BYTES_MAX) {
    throw new MisuseError(
      `failed to take the id \`${path.slice(0, 80)}…\`: with its scopes it has ${bytes} bytes, at most ${ENTRY_ID_BYTES_MAX} are allowed. ` +
        "Shorten the ids, or put long values into the step instead of its name.",
    );
  }
  return path;
}

/** The digest of an op's parameters: the first 16 hexadecimal digits of SHA-256 over their JSON. */
export function digest(paramsJson: string): string {
  return paramsJson === "{}" ? EMPTY_DIGEST : hex(sha256(paramsJson).subarray(0, 8));
}

/** The token of an awakeable: whoever holds it may settle the wait. */
export function awakeableToken(runId: string, secret: string, entry: string): string {
  const proof = hex(sha256(`${secret}/${entry}`)).slice(0, 32);
  return `awk_${runId.replace(/^run_/, "")}.${base64url(encoder.encode(entry))}.${proof}`;
}

function chance(runId: string, scope: string, counter: number): Uint8Array {
  return sha256(`${runId}\n${scope}\n${counter}`);
}

/** A number from 0 up to but not including 1. */
export function chanceNumber(runId: string, scope: string, counter: number): number {
  const view = new DataView(chance(runId, scope, counter).buffer);
  // 53 bits: the upper 32, and of the lower 32 all but 11.
  return (view.getUint32(0) * 2 ** 21 + (view.getUint32(4) >>> 11)) / 2 ** 53;
}

/** A UUID in the form of version 4. */
export function chanceUuid(runId: string, scope: string, counter: number): string {
  const bytes = chance(runId, scope, counter).slice(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return hex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
