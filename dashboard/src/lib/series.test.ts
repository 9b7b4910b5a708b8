/** Sums over pieces of time, and the lines that are drawn of them. */
import { describe, expect, it } from "vitest";
import { ceiling, countOf, failureRate, stretches, totalOf } from "./series.ts";

describe("series", () => {
  it("counts what ended badly of what ended", () => {
    const pieces = [{ statuses: { completed: 3, failed: 1, suspended: 9 } }, { statuses: { cancelled: 4 } }];
    expect(failureRate(pieces)).toBe(0.125);
    expect(failureRate([{ statuses: { suspended: 1 } }])).toBeNull();
    expect([totalOf(pieces[0]!), countOf(pieces, "cancelled")]).toEqual([13, 4]);
  });

  it.each([[0, 4], [5, 5], [6, 8], [99, 100], [101, 200], [100_001, 200_000]])("an axis up to %i ends at %i", (value, top) => {
    expect(ceiling(value)).toBe(top);
  });

  it("leaves gaps where nobody knows, and shows a lone point as a dot", () => {
    expect(stretches([0, 10, null, 5], 10, 40, 100)).toEqual(["5.0,100.0 15.0,0.0", "35.0,50.0 35.0,50.0"]);
    expect(stretches([null, null], 10, 40, 100)).toEqual([]);
    expect(stretches([99, 99], 10, 20, 100)).toEqual(["5.0,0.0 15.0,0.0"]);
  });
});
