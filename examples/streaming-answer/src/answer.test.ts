/** Whole runs in process: what a reader has in the end is what the step returned, whatever died on the way. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { testRun } from "backstitch/testing";
import { answer } from "./answer.js";

for (const crash of [undefined, "everywhere"] as const) {
  test(`the tokens are those of the answer (crash ${crash ?? "nowhere"})`, async () => {
    const run = testRun(answer, { input: { question: "Why?" }, mode: "checkpoint", ...(crash === undefined ? {} : { crash }) });
    const whole = await run.result();
    const of = (topic: string): unknown[] => run.messages.filter((message) => message.topic === topic).map(({ data }) => data);
    assert.equal(of("tokens").join(""), whole);
    assert.match(whole, /^You asked: "Why\?".*go on from there\.$/);
    assert.deepEqual(of("stage"), ["thinking", "done"]);
  });
}
