/** Many at once: what is tolerated, who wins, what begins, whatever dies in between. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AnyFailed, Backstitch, type Context, functionRef, MapFailed, MisuseError, NonRetriableError, StepError } from "./index.js";
import { testRun, type TestRunOptions } from "./testing/index.js";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const app = new Backstitch({ id: "shop", log: silent });
const pack = functionRef<string, string>("pack");
const MODES: TestRunOptions[] = (["respond", "checkpoint"] as const).flatMap((mode) => [{ mode }, { mode, crash: "everywhere" }]);

let ids = 0;
const fn = (handler: (context: Context<[], any>) => unknown) => app.function({ id: `f${ids++}`, retry: { attempts: 1 } }, handler);

const items = [...Array(12).keys()].map((i) => ({ sku: `s${i}` }));
/** Each item a step and a child; those of `bad` fail, every second in its step. */
const packing = (bad: number[], toleratedFailures: number | `${number}%`) =>
  fn(async ({ step }) => {
    const one = async ({ sku }: { sku: string }, step: Context["step"], _: unknown, index: number): Promise<string> => {
      const weight = await step.run("weigh", () => {
        if (bad.includes(index) && index % 2 === 0) throw new NonRetriableError(`${sku} is broken`, { name: "Broken", code: "42" });
        return index;
      });
      return `${weight} ${await step.invoke("pack", pack, sku)}`;
    };
    const ends = await step.map("items", items, one, { key: (item) => item.sku, concurrency: 3, toleratedFailures });
    return ends.map((end) => (end.status === "fulfilled" ? end.value : (end.reason as StepError).name));
  });
const packed = (bad: number[]) => ({ pack: (sku: string) => {
  if (bad.includes(Number(sku.slice(1))) && Number(sku.slice(1)) % 2 === 1) throw new Error("no box");
  return `box ${sku}`;
} });

describe("fan-outs of which some may fail", () => {
  test("give what each item came to, in every mode and over every crash", async () => {
    const expected = items.map(({ sku }, i) => (i === 2 ? "Broken" : i === 5 ? "ChildFailed" : `${i} box ${sku}`));
    for (const given of MODES) assert.deepEqual(await testRun(packing([2, 5], "20%"), { ...given, children: packed([2, 5]) }).result(), expected, JSON.stringify(given));
  });

  test("begin nothing after one too many, wait for what runs, and name what failed", async () => {
    for (const given of MODES) {
      const run = testRun(packing([1, 2], 1), { ...given, children: packed([1, 2]) });
      const { error } = await run.result().then(() => assert.fail(), (error) => error);
      assert.deepEqual([error.name, error.message], ["MapFailed", "2 of 12 items failed, 1 may: s1 (ChildFailed: " + error.data.failed[0].error.message + "), s2 (Broken: s2 is broken)"]);
      assert.deepEqual({ ...error.data, failed: error.data.failed.map((f: any) => [f.key, f.index, f.error.name, f.error.code]) }, { items: 12, failures: 2, tolerated: 1, failed: [["s1", 1, "ChildFailed", undefined], ["s2", 2, "Broken", "42"]] });
      // What had begun has ended; what had not never will.
      assert.ok(run.journal.every((entry) => entry.status !== "open"), "something was left");
      assert.ok(run.executions("items/s11/weigh") === 0 && run.executions("items/s0/weigh") > 0);
    }
  });

  test("never more than so many at once, in order", async () => {
    let [now, most, order] = [0, 0, [] as number[]];
    const bounded = fn(({ step }) => step.map("m", [...Array(40).keys()], (i, step) => step.run("s", async () => {
      order.push(i);
      most = Math.max(most, ++now);
      await new Promise((resolve) => setTimeout(resolve, (i * 7) % 5));
      now--;
    }), { concurrency: 4, toleratedFailures: 0 }));
    await testRun(bounded, { mode: "checkpoint" }).result();
    assert.deepEqual([most, order], [4, [...Array(40).keys()]]);
  });

  test("refuse what cannot be meant", async () => {
    const refused = (options: any, list: unknown[] = ["a", "b"]) => testRun(fn(({ step }) => step.map("m", list, () => 1, options))).result().then(() => assert.fail(), ({ error }) => error.message);
    for (const bad of [-1, 1.5, "10", "101%", "x%", Number.NaN]) assert.match(await refused({ toleratedFailures: bad }), /`toleratedFailures` is .* not a whole number of at least 0 or a percentage/);
    assert.match(await refused({ key: () => "same" }), /two items have the key "same"/);
    assert.match(await refused({ concurrency: 0 }), /`concurrency` is 0/);
    assert.deepEqual(await testRun(fn(({ step }) => step.map("m", [], () => 1, { toleratedFailures: 1 }))).result(), []);
  });

  test("list a bounded part of many failures", async () => {
    const all = fn(({ step }) => step.map("m", [...Array(300).keys()], () => { throw new Error("x".repeat(2_000)); }, { toleratedFailures: 10 }).catch((error) => {
      assert.ok(error instanceof MapFailed && error.errors.length === 300);
      return [error.data.failures, error.data.failed.length, error.data.failed[0]?.error.message.length];
    }));
    assert.deepEqual(await testRun(all).result(), [300, 100, 512]);
  });
});

describe("branches", () => {
  test("any: errors count when there is nothing else", async () => {
    const asking = fn(async ({ step, input }) => {
      const ask = (name: string) => step.run(name, () => {
        if (input.includes(name)) throw new NonRetriableError(`no ${name}`);
        return name;
      });
      return step.any([() => ask("a"), () => ask("b"), async () => ask("c")]).catch((error) => {
        assert.ok(error instanceof AnyFailed && !error.retryable);
        return error.data.failed.map(({ index, error }) => [index, error.message]);
      });
    });
    for (const given of MODES) {
      assert.equal(await testRun(asking, { ...given, input: ["a"] }).result(), "b");
      assert.equal(await testRun(asking, { ...given, input: ["a", "b"] }).result(), "c");
      assert.deepEqual(await testRun(asking, { ...given, input: ["a", "b", "c"] }).result(), [[0, "no a"], [1, "no b"], [2, "no c"]]);
    }
  });

  test("race: by the order of the journal, over crashes", async () => {
    const racing = fn(async ({ step }) => {
      const first = await step.race([() => step.sleep("long", "1h").then(() => "long"), () => step.sleep("short", "1m").then(() => "short")]);
      const failed = await step.race([() => step.sleep("longer", "2h"), () => step.run("bad", () => { throw new NonRetriableError("bad"); })]).catch((error: Error) => error.message);
      await step.sleep("rest", "3h");
      return [first, failed];
    });
    for (const given of MODES) assert.deepEqual(await testRun(racing, given).result(), ["short", "bad"]);
  });

  test("allSettled: as Promise.allSettled has it", async () => {
    const both = fn(async ({ step }) => {
      const [a, b] = await step.allSettled([() => step.run("a", () => 1), () => step.run("b", () => { throw new NonRetriableError("no"); })]);
      return [a.status === "fulfilled" && a.value, b.status === "rejected" && b.reason instanceof StepError];
    });
    for (const given of MODES) assert.deepEqual(await testRun(both, given).result(), [1, true]);
  });

  test("an entry that was there before is awaited for its own sake", async () => {
    const sharing = fn(async ({ step }) => {
      const [p, q, r] = [step.waitForSignal("p", "p"), step.waitForSignal("q", "q"), step.waitForSignal("r", "r")];
      return step.race([() => step.all([() => p, () => q]).then(() => "pq"), () => step.all([() => p, () => r]).then(() => "pr")]);
    });
    const run = testRun(sharing);
    await run.until("r");
    run.signal("q", 1);
    await run.idle();
    run.signal("p", 1);
    // With p in one group with r, which never comes, the run would sleep on.
    assert.equal(await run.result(), "pq");
  });

  test("without any there is nothing to wait for", async () => {
    for (const none of [({ step }: any) => step.race([]), ({ step }: any) => step.any([])]) {
      const { error } = await testRun(fn(none)).result().then(() => assert.fail(), (error) => error);
      assert.deepEqual([error.name, error.retryable], [MisuseError.name, false]);
    }
  });
});
