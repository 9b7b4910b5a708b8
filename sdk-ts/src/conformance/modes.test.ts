/**
 * Every program of the corpus as a whole run, in respond mode, with checkpoints, and with checkpoints and a process that dies at every
 * report: the results must be equal, since how a handler talks to its server is nothing that it may notice.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { Backstitch, exclusive, shared } from "../index.js";
import { type TestRun, testRun, type TestRunOptions } from "../testing/index.js";
import { handlerOf } from "./program.test.js";

const cases = new URL("../../../tests/conformance/cases/", import.meta.url);
const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** What the outside does for a run that waits: settles the first wait by its id, else lets time pass to what is due first. False if there is nothing. */
async function help(run: TestRun): Promise<boolean> {
  const open = run.journal.filter((entry) => entry.status === "open");
  const update = open.find((entry) => entry.params.update === true);
  if (update !== undefined) {
    void run.update(update.params.signal, 5);
    return true;
  }
  const [wait] = open.filter((entry) => !["step", "sleep"].includes(entry.op)).sort((a, b) => (a.id < b.id ? -1 : 1));
  if (wait !== undefined) {
    const event = { id: "evt_1", name: wait.params.event, data: { from: wait.id }, at: run.now.toISOString() };
    run.settle(wait.id, { ok: wait.op === "waitEvent" ? event : { from: wait.id } });
    return true;
  }
  const due = Math.min(...open.map((entry) => entry.dueAt ?? Number.POSITIVE_INFINITY));
  if (due === Number.POSITIVE_INFINITY) return false;
  await run.advance(due - run.now.getTime());
  return true;
}

/** What a program comes to. */
async function result({ program, object }: any, given: TestRunOptions): Promise<unknown> {
  const app = new Backstitch({ id: "conformance", log: silent });
  const handler = handlerOf(program, () => undefined) as never;
  const make = object?.mode === "shared" ? shared : exclusive;
  const fn = object === undefined ? app.function({ id: "main", retry: { attempts: 2 } }, handler) : app.object({ id: "cart" }, { add: make(handler) })("user-17").add;
  const run = testRun(fn, given);
  await run.idle();
  for (let i = 0; run.status === "running" && (await help(run as TestRun)); i++) {
    assert.ok(i < 200, "the run does not end");
    await run.idle();
  }
  return run.result().then(
    (ok) => ({ ok }),
    ({ error, message }) => (error === undefined ? { message } : { name: error.name, message: error.message, code: error.code, data: error.data }),
  );
}

describe("modes", { concurrency: 8 }, () => {
  for (const file of readdirSync(cases).sort()) {
    const text = readFileSync(new URL(file, cases), "utf8");
    const { program, transcripts, object } = JSON.parse(text, (key, value) => (key === "slow" ? value / 10 : value));
    const { input, trigger, state = {} } = transcripts[0].invocation;
    const [event] = trigger?.events ?? [];
    const given: TestRunOptions = event === undefined ? { input: input ?? null, state } : { event };
    // A program that goes on in a new run does so for ever.
    if (text.includes("continueAsNew")) continue;
    test(file, { timeout: 30_000 }, async () => {
      const respond = await result({ program, object }, given);
      assert.deepEqual(await result({ program, object }, { ...given, mode: "checkpoint" }), respond, "checkpoints");
      // Which attempt this is, a program may ask, and the answer is another after a crash.
      if (text.includes("run.attempt")) return;
      assert.deepEqual(await result({ program, object }, { ...given, mode: "checkpoint", crash: "everywhere" }), respond, "checkpoints, every report lost once");
    });
  }
});
