/** The import in process, with attempts that die in the middle. */
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, test } from "node:test";
import { testRun, type TestRunError, type TestRunOptions } from "backstitch/testing";
import { file, night, totals } from "./import.js";
import { history } from "./warehouse.js";

beforeEach(() => Object.assign(process.env, { LEDGER: join(mkdtempSync(join(tmpdir(), "import-")), "ledger.jsonl"), BATCH_MS: "0" }));

test("a night imports its files and swaps the table once, whatever message is lost", async () => {
  for (const options of [{}, { mode: "checkpoint" }, { crash: "everywhere" }, { mode: "checkpoint", crash: "everywhere" }] as TestRunOptions[]) {
    const run = testRun(night, { ...options, input: { table: "orders", files: ["a", "b"] }, children: { file: 100, index: "soon" } });
    assert.deepEqual(await run.result(), { rows: 200 });
    assert.deepEqual(run.value, { done: 2, of: 2 });
    assert.equal(run.entry("swap/in").status, "ok");
  }
});

test("a file that is torn fails at once, and says why", async () => {
  const run = testRun(file, { input: { name: "x-bad.csv" } });
  await assert.rejects(run.result(), (error: TestRunError) => error.error?.name === "BadFile");
  assert.equal(run.executions("read"), 1);
  assert.deepEqual(history(), []);
});

test("the totals are those of the day before the tick", async () => {
  const run = testRun(totals, { tick: { at: "2026-03-02T04:00:00Z" }, crash: "everywhere" });
  assert.deepEqual(await run.result(), { day: "2026-03-01", sold: 101 });
  const called = testRun(totals, { input: null });
  await assert.rejects(called.result(), (error: TestRunError) => error.error?.message.includes("fill a range up") === true);
});
