/** What a journal looks like in time. */
import { expect, test } from "vitest";
import type { Entry, Run } from "../api/types.ts";
import { extent, folded, linear, rows, sought, stretches } from "./waterfall.ts";

const T = Date.parse("2026-01-01T00:00:00.000Z");
const at = (ms: number): string => new Date(T + ms).toISOString();
export function entry(id: string, op: string, from: number, to: number | null, more: Partial<Entry> = {}): Entry {
  return { idx: 1, id, op, name: null, status: to === null ? "waiting" : "settled", seq: to === null ? null : 1, params: {}, dueAt: null, failures: 0, lastError: null, deployment: null, child: null, createdAt: at(from), settledAt: to === null ? null : at(to), ...more };
}
const failed = (number: number, from: number, to: number) => ({ number, startedAt: at(from), endedAt: at(to), error: { message: `no ${number}` } });
const shape = (one: Entry, now: number): [string, number, number][] => stretches(one, T + now).map((stretch) => [stretch.work, stretch.from - T, stretch.to - T]);

test("a step that succeeds at once is one bar", () => expect(shape(entry("a", "step", 10, 50, { ok: 1 }), 99)).toEqual([["work", 10, 50]]));

test("a step that is tried again shows each failure and the waits between", () => {
  const step = entry("a", "step", 0, 900, { ok: 1, failures: 2, attempts: [failed(1, 0, 50), failed(2, 400, 450)] });
  expect(shape(step, 999)).toEqual([["failed", 0, 50], ["backoff", 50, 400], ["failed", 400, 450], ["backoff", 450, 900], ["work", 900, 900]]);
});

test("attempts of a handler with another clock begin with their entry", () => {
  const step = entry("a", "step", 1_000, 2_000, { ok: 1, failures: 1, attempts: [failed(1, 3_600_000, 3_600_100)] });
  expect(shape(step, 3_000)).toEqual([["failed", 1_000, 1_100], ["backoff", 1_100, 2_000], ["work", 2_000, 2_000]]);
  const late = entry("a", "step", 500, 2_000, { ok: 1, failures: 1, attempts: [failed(1, 100, 200)] });
  expect(shape(late, 3_000)[0]).toEqual(["failed", 100, 200]);
});

test("a step that failed for good ends with its last attempt", () => {
  const step = entry("a", "step", 0, 450, { err: {}, failures: 2, attempts: [failed(1, 0, 50), failed(2, 400, 450)] });
  expect(shape(step, 999).at(-1)).toEqual(["failed", 400, 450]);
});

test("a step that waits for its next attempt is open until now", () => {
  const step = entry("a", "step", 0, null, { status: "backoff", failures: 1, attempts: [failed(1, 0, 50)] });
  expect(shape(step, 700)).toEqual([["failed", 0, 50], ["backoff", 50, 700]]);
  expect(stretches(step, T + 700).at(-1)!.open).toBe(true);
});

test.each([["sleep", "sleep"], ["waitSignal", "wait"], ["waitEvent", "wait"], ["invoke", "child"], ["send", "instant"]])("%s is drawn as %s", (op, work) => expect(shape(entry("a", op, 0, null), 5)[0]![0]).toBe(work));

test("copies are points, whenever the original was made", () => expect(shape(entry("a", "step", -90_000, -80_000, { copied: true, ok: 1 }), 9)[0]![0]).toBe("instant"));

test("input and outcome have no row, and scopes are told from names", () => {
  const list = rows([entry("", "input", 0, 0), entry("items/3/save", "step", 0, 5), entry("$undo/charge", "step", 0, 5), entry("$out", "outcome", 5, 5)], T);
  expect(list.map((row) => [row.scope, row.label])).toEqual([["items/3", "save"], ["", "charge"]]);
});

test("a picture reaches from the run's creation to its end, or to now", () => {
  const run = { createdAt: at(0), endedAt: null } as Run;
  expect(extent(run, [entry("a", "step", 5, 9)], T + 100)).toEqual([T, T + 100]);
  expect(extent({ ...run, endedAt: at(50) }, [], T + 100)).toEqual([T, T + 50]);
  expect(extent({ ...run, endedAt: at(0) }, [], T)[1]).toBeGreaterThan(T);
});

test("real time keeps proportions", () => {
  const scale = linear(T, T + 1_000, 5);
  expect([scale.at(T - 5), scale.at(T + 250), scale.at(T + 5_000)]).toEqual([0, 0.25, 1]);
  expect(scale.ticks[0]).toEqual({ place: 0, label: "0" });
});

test("folded time keeps the order and gives work room beside a week of waiting", () => {
  const week = 7 * 86_400_000;
  const list = rows([entry("a", "step", 0, 400, { ok: 1 }), entry("b", "sleep", 400, week), entry("c", "step", week, week + 400, { ok: 1 })], T + week + 400);
  const scale = folded(T, T + week + 400, list, 6);
  const places = [0, 200, 400, 1_000, week, week + 200, week + 400].map((ms) => scale.at(T + ms));
  expect(places).toEqual([...places].sort((a, b) => a - b));
  expect(places[2]).toBeGreaterThan(0.1);
  expect([places[0], places.at(-1)]).toEqual([0, 1]);
  expect(linear(T, T + week + 400, 6).at(T + 400)).toBeLessThan(0.001);
});

test("entries are found by what they are called and by what went wrong, and those in trouble alone", () => {
  const all = rows([
    entry("charge", "step", 0, 10, { ok: 1 }),
    entry("ship/label", "step", 0, 10, { err: { name: "PrinterJam", message: "tray 2" }, failures: 3 }),
    entry("flaky", "step", 0, 10, { ok: 1, failures: 1, lastError: { name: "Timeout" } }),
    entry("approval", "waitSignal", 0, null),
  ], T + 20);
  const ids = (text: string, trouble: boolean): string[] => sought(all, text, trouble).map((row) => row.entry.id);
  expect(ids("", false)).toHaveLength(4);
  expect(ids("", true)).toEqual(["ship/label", "flaky", "approval"]);
  expect(ids("printerJAM", false)).toEqual(["ship/label"]);
  expect(ids(" waitsignal ", true)).toEqual(["approval"]);
  expect(ids("charge", true)).toEqual([]);
});
