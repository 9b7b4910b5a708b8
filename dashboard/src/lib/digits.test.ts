/** No digit of a payload is lost between the server and the eye. */
import { expect, test } from "vitest";
import { Digits, line, parse, print } from "./digits.ts";

test("numbers that a double cannot hold stay as they were written", () => {
  const read = parse('{"id":12345678901234567890,"small":1.10,"tiny":1e-400,"list":[9007199254740993]}') as { id: unknown; list: unknown[] };
  // Engines without the source of a number fall back to doubles; the supported browsers have it.
  const source = JSON.parse("1", ((_k: string, _v: unknown, context?: { source?: string }) => context?.source) as never) as string | undefined;
  if (source === undefined) return;
  expect(read.id).toBeInstanceOf(Digits);
  expect(line(read)).toBe('{"id":12345678901234567890,"small":1.1,"tiny":1e-400,"list":[9007199254740993]}');
});

test("other numbers are numbers, in whatever notation", () => expect(parse("[1, 2.50, 1e3, -0.1, 1500000000000000]")).toEqual([1, 2.5, 1000, -0.1, 1.5e15]));
test("what is no JSON is an error", () => expect(() => parse("{")).toThrow(SyntaxError));
test("nothing prints as null", () => expect(print(undefined)).toBe("null"));
