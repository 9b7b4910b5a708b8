/** The agent over whole runs, in process, with the real stand-in for a model as a process of its own. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { testRun } from "backstitch/testing";
import { approve, reject, research } from "./agent.js";
import { startModel } from "./model.js";

let model: Awaited<ReturnType<typeof startModel>>;
before(async () => {
  model = await startModel();
  process.env.MODEL_URL = model.url;
});
after(() => void model.process.kill());

const input = { question: "Why do seams hold?" };

test("approved, the agent buys the study and reports; failures of model and archive are tried again", async () => {
  const run = testRun(research, { input });
  await run.until("turn-3/approved");
  await run.idle();
  assert.equal(run.status, "running");
  run.signal(approve, { by: "ann" });
  const { report, notes } = await run.result();
  assert.deepEqual(notes.map((note) => `${note.tool} ${note.argument}`), ["search Why do seams hold?", "read seams-1", "buy seams-2"]);
  assert.match(report, /cut thread opens one stitch.*held in 40.*bought for 12 EUR under run_\w+\/turn-3\/tool/);
  assert.equal(run.executions("turn-2/tool"), 2);
  const thoughts = run.journal.filter((entry) => /plan|think|write/.test(entry.id)).map((entry) => entry.attempts);
  assert.ok(thoughts.some((attempts) => attempts > 1), `the model should have failed at least once: ${thoughts}`);
});

test("rejected, the report does without the study", async () => {
  const run = testRun(research, { input });
  await run.until("turn-3/approved");
  run.signal(reject, { by: "bob", reason: "too dear" });
  const { report, notes } = await run.result();
  assert.equal(notes[2]?.found, "not allowed: too dear");
  assert.match(report, /cut thread opens one stitch/);
  assert.equal(run.executions("turn-3/tool"), 0);
});

test("nobody answers for a day: that is a no", async () => {
  const run = testRun(research, { input });
  assert.equal((await run.result()).notes[2]?.found, "not allowed: nobody answered for a day");
});

test("every answer is lost once, and the notes are the same", async () => {
  const run = testRun(research, { input, crash: "everywhere" });
  run.signal(approve, { by: "ann" });
  const { notes } = await run.result();
  assert.deepEqual(notes.map((note) => note.tool), ["search", "read", "buy"]);
  assert.equal(run.entry("rejected").status, "open");
});

test("a tool that is not there is something to write about", async () => {
  const run = testRun(research, { input, steps: { "turn-1/think": { tool: "dig", argument: "deep" } } });
  run.signal(approve, { by: "ann" });
  const { notes } = await run.result();
  assert.equal(notes[0]?.found, "failed: there is no dig deep");
  assert.equal(run.executions("turn-1/tool"), 1);
});
