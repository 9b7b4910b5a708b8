/** A journal as its handler saw it at each settlement. */
import { expect, test } from "vitest";
import { asSeen, moments } from "./travel.ts";
import { entry } from "./waterfall.test.ts";

const T = Date.parse("2026-01-01T00:00:00.000Z");
const journal = [
  entry("input", "input", 0, 0, { idx: 0, seq: null, ok: { id: 1 } }),
  entry("slow", "step", 10, 90, { idx: 1, seq: 2, ok: "slow" }),
  entry("fast", "step", 10, 50, { idx: 2, seq: 1, ok: "fast", failures: 1, attempts: [{ number: 1, startedAt: "2026-01-01T00:00:00.010Z", endedAt: "2026-01-01T00:00:00.030Z", error: { message: "x" } }] }),
  entry("last", "sleep", 90, 200, { idx: 3, seq: 3, ok: null }),
  entry("outcome", "outcome", 200, 200, { idx: 4, seq: 4, ok: "done" }),
];

test("moments are settlements in their order, and the beginning", () => expect(moments(journal, T).map((one) => one.entry?.id ?? null)).toEqual([null, "fast", "slow", "last"]));

test("what settled later is pending, what was created later is not there", () => {
  const [begin, first, second] = moments(journal, T);
  expect(asSeen(journal, begin!).map((one) => one.id)).toEqual(["input"]);
  const seen = asSeen(journal, first!);
  expect(seen.map((one) => [one.id, one.ok])).toEqual([["input", { id: 1 }], ["slow", undefined], ["fast", "fast"]]);
  expect(seen[1]!.settledAt).toBeNull();
  expect(asSeen(journal, second!).map((one) => one.id)).toEqual(["input", "slow", "fast", "last"]);
});

test("attempts that had not failed yet are not shown", () => {
  const early = { seq: 0, at: T + 20, entry: null };
  expect(asSeen(journal, early).find((one) => one.id === "fast")).toMatchObject({ attempts: [], failures: 0, status: "runnable" });
  expect(asSeen(journal, { ...early, at: T + 40 }).find((one) => one.id === "fast")).toMatchObject({ failures: 1, status: "backoff" });
});
