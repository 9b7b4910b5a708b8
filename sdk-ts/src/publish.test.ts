/** Publishing: each message once, and of a step what its successful attempt has said, whatever dies on the way. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Backstitch, MisuseError, NestedStepError } from "./index.js";
import { Reports } from "./replay/reports.js";
import { publishOp, said } from "./replay/published.js";
import { testRun } from "./testing/index.js";
import type { CheckpointRequest } from "./wire/checkpoint.js";

const app = new Backstitch({ id: "shop" });

async function* tokens(text: string): AsyncGenerator<string> {
  for (const token of text.split(/(?<= )/)) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    yield token;
  }
}

const answer = app.function({ id: "answer", retry: { attempts: 3 } }, async ({ step, run }) => {
  run.publish("stage", "thinking");
  const text = await step.run("llm", async ({ pipe, publish, attempt }) => {
    publish("attempt", attempt);
    const all = await pipe("tokens", tokens(attempt === 1 ? "wrong way" : "the quick brown fox"));
    if (attempt === 1) throw new Error("cut off");
    return all.join("");
  });
  run.publish("stage", "done", { channel: "news" });
  await step.scope("after", (_, run) => run.publish("stage", "scoped"));
  return text;
});

for (const mode of ["respond", "checkpoint"] as const) {
  for (const crash of [undefined, "everywhere"] as const) {
    test(`what is heard in the end is what the successful attempt said (${mode}, crash ${crash ?? "nowhere"})`, async () => {
      const run = testRun(answer, { mode, ...(crash === undefined ? {} : { crash }) });
      assert.equal(await run.result(), "the quick brown fox");
      const heard = (topic: string): unknown[] => run.messages.filter((message) => message.topic === topic).map(({ data }) => data);
      assert.deepEqual(heard("tokens"), ["the ", "quick ", "brown ", "fox"]);
      assert.deepEqual(heard("attempt"), [2]);
      assert.deepEqual(heard("stage"), ["thinking", "done", "scoped"]);
      assert.deepEqual(run.messages.find(({ data }) => data === "done"), { topic: "stage", data: "done", channel: "news" });
      assert.ok(run.messages.filter(({ topic }) => topic === "tokens").every(({ step, attempt }) => step === "llm" && attempt === 2));
    });
  }
}

test("streams of the platform are piped, and the pipe ends with its body", async () => {
  const piped = app.function({ id: "piped" }, ({ step }) => step.run("s", ({ pipe }) => pipe("t", new ReadableStream({ start(c) { c.enqueue(1); c.enqueue(2); c.close(); } }))));
  const run = testRun(piped);
  assert.deepEqual(await run.result(), [1, 2]);
  assert.deepEqual(run.messages.map(({ data }) => data), [1, 2]);
});

test("what cannot be published is refused at the call", async () => {
  for (const [topic, data, channel] of [["", 1], ["$t", 1], ["t\n", 1], ["t".repeat(257), 1], ["t", "x".repeat(65_540)], ["t", 1, "$c"], ["t", 1, ""]] as const) {
    assert.throws(() => said(topic, data, channel === undefined ? {} : { channel }), MisuseError, `${topic} ${channel}`);
  }
  assert.throws(() => said("t", new Map([[1, 1]])), { name: "UnserializableError" });
  assert.equal(said("t", undefined).data.text, "null");
  const nested = app.function({ id: "nested" }, ({ step, run }) => step.run("s", () => run.publish("t", 1), { retry: { attempts: 1 } }));
  await assert.rejects(testRun(nested).result(), (error: any) => error.error.name === new NestedStepError("a", "b").name);
});

/** A server that is slow to answer, and what it was sent. */
function slowServer(): { reports: Reports; sent: CheckpointRequest[]; reply: () => Promise<void> } {
  const sent: CheckpointRequest[] = [];
  const answers: (() => void)[] = [];
  const checkpoint = (request: CheckpointRequest): Promise<any> => {
    sent.push(request);
    return new Promise((resolve) => answers.push(() => resolve({ settled: [], retry: [], drain: false })));
  };
  const reports = new Reports({ checkpoint, lingerMs: 0 }, () => undefined, () => undefined);
  const reply = async (): Promise<void> => {
    answers.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { reports, sent, reply };
}

const word = (index: number, text = "w"): ReturnType<typeof publishOp> => publishOp("llm", 1, said("t", text), index);

test("messages go out at once, then together, one report at a time", async () => {
  const { reports, sent, reply } = slowServer();
  reports.publish(word(0));
  assert.equal(reports.notesInMs, 0);
  assert.ok(reports.flush(0));
  for (let i = 1; i <= 3; i++) reports.publish(word(i));
  assert.ok(reports.flush(0));
  assert.equal(sent.length, 1, "one report is in flight at most");
  await reply();
  const wait = reports.notesInMs;
  assert.ok(wait > 0 && wait <= 50, `${wait}`);
  assert.equal(reports.flush(0), false, "what was said waits for company");
  reports.publish(word(4, "x".repeat(17_000)));
  assert.equal(reports.notesInMs, 0, "so much goes out at once");
  assert.ok(reports.flush(0));
  const ops = sent[1]?.ops as any[];
  assert.deepEqual(ops.map(({ index, count }) => [index, count]), [[1, 3], [4, 1]]);
  assert.equal(ops[0].data.text, '["w","w","w"]');
});

test("the report of a step takes along what it said, or, if it failed, does without", async () => {
  const { reports, sent, reply } = slowServer();
  reports.publish(word(0));
  reports.flush(0);
  await reply();
  reports.publish(word(1));
  const step = { op: "step", id: "llm", params: said("t", {}).data, attempt: 1 } as const;
  reports.add({ ...step, ok: said("t", 1).data });
  assert.ok(reports.flush(0));
  assert.deepEqual(sent[1]?.ops.map(({ op }) => op), ["publish", "step"]);
  await reply();
  reports.publish(word(2));
  reports.publish(publishOp("$publish", undefined, said("t", "handler"), 0));
  reports.add({ ...step, err: { name: "E", message: "m" } });
  assert.deepEqual(reports.unconfirmed.map((op) => ("id" in op ? `${op.op} ${op.id}` : op.op)), ["publish $publish", "step llm"]);
});

test("a pipe waits while the server is behind, and goes on when it is not", async () => {
  const { reports, reply } = slowServer();
  for (let i = 0; i < 6; i++) reports.publish(word(i, "x".repeat(60_000)));
  let room = false;
  const waits = reports.room().then(() => {
    room = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(room, false);
  reports.flush(0);
  await waits;
  await reply();
  assert.throws(() => {
    for (let i = 0; ; i++) reports.publish(word(i, "x".repeat(60_000)));
  }, MisuseError);
});
