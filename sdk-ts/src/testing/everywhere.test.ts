/** Crashes at every point, and what tests may do to a run besides. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Backstitch, event, NonRetriableError, signal, StepError } from "../index.js";
import { crashEverywhere, type Given, NotCrashSafe, type Prepared, testRun } from "./index.js";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const approve = signal<{ by: string }>("approve");
const closed = event<{ id: string }>("shop/closed");

/** A provider that knows idempotency keys, if it is given one. */
class Bank {
  readonly charges = new Map<string, number>();
  #calls = 0;

  charge(cents: number, key = `call ${this.#calls++}`): string {
    this.charges.set(key, cents);
    return `ch_${cents}`;
  }
}

/** An order, with one thing done as `flaw` says. */
function order(flaw?: "keyless" | "outside" | "random way" | "random params" | "memory") {
  return (given: Given): Prepared => {
    const bank = new Bank();
    let memory = 0;
    const app = new Backstitch({ id: "shop", log: silent });
    const fn = app.function({ id: "order", retry: { attempts: 1 } }, async ({ step, run }) => {
      if (flaw === "outside") bank.charge(1);
      const charge = await step.run("charge", ({ idempotencyKey }) => bank.charge(999, flaw === "keyless" ? undefined : idempotencyKey), { timeout: "2m" });
      memory++;
      await step.sleep("cool-off", flaw === "random params" ? Math.ceil(Math.random() * 1e9) : "1h");
      if (flaw === "random way" ? Math.random() < 0.5 : run.random() < 2) await step.run("mail", () => "mailed");
      const approval = await step.waitForSignal("approval", approve);
      const parts = await step.map("parts", [1, 2, 3], (n, step) => step.run("pack", () => n), { concurrency: 2, toleratedFailures: 1 });
      return [charge, approval.timedOut || approval.data.by, parts.length, flaw === "memory" ? memory : 0];
    });
    const run = testRun(fn, given);
    run.signal(approve, { by: "ann" });
    return { run, effects: () => [...bank.charges.values()] };
  };
}

const refused = (prepare: (given: Given) => Prepared): Promise<NotCrashSafe> =>
  crashEverywhere(prepare).then(
    () => assert.fail("it should have been found"),
    (error) => (assert.ok(error instanceof NotCrashSafe, String(error)), error),
  );

describe("crashEverywhere", () => {
  test("a sound function comes to the same at every place", async () => {
    const { runs, places } = await crashEverywhere(order());
    for (const place of ["respond: lost answer 1 (charge)", "checkpoint: lost report 1 (charge)", "respond: died before `parts/0/pack`", "checkpoint: died before `mail`"]) assert.ok(places.includes(place), `${place} is not among ${places.join(", ")}`);
    assert.ok(places.some((place) => place.includes("done")) && runs === places.length + 4);
  });

  test("an effect without a key is done twice, and it says where", async () => {
    const { findings } = await refused(order("keyless"));
    assert.deepEqual(findings.map(({ place }) => place), ["respond: lost answer 1 (charge)", "checkpoint: lost report 1 (charge)"]);
    assert.deepEqual(findings[0]?.differs, ["the effects: [999] undisturbed, [999,999] now"]);
  });

  test("an effect outside of steps is done as often as the handler is called", async () => {
    const { findings, message } = await refused(order("outside"));
    assert.ok(findings.some(({ place }) => place.startsWith("checkpoint: died before")));
    assert.match(message, /the function is not crash-safe at \d+ places:\n(respond|checkpoint): /);
  });

  test("what only memory knows is lost", async () => {
    const { findings } = await refused(order("memory"));
    assert.ok(findings.every(({ differs }) => differs.some((line) => line.startsWith("the result: "))));
  });

  test("chance in the flow: the journal shows it", async () => {
    // One of many throws must fall the other way: with 30 runs that is certain enough.
    const { findings } = await refused(order("random way"));
    assert.ok(findings.length > 0);
  });

  test("what no two runs have in common is left out", async () => {
    await crashEverywhere((given) => ({ run: testRun(new Backstitch({ id: "a", log: silent }).function({ id: "f" }, ({ step }) => step.run("id", () => Math.random())), given) }));
  });

  test("a run that fails, fails alike", async () => {
    const failing = (given: Given): Prepared => ({
      run: testRun(new Backstitch({ id: "a", log: silent }).function({ id: "f" }, async ({ step }) => {
        await step.run("one", () => 1, { compensate: () => 2 });
        await step.run("two", () => { throw new NonRetriableError("no"); });
      }), given),
    });
    const { places } = await crashEverywhere(failing);
    assert.ok(places.some((place) => place.includes("$undo/one")), places.join());
  });
});

describe("what tests may do to a run", () => {
  const app = new Backstitch({ id: "shop", log: silent });

  test("attempts that fail", async () => {
    const fn = app.function({ id: "flaky" }, ({ step }) => step.run("charge", ({ attempt }) => attempt));
    const run = testRun(fn, { failures: { charge: [1, 2] } });
    assert.equal(await run.result(), 3);
    assert.deepEqual([run.executions("charge"), run.now.getTime() - Date.parse("2026-01-01")], [3, 3_000]);
    const final = testRun(fn, { failures: { charge: { attempts: [2], error: new NonRetriableError("gone", { name: "Gone" }) } } });
    assert.equal(await final.result(), 1);
    const first = testRun(fn, { failures: { charge: { attempts: [1], error: new NonRetriableError("gone", { name: "Gone" }) } } });
    await assert.rejects(first.result(), /Gone: gone/);
  });

  test("children that really run, with what stands in for their steps", async () => {
    const child = app.function({ id: "pack" }, async ({ input, step }) => {
      const weight = await step.run("weigh", () => { throw new NonRetriableError("no scales", { name: "NoScales" }); });
      return `${String(input)} ${weight}`;
    });
    const parent = app.function({ id: "parent" }, async ({ step }) => step.invoke("pack", child, "lamp").catch((error: StepError) => (error.data as any).error.name));
    assert.equal(await testRun(parent, { children: { pack: child } }).result(), "NoScales");
    assert.equal(await testRun(parent, { children: { pack: child }, steps: { weigh: 7 } }).result(), "lamp 7");
    assert.equal(await testRun(parent, { children: { pack: "box" } }).result(), "box");
  });

  test("events that cancel", async () => {
    const fn = app.function({ id: "cancellable", on: [closed], cancelOn: [{ event: closed, if: "async.data.id == event.data.id" }] }, async ({ step }) => {
      await step.sleep("long", "1w");
    });
    const run = testRun(fn, { event: closed({ id: "1" }) });
    await run.until("long");
    run.event(closed({ id: "2" }));
    await run.idle();
    assert.equal(run.status, "running");
    run.event(closed({ id: "1" }));
    await run.idle();
    assert.equal(run.status, "cancelled");
  });

  test("failures that start a function", async () => {
    const watched = app.function({ id: "watched", onFailure: ({ input, trigger, event }) => [trigger.kind, input.error.name, input.run.id, event.name] }, () => 1);
    const failure = { run: { id: "run_1", app: "shop", function: "watched", name: null }, error: { name: "Odd", message: "odd" }, input: null };
    assert.deepEqual(await testRun<any, any>(watched, { failure }).result(), ["failure", "Odd", "run_1", "backstitch/failure"]);
  });

  test("a deployment in the middle of a run", async () => {
    const before = app.function({ id: "v" }, async ({ step }) => {
      await step.sleep("nap", "1h");
      return "old";
    });
    const after = app.function({ id: "v2" }, async ({ step, run }) => {
      if (run.patched("greet")) await step.run("greet", () => "hello");
      await step.sleep("nap", "1h");
      return "new";
    });
    const run = testRun<unknown, string>(before);
    await run.until("nap");
    run.deploy(after);
    assert.equal(await run.result(), "new");
    assert.deepEqual(run.journal.map(({ id }) => id), ["nap"]);
    assert.deepEqual(testRun(after).journal, []);
  });
});
