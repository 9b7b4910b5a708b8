/** The replay with a port in process: what is in flight, what is held back, what a body costs. What the corpus cannot time. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { execute } from "../execute.js";
import { Backstitch, type Context } from "../index.js";
import { printAnswer } from "../wire/answer.js";
import type { EntryOp } from "../wire/answer.js";
import type { CheckpointReply, CheckpointRequest } from "../wire/checkpoint.js";
import { readInvocation } from "../wire/invocation.js";
import { BODY_BYTES_MAX } from "../wire/limits.js";
import type { Checkpointer } from "./checkpointer.js";
import type { ReplayOptions } from "./replay.js";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const at = "2026-03-01T12:00:01.000Z";

/** A server that settles every step after some time. */
class Port implements Checkpointer {
  readonly lingerMs = 0;
  readonly requests: CheckpointRequest[] = [];
  atOnce = 0;
  most = 0;

  constructor(readonly ms = 0) {}

  async checkpoint(request: CheckpointRequest): Promise<CheckpointReply> {
    this.requests.push(request);
    this.most = Math.max(this.most, ++this.atOnce);
    if (this.ms > 0) await sleep(this.ms);
    this.atOnce--;
    return { settled: request.ops.map((op, i) => ({ id: (op as EntryOp).id, op: op.op, seq: request.seen + 1 + i, at })), retry: [], drain: false };
  }
}

async function answer(handler: (context: Context) => unknown, options: ReplayOptions): Promise<any> {
  const app = new Backstitch({ id: "a", log: silent });
  const fn = app.function({ id: "f" }, handler as never);
  const run = { id: "run_01hzy3v7q8k2m4n6p8r0s2t4v6", app: "a", function: "f", attempt: 1, startedAt: at, secret: "00" };
  const invocation = readInvocation(JSON.stringify({ run, trigger: { kind: "call" }, input: null, journal: [], token: "inv_1" }));
  return JSON.parse(printAnswer(await execute(app, fn, invocation, options), BODY_BYTES_MAX));
}

describe("replay with checkpoints", () => {
  test("one report is in flight; what ends meanwhile goes into the next", async () => {
    const port = new Port(400);
    const a = await answer(({ step }) => Promise.all([0, 150, 160, 170].map((ms) => step.run(`s${ms}`, () => sleep(ms, ms)))), { checkpointer: port });
    assert.deepEqual(a.ops, [{ op: "done", ok: [0, 150, 160, 170] }]);
    assert.equal(port.most, 1);
    assert.deepEqual(port.requests.map((r) => [r.n, r.seen, r.ops.map((op) => (op as EntryOp).id)]), [[1, 0, ["s0"]], [2, 1, ["s150", "s160", "s170"]]]);
  });

  test("an outcome is not told before it is durable", async () => {
    const port = new Port(80);
    let told = 0;
    const begun = Date.now();
    await answer(async ({ step }) => {
      await step.run("a", () => 1);
      told = Date.now() - begun;
    }, { checkpointer: port });
    assert.ok(told >= 75, `${told} ms`);
  });

  test("a handler that ends while a report is in flight is answered for after its reply", async () => {
    const port = new Port(80);
    const a = await answer(({ step }) => {
      void step.run("a", () => 1);
      return sleep(20, "end");
    }, { checkpointer: port });
    assert.deepEqual([a.seen, a.ops], [1, [{ op: "done", ok: "end" }]]);
  });

  test("near the end of its time an invocation yields, but for the first body of all", async () => {
    const begun: number[] = [];
    const steps = async ({ step }: Context): Promise<void> => {
      for (let i = 0; i < 5; i++) {
        await step.run("s", async () => {
          begun.push(i);
          await sleep(300);
        });
      }
    };
    const a = await answer(steps, { checkpointer: new Port(), timeoutMs: 1_000 });
    assert.deepEqual([a.ops, begun], [[{ op: "yield" }], [0, 1]]);
    // The longest body so far must fit one and a half times.
    begun.length = 0;
    assert.deepEqual((await answer(steps, { checkpointer: new Port(), timeoutMs: 740 })).ops, [{ op: "yield" }]);
    assert.deepEqual(begun, [0]);
    begun.length = 0;
    assert.deepEqual((await answer(steps, { checkpointer: new Port(), timeoutMs: 10 })).ops, [{ op: "yield" }]);
    assert.deepEqual(begun, [0]);
    // In respond mode all that are created begin, as ever.
    assert.equal((await answer(({ step }) => Promise.all([step.run("a", () => 1), step.run("b", () => 1)]), { timeoutMs: 10 })).ops.length, 2);
  });

  test("large outcomes go in several reports", async () => {
    const port = new Port();
    const a = await answer(async ({ step }) => (await Promise.all([0, 1, 2, 3].map((i) => step.run(`s${i}`, () => "x".repeat(3 << 20))))).length, { checkpointer: port });
    assert.equal(a.ops[0].ok, 4);
    assert.deepEqual(port.requests.map((r) => r.ops.length), [2, 2]);
  });

  test("the handler's log is not silent on ground that it covers for the first time", async () => {
    const lines: string[] = [];
    const log = { ...silent, info: (line: string) => void lines.push(line) };
    const app = new Backstitch({ id: "a", log });
    const fn = app.function({ id: "f" }, async ({ step, log }) => {
      for (let i = 0; i < 3; i++) {
        log.info(`before ${i}`);
        await step.run("s", () => i);
      }
    });
    const run = { id: "run_01hzy3v7q8k2m4n6p8r0s2t4v6", app: "a", function: "f", attempt: 1, startedAt: at, secret: "00", seen: 1 };
    const journal = [{ id: "s", op: "step", seq: 1, at, ok: 0 }, { id: "s:1", op: "step", seq: 2, at, ok: 1 }];
    await execute(app, fn, readInvocation(JSON.stringify({ run, trigger: { kind: "call" }, input: null, journal, token: "inv_1" })), { checkpointer: new Port() });
    assert.deepEqual(lines, ["before 2"]);
  });

  test("a thousand steps take less than two seconds of the processor", { timeout: 10_000 }, async () => {
    const port = new Port();
    const begun = process.cpuUsage();
    const a = await answer(async ({ step }) => {
      let sum = 0;
      for (let i = 0; i < 1_000; i++) sum += await step.run("s", () => i);
      return sum;
    }, { checkpointer: port });
    assert.deepEqual([a.ops[0].ok, port.requests.length], [499_500, 1_000]);
    const { user, system } = process.cpuUsage(begun);
    assert.ok(user + system < 2_000_000, `${(user + system) / 1_000} ms`);
  });
});
