/** What the corpus cannot say: awaits of a handler's own, bodies that call steps, abandoned frames, ends from outside. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type BackstitchOptions, Backstitch, type Context, event, MisuseError, type StandardSchema } from "../index.js";
import { execute } from "../execute.js";
import { printAnswer } from "../wire/answer.js";
import { type JournalEntry, readInvocation } from "../wire/invocation.js";
import { BODY_BYTES_MAX } from "../wire/limits.js";
import type { ReplayOptions } from "./replay.js";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const at = "2026-03-01T12:00:01.000Z";
const ok = (id: string, seq: number, value: unknown, op = "step"): object => ({ id, op, seq, at, ok: value });

interface Given {
  journal?: object[];
  options?: ReplayOptions;
  app?: Partial<BackstitchOptions>;
  input?: unknown;
  schema?: StandardSchema<any, any>;
  bytesMax?: number;
  seen?: number;
}

async function answer(handler: (context: Context) => unknown, given: Given = {}): Promise<any> {
  const app = new Backstitch({ id: "a", log: silent, ...given.app });
  const fn = app.function({ id: "f", ...(given.schema === undefined ? {} : { input: given.schema }) } as { id: string }, handler as never);
  const run = { id: "run_01hzy3v7q8k2m4n6p8r0s2t4v6", app: "a", function: "f", attempt: 1, startedAt: at, secret: "00", ...(given.seen === undefined ? {} : { seen: given.seen }) };
  const invocation = readInvocation(JSON.stringify({ run, trigger: { kind: "call" }, input: given.input ?? null, journal: given.journal ?? [], token: "inv_1" }));
  return JSON.parse(printAnswer(await execute(app, fn, invocation, given.options ?? {}), given.bytesMax ?? BODY_BYTES_MAX));
}

const kinds = (a: any): string[] => a.ops.map((op: any) => (op.id === undefined ? op.op : `${op.op} ${op.id}`));

describe("replay", () => {
  test("a handler may await something of its own between steps", async () => {
    const a = await answer(
      async ({ step }) => {
        await sleep(40);
        const one = await step.run("one", () => 1);
        await sleep(40);
        return one;
      },
      { journal: [ok("one", 1, 7)] },
    );
    assert.deepEqual(a.ops, [{ op: "done", ok: 7 }]);
  });

  test("a branch in an await of its own gets a moment before the run is suspended", async () => {
    const a = await answer(
      async ({ step }) => {
        const branch = async (): Promise<void> => {
          await step.sleep("a", "1s");
          await sleep(5);
          await step.run("after", () => 1);
        };
        await Promise.all([branch(), step.sleep("b", "1h"), step.sleep("c", "1h")]);
      },
      { journal: [ok("a", 1, null, "sleep"), { id: "b", op: "sleep", pending: true }, { id: "c", op: "sleep", pending: true }] },
    );
    assert.deepEqual(kinds(a), ["step after"]);
  });

  test("a handler that waits for nothing durable is told so when its time is over", async () => {
    const a = await answer(() => new Promise(() => undefined), { options: { timeoutMs: 30 } });
    assert.equal(a.ops[0].err.name, "Stuck");
    assert.equal(a.ops[0].err.retryable, true);
  });

  test("a cancellation finds a handler that was in an await of its own", async () => {
    const a = await answer(
      async ({ step }) => {
        await step.run("a", () => 1);
        await sleep(20);
        await step.run("b", () => 2);
      },
      { journal: [ok("a", 1, 1), { id: "$cancel", op: "cancel", seq: 2, at, ok: null }] },
    );
    assert.equal(a.ops[0].err.name, "CancelledError");
  });

  test("a step in a step's body is refused after the body's first await too", async () => {
    const a = await answer(async ({ step }) => {
      await step.run("outer", async () => {
        await sleep(1);
        await step.run("inner", () => 1);
      });
    });
    assert.equal(a.ops.length, 1);
    assert.deepEqual([a.ops[0].err.name, a.ops[0].err.retryable], ["NestedStepError", false]);
    assert.match(a.ops[0].err.message, /`inner` inside the body of `outer`/);
  });

  test("the signals of handler and bodies fire at the end; calls after it never settle and start nothing", async () => {
    const seen: string[] = [];
    let late: Promise<unknown> | undefined;
    const a = await answer(
      async ({ step, signal }) => {
        signal.addEventListener("abort", () => {
          seen.push("handler");
          late = step.run("late", () => void seen.push("late"));
        });
        void step.run("loser", (facts) => new Promise(() => facts.signal.addEventListener("abort", () => seen.push("body"))));
        await step.sleep("nap", "1s");
        return 1;
      },
      { journal: [ok("nap", 1, null, "sleep")] },
    );
    assert.deepEqual(kinds(a), ["done"]);
    assert.deepEqual(seen.sort(), ["body", "handler"]);
    assert.equal(await Promise.race([late, sleep(20, "open")]), "open");
  });

  test("an end from outside rejects, and fires the signal", async () => {
    const stop = new AbortController();
    let fired = false;
    const running = answer(
      async ({ step, signal }) => {
        signal.addEventListener("abort", () => (fired = true));
        await step.run("long", () => sleep(10_000, null, { ref: false }));
      },
      { options: { signal: stop.signal } },
    );
    setTimeout(() => stop.abort(), 10);
    await assert.rejects(running, { name: "Abandoned" });
    assert.ok(fired);
  });

  test("misuse ends the run with advice", async () => {
    for (const [call, text] of [
      [({ step }: Context) => step.sleep("x", "1.5h"), /"1h30m"/],
      [({ step }: Context) => step.run("", () => 1), /at least one character/],
      [({ step }: Context) => step.run("x", 5 as never), /its body is number/],
      [({ step }: Context) => step.run("x", () => 1, { retry: { attempts: 0 } }), /`attempts` is 0/],
      [({ step }: Context) => step.send("x", []), /no event to send/],
      [({ step }: Context) => step.run("y".repeat(300), () => 1), /at most 256/],
    ] as const) {
      const a = await answer(call);
      assert.deepEqual([a.ops[0].op, a.ops[0].err.name, a.ops[0].err.retryable], ["fail", "MisuseError", false]);
      assert.match(a.ops[0].err.message, text);
    }
  });

  test("what JSON cannot hold is named by its path", async () => {
    const values: [unknown, RegExp][] = [
      [{ a: [1, { b: 1n }] }, /\$\.a\[1\]\.b is a bigint/],
      [{ n: Number.NaN }, /\$\.n is the number NaN/],
      [{ "x y": new Map() }, /\$\["x y"\] is a Map/],
      [{ p: Promise.resolve(1) }, /\$\.p is a Promise.*Await it/],
      [{ f() {} }, /\$\.f is a function/],
      [new Uint8Array(2), /\$ is binary data/],
    ];
    const cycle: any = {};
    cycle.self = cycle;
    values.push([cycle, /\$\.self is part of a cycle/]);
    for (const [value, text] of values) {
      const a = await answer(({ step }) => step.run("x", () => value));
      assert.match(a.ops[0].err.message, text);
      const result = await answer(() => value);
      assert.deepEqual([result.ops[0].op, result.ops[0].err.name], ["fail", "UnserializableError"]);
    }
    const shared = { s: 1 };
    const a = await answer(() => ({ a: shared, b: shared, when: new Date(0), u: undefined, list: [undefined] }));
    assert.deepEqual(a.ops[0].ok, { a: shared, b: shared, when: "1970-01-01T00:00:00.000Z", list: [null] });
  });

  test("an answer stays within the host's size", async () => {
    const big = "x".repeat(3_000);
    const parallel = (size: number) => ({ step }: Context) => Promise.all([0, 1, 2].map((i) => step.run(`s${i}`, () => (i === 1 ? big.slice(0, size) : i))));
    const cut = await answer(parallel(600), { bytesMax: 800 });
    assert.deepEqual(kinds(cut), ["step s0"]);
    const replaced = await answer(parallel(3_000), { bytesMax: 1_500 });
    assert.equal(replaced.ops[1].err.name, "TooLarge");
    assert.equal(replaced.ops[1].err.retryable, false);
    const ended = await answer(() => big, { bytesMax: 1_000 });
    assert.deepEqual([ended.ops[0].op, ended.ops[0].err.name], ["fail", "TooLarge"]);
  });

  test("a codec keeps what JSON would change, for results, outcomes and inputs", async () => {
    const codec = {
      encode: (value: unknown) => (value instanceof Date ? { $date: value.getTime() } : value),
      decode: (json: any) => (json?.$date === undefined ? json : new Date(json.$date)),
    };
    const a = await answer(
      async ({ step, input }) => {
        const when: unknown = await step.run("when", () => new Date(5));
        assert.ok(when instanceof Date && (input as unknown) instanceof Date);
        return when;
      },
      { app: { codec }, input: { $date: 1 }, journal: [ok("when", 1, { $date: 7 })] },
    );
    assert.deepEqual(a.ops, [{ op: "done", ok: { $date: 7 } }]);
  });

  test("an input is parsed with its schema in each invocation, and refused for good", async () => {
    const schema: StandardSchema<{ at: string }, { at: Date }> = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: (value: any) => (typeof value?.at === "string" ? { value: { at: new Date(value.at) } } : { issues: [{ message: "expected a text", path: ["at"] }] }),
      },
    };
    const good = await answer(({ input }) => (input as any).at.getTime(), { schema, input: { at: "1970-01-01T00:00:01Z" } });
    assert.equal(good.ops[0].ok, 1_000);
    const bad = await answer(() => 1, { schema, input: { at: 5 } });
    assert.deepEqual([bad.ops[0].err.name, bad.ops[0].err.retryable], ["SchemaError", false]);
    assert.match(bad.ops[0].err.message, /the function's input: .*at: expected a text/);
    assert.throws(() => event("e", schema)({ at: 5 as never }), /the data of event `e`/);
  });

  test("logs are silent over covered ground, with and without the server's word", async () => {
    const handler = (lines: string[]) => async ({ step, log }: Context) => {
      log.info("begin");
      await Promise.all([step.run("a", () => 1).then(() => log.info("after a")), step.run("b", () => 1).then(() => log.info("after b"))]);
      await step.run("c", () => 1);
      void lines;
    };
    const logged = async (journal: object[], seen?: number): Promise<string[]> => {
      const lines: string[] = [];
      const log = { ...silent, info: (line: string) => void lines.push(line) };
      await answer(handler(lines), { journal, app: { log }, ...(seen === undefined ? {} : { seen }) });
      return lines;
    };
    const both = [ok("a", 1, 1), ok("b", 2, 1)];
    assert.deepEqual(await logged([]), ["begin"]);
    assert.deepEqual(await logged(both, 0), ["after a", "after b"]);
    assert.deepEqual(await logged([...both, ok("c", 3, 1)], 2), []);
    assert.deepEqual(await logged([...both, ok("c", 3, 1)]), []);
  });

  test("ten thousand entries replay in seconds", { timeout: 20_000 }, async () => {
    const journal: JournalEntry[] = Array.from({ length: 10_000 }, (_, i) => ({ id: i === 0 ? "s" : `s:${i}`, op: "step", seq: i + 1, at, ok: i }));
    const a = await answer(
      async ({ step }) => {
        let sum = 0;
        for (let i = 0; i < 10_000; i++) sum += await step.run("s", () => 0);
        return sum;
      },
      { journal },
    );
    assert.equal(a.ops[0].ok, 49_995_000);
  });

  test("definitions that cannot work are refused where they stand", () => {
    const app = new Backstitch({ id: "a" });
    app.function({ id: "f" }, () => 1);
    for (const wrong of [
      () => new Backstitch({ id: "a/b" }),
      () => app.function({ id: "f" }, () => 1),
      () => app.function({ id: "g/h" }, () => 1),
      () => app.function({ id: "g", retry: { factor: 0.5 } }, () => 1),
      () => app.function({ id: "g", timeouts: { run: "soon" } }, () => 1),
      () => app.function({ id: "g", on: [{ cron: "daily" }] }, () => 1),
      () => app.function({ id: "g" }, undefined as never),
    ]) {
      assert.throws(wrong, MisuseError);
    }
  });
});
