/** The saga over whole runs, in process: the clock is skipped, the ledger is real. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { testRun, type TestRunError } from "backstitch/testing";
import { approve, order } from "./order.js";
import type { Booking } from "./payments.js";
import type { Execution } from "./step-log.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "order-saga-"));
  Object.assign(process.env, { LEDGER: join(folder, "ledger.jsonl"), STEP_LOG: join(folder, "steps.jsonl"), PROVIDER_MS: "0" });
});
afterEach(() => rmSync(folder, { recursive: true }));

const lines = <T>(file: string): T[] => readFileSync(join(folder, file), "utf8").trim().split("\n").map((line) => JSON.parse(line) as T);
const ledger = (): [string, number][] => lines<Booking>("ledger.jsonl").map((booking) => [booking.kind, booking.cents]);
const executed = (): string[] => lines<Execution>("steps.jsonl").map((line) => `${line.step} ${line.attempt}`);
const lamp = { id: "17", sku: "lamp", cents: 4_900 };

test("an approved order is shipped, and its steps run once", async () => {
  const run = testRun(order, { input: lamp, runId: "order-17" });
  await run.until("approval");
  run.signal(approve, { by: "ann" });
  assert.deepEqual(await run.result(), { order: "17", charge: "ch_1", parcel: "1Z-4-lamp", approvedBy: "ann" });
  assert.deepEqual(executed(), ["charge 1", "reserve 1", "ship 1", "confirm 1"]);
  assert.deepEqual(ledger(), [["charge", 4_900]]);
});

test("every answer is lost once: steps run twice, money moves once", async () => {
  const run = testRun(order, { input: lamp, crash: "everywhere" });
  run.signal(approve, { by: "ann" });
  await run.result();
  assert.deepEqual(executed().filter((line) => line === "charge 1"), ["charge 1", "charge 1"]);
  assert.deepEqual(ledger(), [["charge", 4_900]]);
});

test("a reservation that fails five times refunds the charge", async () => {
  const run = testRun(order, { input: { ...lamp, sku: "vase" } });
  await assert.rejects(run.result(), (error: TestRunError) => error.error?.name === "OutOfStock");
  assert.deepEqual(executed(), ["charge 1", "reserve 1", "reserve 2", "reserve 3", "reserve 4", "reserve 5", "$undo/charge 1"]);
  assert.deepEqual(ledger(), [["charge", 4_900], ["refund", -4_900]]);
});

test("an order that nobody approves, or that is cancelled, gives back goods and money", async () => {
  const late = testRun(order, { input: lamp });
  await assert.rejects(late.result(), (error: TestRunError) => error.error?.name === "Unapproved");
  const cancelled = testRun(order, { input: { ...lamp, id: "18" } });
  await cancelled.until("approval");
  cancelled.cancel();
  await assert.rejects(cancelled.result(), /was cancelled/);
  for (const run of [late, cancelled]) assert.deepEqual(run.journal.slice(-2).map((entry) => [entry.id, entry.status]), [["$undo/reserve", "ok"], ["$undo/charge", "ok"]]);
});
