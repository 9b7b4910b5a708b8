/**
 * JSON whose numbers keep their digits. The server copies payloads byte for byte, and JSON.parse would show 12345678901234567890 as
 * 12345678901234567000: a lie in a tool that people debug with. Numbers that a double cannot hold become [`Digits`], which print as they were.
 */

/** A number that JavaScript cannot hold, as it was written. */
export class Digits {
  readonly source: string;
  constructor(source: string) {
    this.source = source;
  }
  /** What JSON.stringify is given, where the engine knows raw JSON; else the nearest double. */
  toJSON(): unknown {
    const raw = (JSON as unknown as { rawJSON?: (text: string) => unknown }).rawJSON;
    return raw ? raw(this.source) : Number(this.source);
  }
}

/** Whether a text may hold a number with more digits than a double has. */
const SUSPICIOUS = /\d{16}|\d\.\d{15}|[eE][+-]?\d{3}/;

/** Reads JSON; throws SyntaxError as JSON.parse does. */
export function parse(text: string): unknown {
  if (!SUSPICIOUS.test(text)) return JSON.parse(text);
  return JSON.parse(text, ((_key: string, value: unknown, context?: { source?: string }) => {
    const source = context?.source;
    if (typeof value !== "number" || source === undefined || same(value, source)) return value;
    return new Digits(source);
  }) as (key: string, value: unknown) => unknown);
}

/** Prints JSON for people: two spaces, every digit. */
export const print = (value: unknown): string => JSON.stringify(value ?? null, null, 2);

/** Prints JSON on one line. */
export const line = (value: unknown): string => JSON.stringify(value ?? null);

/** Whether a double prints as the digits that it was read from, up to notation. */
function same(value: number, source: string): boolean {
  return String(value) === source || significant(String(value)) === significant(source);
}

/** Digits without sign, point, exponent and outer zeros: `1.50e3` and `1500` have the same. */
function significant(text: string): string {
  return (text.toLowerCase().split("e")[0] ?? "").replace(/[-+.]/g, "").replace(/^0+|0+$/g, "");
}
