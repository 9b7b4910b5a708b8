/** The digest over whole runs, in process: with answers that the test makes up, and with the real stand-in for a model. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type TestFetch, testRun, TestRunError } from "backstitch/testing";
import { digest } from "./digest.js";
import { startModel } from "./model.js";

const texts = ["one two three four five six seven", "eight nine"];

test("the model thinks, is busy now and then, and nothing is lost when the handler dies everywhere", async () => {
  process.env.THINK_MS = "20";
  const model = await startModel();
  process.env.MODEL_URL = model.url;
  try {
    const { title, summaries, leftOut } = await testRun(digest, { input: { texts: [...texts, ""] }, crash: "everywhere" }).result();
    assert.deepEqual([title, summaries, leftOut], ["one two three", ["one two three four five six.", "eight nine."], [2]]);
  } finally {
    model.process.kill();
  }
});

test("what the model is asked for", async () => {
  process.env.MODEL_URL = "https://models.example";
  const asked: TestFetch[] = [];
  const answer = (request: TestFetch) => {
    asked.push(request);
    return { body: { text: "short", thoughtMs: 1 } };
  };
  const run = testRun(digest, { input: { texts: ["long"] }, fetches: { "texts/0/summary": answer, title: answer } });
  assert.deepEqual(await run.result(), { title: "short", summaries: ["short"], leftOut: [], thoughtMs: 2 });
  assert.deepEqual(asked.map(({ url, method, body }) => `${method} ${url} ${body}`), [
    'POST https://models.example/answers {"task":"summary","text":"long"}',
    'POST https://models.example/answers {"task":"title","text":"short"}',
  ]);
});

test("one text in three may be refused, and no more", async () => {
  const refuses = { status: 400, body: "too long" };
  const good = { body: { text: "short", thoughtMs: 1 } };
  const fetches = { "texts/0/summary": good, "texts/1/summary": refuses, "texts/2/summary": good, title: good };
  const run = testRun(digest, { input: { texts: ["a", "b", "c"] }, fetches, crash: "everywhere" });
  assert.deepEqual(await run.result(), { title: "short", summaries: ["short", "short"], leftOut: [1], thoughtMs: 3 });
  const failing = testRun(digest, { input: { texts: ["a", "b", "c"] }, fetches: { ...fetches, "texts/2/summary": refuses } });
  await assert.rejects(failing.result(), (thrown: TestRunError) => thrown.error?.name === "MapFailed");
});

test("a title that is too long in coming is done without", async () => {
  const good = { body: { text: "short", thoughtMs: 1 } };
  const busy = { status: 503, headers: { "retry-after": "120" } };
  const run = testRun(digest, { input: { texts: ["a"] }, fetches: { "texts/0/summary": good, title: busy }, crash: "everywhere" });
  assert.deepEqual(await run.result(), { title: "short", summaries: ["short"], leftOut: [], thoughtMs: 1 });
  assert.equal(run.entry("patience").status, "ok");
});
