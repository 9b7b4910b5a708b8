/** Spans, distances and ticks as people read them. */
import { expect, test } from "vitest";
import { relative, span, tick } from "./time.ts";

test.each([
  [0, "0ms"], [999, "999ms"], [1_000, "1s"], [2_449, "2.4s"], [59_600, "1m"], [65_000, "1m 5s"], [3_600_000, "1h"], [3_900_000, "1h 5m"],
  [86_400_000, "1d"], [100_000_000, "1d 4h"], [-5_000, "-5s"], [Number.NaN, "–"],
])("a span of %d is %s", (ms, expected) => expect(span(ms)).toBe(expected));

test.each([
  [-500, "now"], [-5_000, "5s ago"], [-59_000, "59s ago"], [-125_000, "2m ago"], [7_260_000, "in 2h 1m"], [-3 * 86_400_000, "3d ago"], [3 * 86_400_000 - 60_000, "in 3d"], [2.5 * 86_400_000, "in 2d 12h"], [90_500, "in 1m 30s"],
])("%d ms from now is %s", (distance, expected) => expect(relative(1e12 + distance, 1e12)).toBe(expected));

test("ticks are round, and as few as asked for", () => {
  for (const total of [7, 950, 61_000, 5 * 3_600_000, 40 * 86_400_000]) {
    const step = tick(total, 6);
    expect(total / step).toBeLessThanOrEqual(6);
    expect(step % 1).toBe(0);
  }
});
