/** Weeks of a calendar, and what stands on their days. */
import { expect, test } from "vitest";
import { weeks } from "./calendar.ts";

// A Wednesday at noon, wherever the reader is.
const NOW = new Date(2026, 2, 4, 12).getTime();
const at = (month: number, day: number, hour = 5): string => new Date(2026, month - 1, day, hour).toISOString();

test("weeks begin on Monday, around today", () => {
  const rows = weeks(NOW, 1, 1, [], []);
  expect(rows.map((row) => row.map((cell) => cell.name))).toEqual([["Feb 23", "24", "25", "26", "27", "28", "Mar 1"], ["2", "3", "4", "5", "6", "7", "8"], ["9", "10", "11", "12", "13", "14", "15"]]);
  expect(rows.flat().filter((cell) => cell.today).map((cell) => cell.date)).toEqual(["2026-03-04"]);
  // A Sunday belongs to the week before.
  expect(weeks(new Date(2026, 2, 8).getTime(), 0, 0, [], [])[0]![6]!.today).toBe(true);
});

test("runs and times stand on their days, and those of other weeks nowhere", () => {
  const runs = [{ at: at(3, 2), status: "completed" as const }, { at: at(3, 2, 23), status: "failed" as const }, { at: at(3, 3), status: "completed" as const }, { at: at(1, 1), status: "failed" as const }];
  const days = weeks(NOW, 0, 0, runs, [at(3, 5), at(3, 5, 6), at(9, 9)])[0]!;
  expect(days.map((cell) => cell.runs)).toEqual([{ completed: 1, failed: 1 }, { completed: 1 }, {}, {}, {}, {}, {}]);
  expect(days.map((cell) => cell.ticks)).toEqual([0, 0, 0, 2, 0, 0, 0]);
});
