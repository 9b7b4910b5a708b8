/** Status, updates, compensations, heartbeats, patches, objects and continuing as new: over whole runs, in both modes, and with crashes. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Backstitch, CancelledError, type Context, event, exclusive, functionRef, MisuseError, NonRetriableError, type ObjectContext, shared, type SharedContext, type StandardSchema, StepError, update } from "./index.js";
import { testRun, type TestRunError, type TestRunOptions } from "./testing/index.js";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const app = () => new Backstitch({ id: "shop", log: silent });
const WAYS: TestRunOptions[] = [{}, { mode: "checkpoint" }, { crash: "everywhere" }, { mode: "checkpoint", crash: "everywhere" }];
const named = (way: TestRunOptions): string => `${way.mode ?? "respond"}${way.crash === undefined ? "" : ", every message lost once"}`;

/** The same test in each way of talking to the server. */
function inEachWay(what: string, run: (way: TestRunOptions) => Promise<void>): void {
  describe(what, () => {
    for (const way of WAYS) test(named(way), () => run(way));
  });
}

const broken = (): never => {
  throw new NonRetriableError("cut off", { name: "Broken" });
};

inEachWay("a run that fails undoes what was done, the last first", async (way) => {
  const undone: string[] = [];
  const saga = app().function({ id: "f" }, async ({ step }) => {
    const undo = (id: string) => ({ compensate: (result: string) => void (undone.includes(`${id} ${result}`) || undone.push(`${id} ${result}`)) });
    await step.run("a", () => "A", undo("a"));
    await step.run("kept", () => "K");
    await step.scope("inner", (s) => s.run("b", () => "B", undo("b")));
    await step.run("never", broken, undo("never"));
  });
  const run = testRun(saga, way);
  await assert.rejects(run.result(), (e: TestRunError) => e.error?.name === "Broken");
  assert.deepEqual(undone, ["b B", "a A"]);
  assert.deepEqual(run.journal.slice(3).map((e) => [e.id, e.status]), [["never", "err"], ["$failure", "err"], ["$undo/inner/b", "ok"], ["$undo/a", "ok"]]);
});

inEachWay("branches that succeeded beside the failure are undone, too", async (way) => {
  const fn = app().function({ id: "f" }, async ({ step }) => {
    await Promise.all([step.run("bad", broken), ...["x", "y"].map((id) => step.run(id, () => id, { compensate: (r) => r }))]);
  });
  const run = testRun(fn, way);
  await assert.rejects(run.result());
  assert.deepEqual(run.journal.filter((e) => e.id.startsWith("$undo/")).map((e) => e.value).sort(), ["x", "y"]);
});

inEachWay("a cancelled run is undone; one whose handler returns is not", async (way) => {
  const make = (keeps: boolean) =>
    app().function({ id: "f" }, async ({ step }) => {
      await step.run("a", () => 1, { compensate: (n) => n + 1 });
      try {
        await step.waitForSignal("s", "go");
      } catch (error) {
        assert.ok(error instanceof CancelledError);
        if (!keeps) throw error;
      }
      return "kept";
    });
  const cancelled = testRun(make(false), way);
  await cancelled.until("s");
  cancelled.cancel();
  await assert.rejects(cancelled.result(), /was cancelled/);
  assert.deepEqual([cancelled.status, cancelled.entry("$undo/a").value], ["cancelled", 2]);
  const kept = testRun(make(true), way);
  await kept.until("s");
  kept.cancel();
  assert.equal(await kept.result(), "kept");
  assert.throws(() => kept.entry("$undo/a"));
});

inEachWay("a shield is done to its end before the run hears of its cancellation", async (way) => {
  const fn = app().function({ id: "f" }, async ({ step, run }) => {
    const moved = step.shield("move", async (step) => {
      await step.run("take", () => 1);
      await step.sleep("nap", "1h");
      await step.shield("inner", (step) => step.run("give", () => 2));
      return step.scope("inner", (step) => step.run("note", () => 3));
    });
    const beside = step.waitForSignal("s", "never").catch((e) => step.run("cleaned", () => e.name));
    const result = [await moved, await beside, run.now().toISOString()];
    // It was told once: what comes now runs.
    return [...result, await step.shield("late", (step) => step.run("x", () => 4))];
  });
  const run = testRun(fn, { ...way, now: "2026-01-01T00:00:00.000Z" });
  await run.until("move/nap");
  run.cancel();
  assert.deepEqual(await run.result(), [3, "CancelledError", "2026-01-01T01:00:00.000Z", 4]);
  assert.deepEqual(run.journal.map((e) => e.id).sort(), ["$cancel", "cleaned", "late/x", "move/inner/give", "move/inner:1/note", "move/nap", "move/take", "s"]);
});

inEachWay("a shield that throws ends, and one that waits for something of its own is not torn", async (way) => {
  const fn = app().function({ id: "f" }, async ({ step }) => {
    await step.shield("bad", () => step.run("bad", broken)).catch(() => undefined);
    const own = step.shield("own", () => new Promise((resolve) => setTimeout(resolve, 200, "own")));
    return [await own, await step.run("never", () => 0).catch((e) => e.name)];
  });
  const run = testRun(fn, way);
  run.cancel();
  assert.deepEqual(await run.result(), ["own", "CancelledError"]);
  assert.deepEqual(run.journal.map((e) => e.id), ["$cancel", "bad"], "a step from outside is one of outside");
});

inEachWay("a compensation is retried ten times, and then the run is held for a person", async (way) => {
  let attempts = 0;
  const fn = app().function({ id: "f" }, async ({ step }) => {
    await step.run("a", () => 1, { compensate: (_, { attempt }) => { attempts = attempt; throw new Error("no way back"); } });
    await step.run("bad", broken);
  });
  const run = testRun(fn, way);
  await assert.rejects(run.result(), /is held: its compensation `\$undo\/a`/);
  assert.deepEqual([attempts, run.status], [10, "running"]);
  run.settle("$undo/a", { ok: null });
  await assert.rejects(run.result(), (e: TestRunError) => e.error?.name === "Broken");
});

inEachWay("a run that takes too long is undone while it waits", async (way) => {
  const fn = app().function({ id: "f", timeouts: { run: "1h" } }, async ({ step, run }) => {
    await step.run("a", () => run.deadline?.toISOString(), { compensate: (r) => r });
    await step.waitForSignal("s", "go").catch(() => step.run("never", () => 0));
  });
  const run = testRun(fn, { ...way, now: "2026-01-01T00:00:00.000Z" });
  await assert.rejects(run.result(), (e: TestRunError) => e.error?.name === "Timeout");
  assert.equal(run.entry("$undo/a").value, "2026-01-01T01:00:00.000Z");
  assert.throws(() => run.entry("never"));
});

inEachWay("updates are answered once, rejected by schema or handler, and with an error when the run ends", async (way) => {
  const positive: StandardSchema<number, number> = { "~standard": { version: 1, vendor: "test", validate: (n) => (Number(n) > 0 ? { value: Number(n) } : { issues: [{ message: "not positive" }] }) } };
  const change = update<{ total: number }, typeof positive>("change", positive);
  const fn = app().function({ id: "f" }, async ({ step }) => {
    let total = 0;
    for (let i = 0; i < 3; i++) {
      const came = await step.waitForUpdate("change", change, { timeout: "1h" });
      if (came.timedOut) return { timedOut: total };
      if (came.data === 13) came.reject(Object.assign(new Error("unlucky"), { name: "Unlucky", code: "E13" }));
      else came.reply({ total: (total += await step.run("add", () => came.data)) });
    }
    return { total };
  });
  const run = testRun(fn, way);
  const answers = [2, -1, 13, 5, 7].map((n) => run.update(change, n).catch((e) => [e.name, e.code]));
  assert.deepEqual(await run.result(), { total: 7 });
  assert.deepEqual(await Promise.all(answers), [{ total: 2 }, ["SchemaError", undefined], ["Unlucky", "E13"], { total: 7 }, ["RunEnded", undefined]]);
  const late = testRun(fn, way);
  void late.update(change, -1);
  assert.deepEqual(await late.result(), { timedOut: 0 });
  assert.equal(late.now.toISOString(), "2026-01-01T01:00:00.000Z");
});

test("a reply that an earlier invocation sent is not sent again", async () => {
  const change = update<number, number>("change");
  const fn = app().function({ id: "f" }, async ({ step }) => {
    for (let i = 0; i < 20; i++) {
      const came = await step.waitForUpdate("change", change);
      if (!came.timedOut) came.reply(came.data);
    }
  });
  const run = testRun(fn);
  for (let i = 0; i < 20; i++) {
    void run.update(change, i);
    await run.idle();
  }
  assert.equal(run.answers.flatMap((a) => a.ops).filter((op) => op.op === "reply").length, 20);
});

inEachWay("what a run shows is its newest status, also while a body runs", async (way) => {
  const fn = app().function({ id: "f" }, async ({ step, run }) => {
    run.setStatus({ phase: "one" });
    await step.run("one", () => new Promise((resolve) => setTimeout(resolve, 1_300)));
    run.setStatus({ phase: "two" });
    await step.sleep("nap", "1h");
    return 1;
  });
  const run = testRun(fn, way);
  const seen = run.until("nap");
  if (way.mode === "checkpoint" && way.crash === undefined) {
    await new Promise((resolve) => setTimeout(resolve, 1_150));
    assert.deepEqual(run.value, { phase: "one" });
  }
  await seen;
  assert.deepEqual(run.value, { phase: "two" });
  assert.equal(await run.result(), 1);
});

inEachWay("a run is found by what it was started with, and by what its handler makes of that", async (way) => {
  const seen: unknown[] = [];
  const fn = app().function({ id: "f" }, async ({ step, run }) => {
    seen.push([run.tags, run.attributes]);
    run.addTags("new", "old");
    run.setAttributes({ total: 12.5, due: new Date(0), gone: true, left: undefined });
    await step.sleep("nap", "1h");
    run.removeTags("old", "unknown");
    run.removeAttributes("gone");
    await step.scope("part", (_, inner) => inner.setAttributes({ total: 13 }));
    await step.sleep("rest", "1h");
    return run.tags;
  });
  const run = testRun(fn, { ...way, tags: ["old"], attributes: { customer: "c-1" } });
  await run.until("nap");
  assert.deepEqual([run.tags, run.attributes], [["new", "old"], { customer: "c-1", total: 12.5, due: "1970-01-01T00:00:00.000Z", gone: true }]);
  await run.until("rest");
  assert.deepEqual([run.tags, run.attributes], [["new"], { customer: "c-1", total: 13, due: "1970-01-01T00:00:00.000Z" }]);
  assert.deepEqual(await run.result(), ["new"]);
  assert.ok(seen.length > 1);
  for (const first of seen) assert.deepEqual(first, [["old"], { customer: "c-1" }]);
});

test("what nobody can be found by is refused where it is said", async () => {
  const refused: string[] = [];
  const fn = app().function({ id: "f" }, async ({ step, run }) => {
    const attempt = (what: () => void) => {
      try {
        what();
      } catch (error) {
        refused.push((error as Error).name);
      }
    };
    attempt(() => run.addTags(""));
    attempt(() => run.addTags("x".repeat(129)));
    attempt(() => run.addTags("a\nb"));
    attempt(() => run.setTags(Array.from({ length: 33 }, (_, i) => `t${i}`)));
    attempt(() => run.setAttributes({ "a b": 1 }));
    attempt(() => run.setAttributes({ n: Number.NaN }));
    attempt(() => run.setAttributes({ n: 2 ** 53 }));
    attempt(() => run.setAttributes({ d: new Date("never") }));
    attempt(() => run.setAttributes({ t: "x".repeat(1_025) }));
    attempt(() => run.setAttributes(Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`a${i}`, i]))));
    attempt(() => run.setAttributes({ o: {} as string }));
    await step.run("body", () => attempt(() => run.addTags("inside")));
    return [run.tags, run.attributes];
  });
  const run = testRun(fn);
  assert.deepEqual(await run.result(), [[], {}]);
  assert.deepEqual(refused.slice(0, 12), [...Array.from({ length: 11 }, () => "MisuseError"), "NestedStepError"]);
});

inEachWay("an attempt goes on from the last heartbeat of the one before", async (way) => {
  const began: unknown[] = [];
  const fn = app().function({ id: "f" }, ({ step }) =>
    step.run("copy", async ({ details, heartbeat, attempt }) => {
      began.push(details);
      const from = (details as { row: number } | undefined)?.row ?? 0;
      for (let row = from; row < from + 10; row++) heartbeat({ row: row + 1 });
      if (attempt < 3) throw new Error("cut off");
      return from + 10;
    }),
  );
  const run = testRun(fn, way);
  assert.equal(await run.result(), 30);
  // A message that is lost takes its heartbeats with it: the attempt is made again from where it began.
  assert.deepEqual([...new Set(began.map((d) => JSON.stringify(d)))], [undefined, '{"row":10}', '{"row":20}']);
});

test("a body that is silent for too long fails; one that gives signs of life does not", async () => {
  const make = (pauses: number[]) =>
    app().function({ id: "f" }, ({ step }) =>
      step.run("s", async ({ heartbeat, signal }) => {
        for (const ms of pauses) {
          await new Promise((resolve) => setTimeout(resolve, ms));
          if (!signal.aborted) heartbeat();
        }
        return "done";
      }, { heartbeat: "200ms", retry: { attempts: 1 } }),
    );
  assert.equal(await testRun(make([120, 120, 120])).result(), "done");
  await assert.rejects(testRun(make([120, 600])).result(), (e: TestRunError) => e.error?.name === "Timeout" && /no heartbeat for 200 ms/.test(e.message));
});

inEachWay("a step that is not done in time fails with what it failed with last", async (way) => {
  const fn = app().function({ id: "f" }, async ({ step }) => {
    try {
      return await step.run("s", () => { throw new Error("not yet"); }, { scheduleToClose: "10s", retry: { attempts: 100 } });
    } catch (error) {
      const { name, data } = error as StepError;
      return [name, (data as { lastError: { message: string } }).lastError.message];
    }
  });
  const run = testRun(fn, way);
  assert.deepEqual(await run.result(), ["Timeout", "not yet"]);
  assert.equal(run.now.toISOString(), "2026-01-01T00:00:10.000Z");
});

inEachWay("a run that was on its way keeps the old way, another one takes the new", async (way) => {
  let patched = false;
  const code = async ({ step, run }: Context): Promise<string> => {
    const before = await step.run("before", () => "b");
    const path = patched && run.patched("v2") ? "new" : "old";
    await step.run(path, () => 1);
    await step.sleep("nap", "1h");
    return `${before} ${path} ${patched && run.patched("v2")}`;
  };
  const fn = app().function({ id: "f" }, code);
  const old = testRun(fn, way);
  await old.until("nap");
  patched = true;
  const young = testRun(fn, way);
  await young.until("nap");
  assert.deepEqual([await old.result(), await young.result()], ["b old false", "b new true"]);
});

const counter = update<number, number>("add");
inEachWay("a run goes on in a new one, with the updates that wait for it", async (way) => {
  const fn = app().function({ id: "f" }, async ({ input, step, run }: Context<[], { total: number }>): Promise<number> => {
    if (input.total >= 6) return input.total;
    const came = await step.waitForUpdate("add", counter);
    const total = input.total + (came.timedOut ? 0 : came.data);
    if (!came.timedOut) came.reply(total);
    await run.continueAsNew({ total });
    throw new Error("not reached");
  });
  const run = testRun(fn, { ...way, input: { total: 0 } });
  const first = run.id;
  const answers = [1, 2, 3].map((n) => run.update(counter, n));
  assert.equal(await run.result(), 6);
  assert.deepEqual(await Promise.all(answers), [1, 3, 6]);
  assert.deepEqual(run.continued.map((r) => r.input), [{ total: 1 }, { total: 3 }, { total: 6 }]);
  assert.notEqual(run.id, first);
});

interface Cart {
  items: { sku: string; at: Date }[];
  total: number;
}
const makeCart = (shop: Backstitch) =>
  shop.object({ id: "cart" }, {
    add: exclusive(async ({ key, state, input, step }: ObjectContext<Cart, { sku: string; cents: number }>) => {
      const cents = await step.run("price", () => input.cents);
      state.set("items", [...(state.get("items") ?? []).map(({ sku, at }) => ({ sku, at: new Date(at) })), { sku: input.sku, at: new Date(0) }]);
      state.set({ total: (state.get("total") ?? 0) + cents });
      await step.sleep("nap", "1m");
      return { key, total: state.get("total"), first: state.get("items")?.[0]?.at };
    }),
    empty: exclusive(async ({ state }: ObjectContext<Cart, null>) => state.clear()),
    total: shared(async ({ state }: SharedContext<Cart, null>) => state.get("total") ?? 0),
    cheat: shared(async ({ state }: SharedContext<Cart, null>) => (state as ObjectContext<Cart>["state"]).set("total", 0)),
  });

inEachWay("a handler of an object reads what it has written, and others what is durable", async (way) => {
  const cart = makeCart(app());
  const run = testRun(cart("user-17").add, { ...way, input: { sku: "lamp", cents: 4 }, state: { total: 3 } });
  await run.until("nap");
  assert.deepEqual(run.state, { total: 7, items: [{ sku: "lamp", at: "1970-01-01T00:00:00.000Z" }] });
  assert.deepEqual(await run.result(), { key: "user-17", total: 7, first: "1970-01-01T00:00:00.000Z" });
  assert.deepEqual(run.journal.map((e) => e.id), ["price", "$state", "$state:1", "nap"]);
  const { state } = run;
  assert.equal(await testRun(cart("user-17").total, { ...way, input: null, state }).result(), 7);
  const emptied = testRun(cart("user-17").empty, { ...way, input: null, state });
  await emptied.result();
  assert.deepEqual(emptied.state, {});
  await assert.rejects(testRun(cart("user-17").cheat, { ...way, input: null }).result(), /a shared handler only reads/);
});

test("what is written as state is bounded, and not written in a step's body", async () => {
  const shop = app();
  const thing = shop.object({ id: "thing" }, {
    big: exclusive(async ({ state }: ObjectContext<{ x: string }, null>) => state.set("x", "ö".repeat(131_073))),
    nested: exclusive(async ({ state, step }: ObjectContext<{ x: string }, null>) => step.run("s", () => state.set("x", "y"))),
  });
  await assert.rejects(testRun(thing("k").big, { input: null }).result(), /262148 bytes, at most 262144/);
  await assert.rejects(testRun(thing("k").nested, { input: null }).result(), (e: TestRunError) => e.error?.name === "NestedStepError");
  assert.throws(() => thing(""), MisuseError);
  assert.throws(() => thing("x".repeat(257)), MisuseError);
});

inEachWay("an end waits for the children that it is to wait for, and only for them", async (way) => {
  const fn = app().function({ id: "f" }, async ({ step }) => {
    void step.invoke("slow", functionRef("slow"), null, { parentClose: "wait" });
    void step.invoke("free", functionRef("free"), null, { parentClose: "abandon" });
    return step.run("quick", () => 1);
  });
  const run = testRun(fn, way);
  await run.idle();
  assert.equal(run.status, "running");
  run.settle("slow", { err: { name: "ChildFailed", message: "it failed" } });
  assert.equal(await run.result(), 1);
  assert.equal(run.entry("free").status, "open");
});

test("what an input looks like is in the manifest, if the schema's library can say it", () => {
  const schema = (input: () => Record<string, unknown>): StandardSchema<{ n: number }> => ({ "~standard": { version: 1, vendor: "test", validate: (value) => ({ value: value as { n: number } }), jsonSchema: { input } } });
  const shop = app();
  shop.function({ id: "says", input: schema(() => ({ type: "object" })) }, () => null);
  shop.function({ id: "cannot", input: schema(() => { throw new Error("a date"); }) }, () => null);
  shop.function({ id: "none" }, () => null);
  assert.deepEqual(shop.describe().functions.map(({ id, input }) => [id, input]), [["says", { type: "object" }], ["cannot", undefined], ["none", undefined]]);
});

test("what the data of an event look like is in the manifest, with the trigger that names it", () => {
  const schema: StandardSchema<{ n: number }> = { "~standard": { version: 1, vendor: "test", validate: (value) => ({ value: value as { n: number } }), jsonSchema: { input: () => ({ type: "object" }) } } };
  const shop = app();
  const paid = event("order/paid", schema);
  shop.function({ id: "count", on: [paid] }, () => null);
  shop.function({ id: "some", on: [{ event: paid, if: "event.data.n > 1" }] }, () => null);
  const lost = event("order/lost");
  shop.function({ id: "plain", on: [lost] }, () => null);
  assert.deepEqual(shop.describe().functions.map((fn) => fn.triggers), [
    [{ event: "order/paid", schema: { type: "object" } }],
    [{ event: "order/paid", schema: { type: "object" }, if: "event.data.n > 1" }],
    [{ event: "order/lost" }],
  ]);
});

test("the manifest says what a function is cancelled by, who handles its failures, and which objects there are", async () => {
  const shop = app();
  shop.function({ id: "order", timeouts: { run: "1d" }, cancelOn: [{ event: "order/cancelled", if: "async.data.id == event.data.id" }], onFailure: ({ input }) => input.error.name }, () => 1);
  makeCart(shop);
  const { functions, objects } = shop.describe();
  assert.deepEqual(functions, [
    { id: "order.onFailure", triggers: [{ failureOf: "order" }] },
    { id: "order", triggers: [], timeouts: { run: "1d" }, cancelOn: [{ event: "order/cancelled", if: "async.data.id == event.data.id" }] },
  ]);
  assert.deepEqual(objects.map((o) => [o.id, o.handlers.map((h) => [h.id, h.mode])]), [["cart", [["add", "exclusive"], ["empty", "exclusive"], ["total", "shared"], ["cheat", "shared"]]]]);
  const failed = shop.functions.get("order.onFailure");
  const failure = { run: { id: "run_1", app: "shop", function: "order", name: null }, error: { name: "Broken", message: "cut off" }, input: 1 };
  assert.equal(await testRun(failed as never, { input: failure as never }).result(), "Broken");
  assert.throws(() => shop.function({ id: "x", cancelOn: [{ event: "e", if: "" }] }, () => 1), /has no `if`/);
  assert.throws(() => shop.object({ id: "cart" }, { a: shared(async () => 1) }), /already has one/);
  assert.throws(() => shop.object({ id: "other" }, {}), /no handlers/);
});
