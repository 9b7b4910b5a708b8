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
    const { title, summaries } = await testRun(digest, { input: { texts }, crash: "everywhere" }).result();
    assert.deepEqual([title, summaries], ["one two three", ["one two three four five six.", "eight nine."]]);
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
  assert.deepEqual(await run.result(), { title: "short", summaries: ["short"], thoughtMs: 2 });
  assert.deepEqual(asked.map(({ url, method, body }) => `${method} ${url} ${body}`), [
    'POST https://models.example/answers {"task":"summary","text":"long"}',
    'POST https://models.example/answers {"task":"title","text":"short"}',
  ]);
});

test("a model that refuses is an error that no retry helps", async () => {
  const refuses = { status: 400, body: "too long" };
  const run = testRun(digest, { input: { texts: ["long"] }, fetches: { "texts/0/summary": refuses } });
  await assert.rejects(run.result(), (thrown: TestRunError) => thrown.error?.name === "ModelError" && /answered 400: too long/.test(thrown.message));
});
