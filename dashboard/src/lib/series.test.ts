/** Buckets, rates and quantiles. */
import { expect, test } from "vitest";
import { buckets, ceiling, failureRate, quantile } from "./series.ts";

test("buckets are equal, touch, and hold now", () => {
  const list = buckets(1_000_123, 3_600_000, 30);
  expect(list).toHaveLength(30);
  expect(list.every((one, i) => one.to - one.from === 120_000 && (i === 0 || list[i - 1]!.to === one.from))).toBe(true);
  expect(list.at(-1)!.from <= 1_000_123 && 1_000_123 <= list.at(-1)!.to).toBe(true);
});

test("the rate of failures is of what ended", () => {
  expect(failureRate([{ from: 0, to: 1, counts: { completed: 6, failed: 2, suspended: 99 } }])).toBe(0.25);
  expect(failureRate([{ from: 0, to: 1, counts: { ready: 3 } }])).toBeNull();
});

test("quantiles are values that there were", () => {
  expect([quantile([], 0.5), quantile([5], 0.95), quantile([3, 1, 2, 4], 0.5), quantile([3, 1, 2, 4], 0.95)]).toEqual([null, 5, 2, 4]);
});

test.each([[0, 4], [5, 5], [41, 50], [99, 100], [101, 200]])("the axis of %d ends at %d", (value, top) => expect(ceiling(value)).toBe(top));
