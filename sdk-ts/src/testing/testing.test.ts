/** The test kit, and with it the surface of handlers, over whole runs. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Backstitch, CancelledError, event, functionRef, NonRetriableError, RetryAfterError, signal, StepError } from "../index.js";
import { testRun, TestRunError } from "./index.js";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const orderCreated = event<{ id: string; cents: number }>("order/created");
const paid = event<{ id: string }>("paid");
const approve = signal<{ by: string }>("approve");

function shop() {
  const lines: string[] = [];
  const app = new Backstitch({ id: "shop", log: { ...silent, info: (line) => void lines.push(line) } });
  const charged: string[] = [];
  const order = app.function({ id: "order", on: [orderCreated] }, async ({ event, step, log }) => {
    log.info("begin");
    const charge = await step.run("charge", ({ idempotencyKey }) => {
      charged.push(idempotencyKey);
      return { id: `ch_${event.data.id}`, at: new Date(0) };
    });
    log.info("charged");
    await step.sleep("cool-off", "1h");
    try {
      const approval = await step.waitForSignal("approval", approve, { timeout: "3d" });
      if (approval.timedOut) throw new NonRetriableError("nobody approved", { name: "Unapproved" });
      const shipped = await step.run("ship", () => `shipped by ${approval.data.by}`);
      log.info("shipped");
      return { shipped, at: charge.at };
    } catch (error) {
      await step.run("refund", () => charge.id);
      throw error;
    }
  });
  return { app, order, charged, lines };
}

describe("testRun", () => {
  test("an order goes through, the clock is skipped, logs come once", async () => {
    const { order, lines } = shop();
    const run = testRun(order, { event: orderCreated({ id: "17", cents: 5 }) });
    await run.until("approval");
    assert.equal(run.now.toISOString(), "2026-01-01T01:00:00.000Z");
    run.signal(approve, { by: "ann" });
    assert.deepEqual(await run.result(), { shipped: "shipped by ann", at: "1970-01-01T00:00:00.000Z" });
    assert.deepEqual(run.journal.map((e) => [e.id, e.status, e.seq]), [["charge", "ok", 1], ["cool-off", "ok", 2], ["approval", "ok", 3], ["ship", "ok", 4]]);
    assert.deepEqual(lines, ["begin", "charged", "shipped"]);
    assert.equal(run.executions("charge"), 1);
  });

  test("every answer lost once: steps run twice under one key, outcomes stay unique", async () => {
    const { order, charged } = shop();
    const run = testRun(order, { event: orderCreated({ id: "17", cents: 5 }), crash: "everywhere" });
    run.signal(approve, { by: "ann" });
    assert.equal((await run.result()).shipped, "shipped by ann");
    assert.deepEqual(charged, [`${run.id}/charge`, `${run.id}/charge`]);
    assert.equal(run.journal.filter((e) => e.op === "step").length, 2);
  });

  test("with checkpoints: fewer invocations, the same result, logs come once, lost reports are made again", async () => {
    for (const crash of [undefined, "everywhere"] as const) {
      const { order, charged, lines } = shop();
      const run = testRun(order, { event: orderCreated({ id: "17", cents: 5 }), mode: "checkpoint", ...(crash === undefined ? {} : { crash }) });
      await run.until("approval");
      run.signal(approve, { by: "ann" });
      assert.deepEqual(await run.result(), { shipped: "shipped by ann", at: "1970-01-01T00:00:00.000Z" });
      assert.deepEqual(run.journal.map((e) => [e.id, e.status, e.seq]), [["charge", "ok", 1], ["cool-off", "ok", 2], ["approval", "ok", 3], ["ship", "ok", 4]]);
      assert.equal(charged.length, crash === undefined ? 1 : 2);
      if (crash === undefined) assert.deepEqual([run.answers.length, lines], [3, ["begin", "charged", "shipped"]]);
    }
  });

  test("with checkpoints a signal and a cancellation reach a handler that is busy", async () => {
    const app = new Backstitch({ id: "a", log: silent });
    const fn = app.function({ id: "f" }, async ({ step }) => {
      const said = step.waitForSignal("s", "go").then(() => step.run("heard", () => 1));
      try {
        await step.run("long", ({ signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve(0))));
      } catch (error) {
        return [await said, await step.run("undo", () => (error as Error).name)];
      }
      return null;
    });
    const run = testRun(fn, { mode: "checkpoint" });
    const result = run.result();
    setTimeout(() => run.signal("go"), 1_100);
    setTimeout(() => run.cancel(), 1_300);
    assert.deepEqual(await result, [1, "CancelledError"]);
    assert.deepEqual([run.entry("heard").seq, run.answers.length], [2, 1]);
  });

  test("a run has the id and the logger that it is given", async () => {
    const { order, lines } = shop();
    const own: string[] = [];
    const id = "run_01hzy3v7q8k2m4n6p8r0s2t4v6";
    const run = testRun(order, { event: orderCreated({ id: "17", cents: 5 }), id, log: { ...silent, info: (line) => void own.push(line) } });
    await run.until("approval");
    assert.deepEqual([run.id, own, lines], [id, ["begin", "charged"], []]);
    assert.throws(() => testRun(order, { id: "17" }), /run_ and 26 characters/);
  });

  test("the default logger writes one line: whose it is, the message, the fields", async (t) => {
    const printed: unknown[][] = [];
    t.mock.method(console, "info", (...line: unknown[]) => void printed.push(line));
    const fn = new Backstitch({ id: "a" }).function({ id: "f" }, async ({ step, log }) => {
      log.info("begins");
      await step.run("s", () => 1);
      log.info("done", { n: 1, list: [{ deep: { er: true } }] });
      log.info("odd", { big: 1n });
    });
    const run = testRun(fn);
    await run.result();
    assert.deepEqual(printed, [[`a/f ${run.id} begins`], [`a/f ${run.id} done {"n":1,"list":[{"deep":{"er":true}}]}`], [`a/f ${run.id} odd big (not JSON)`]]);
  });

  test("a time-out and a cancellation both compensate", async () => {
    const late = testRun(shop().order, { event: orderCreated({ id: "1", cents: 1 }) });
    await assert.rejects(late.result(), (e: TestRunError) => e.error?.name === "Unapproved");
    assert.equal(late.entry("refund").value, "ch_1");
    const stopped = testRun(shop().order, { event: orderCreated({ id: "2", cents: 1 }) });
    await stopped.until("approval");
    stopped.cancel();
    await assert.rejects(stopped.result(), /was cancelled/);
    assert.deepEqual([stopped.status, stopped.entry("refund").value], ["cancelled", "ch_2"]);
  });

  test("crash points: before a body begins, and after it was done", async () => {
    const before = testRun(shop().order, { event: orderCreated({ id: "1", cents: 1 }), crash: { before: ["charge"], after: ["ship"] } });
    before.signal(approve, { by: "bob" });
    await before.result();
    assert.deepEqual([before.executions("charge"), before.executions("ship")], [1, 2]);
  });

  test("retries follow the policy, and Retry-After is obeyed", async () => {
    const app = new Backstitch({ id: "a", log: silent });
    const fn = app.function({ id: "f" }, async ({ step }) => {
      const three = await step.run("three", ({ attempt }) => {
        if (attempt < 3) throw new Error("not yet");
        return attempt;
      });
      await step.run("later", ({ attempt }) => {
        if (attempt === 1) throw new RetryAfterError("busy", "10m");
      });
      return three;
    });
    const run = testRun(fn);
    assert.equal(await run.result(), 3);
    assert.equal(run.now.getTime() - Date.parse("2026-01-01T00:00:00.000Z"), 1_000 + 2_000 + 600_000);
  });

  test("exhausted attempts and names on the list reach the handler", async () => {
    const app = new Backstitch({ id: "a", log: silent });
    const fn = app.function({ id: "f" }, async ({ step }) => {
      const names: string[] = [];
      for (const id of ["two", "named"]) {
        try {
          await step.run(id, () => { throw Object.assign(new Error("no"), { name: id }); }, { retry: { attempts: 2, nonRetryable: ["named"] } });
        } catch (error) {
          if (error instanceof StepError) names.push(`${error.name} ${error.entry}`);
        }
      }
      return names;
    });
    const run = testRun(fn);
    assert.deepEqual(await run.result(), ["two two", "named named"]);
    assert.deepEqual([run.executions("two"), run.executions("named")], [2, 1]);
  });

  test("events, children, sends, awakeables, injected steps", async () => {
    const app = new Backstitch({ id: "a", log: silent });
    const bill = functionRef<{ cents: number }, { no: number }>("billing/bill");
    const fn = app.function({ id: "f", on: [orderCreated] }, async ({ step, event }) => {
      const one = await step.waitForEvent("paid", paid, { if: "async.data.id == event.data.id" });
      const two = await step.invoke("bill", bill, { cents: event.data.cents });
      const three = await step.send("tell", [paid({ id: "x" }), paid({ id: "y" }, { id: "fixed" })]);
      const form = step.awakeable<{ name: string }>("form");
      const four = await step.start("audit", bill, { cents: 0 }, { detached: true });
      const five = await form.promise;
      const six = await step.run("six", () => "real");
      return [one.timedOut ? "late" : one.data.data.id, two.no, three[1], four.startsWith("run_"), five, six];
    });
    const run = testRun(fn, { event: orderCreated({ id: "7", cents: 3 }), children: { "billing/bill": ({ cents }: { cents: number }) => ({ no: cents * 2 }) }, steps: { six: "injected" } });
    await run.idle();
    run.event(paid({ id: "6" }));
    run.event(paid({ id: "7" }));
    await run.until("form");
    run.resolve(run.token("form"), { name: "Ann" });
    assert.deepEqual(await run.result(), ["7", 6, "fixed", true, { timedOut: false, data: { name: "Ann" } }, "injected"]);
    assert.deepEqual([run.sent.length, run.started[0]?.function], [2, "billing/bill"]);
  });

  test("a run that waits for what never comes says what", async () => {
    const { order } = shop();
    const app = new Backstitch({ id: "b" });
    const stuck = app.function({ id: "f" }, ({ step }) => step.waitForSignal("go", approve));
    await assert.rejects(testRun(stuck).result(), /waits for `go` \(waitSignal approve\)/);
    assert.throws(() => testRun(order).entry("nope"), /has no entry `nope`/);
  });

  test("waiting for all of many is one invocation, not many", async () => {
    const app = new Backstitch({ id: "a", log: silent });
    const ids = ["a", "b", "c", "d"];
    const fn = app.function({ id: "f" }, ({ step }) => step.map("waits", ids, (id, s) => s.waitForSignal("w", id)));
    const run = testRun(fn);
    await run.idle();
    for (const id of ids) {
      run.signal(id, id);
      await run.idle();
    }
    assert.equal(run.status, "completed");
    assert.equal(run.answers.length, 2);
  });

  test("random programs of branches replay to the same result under crashes", async () => {
    const app = new Backstitch({ id: "a", log: silent });
    const fn = app.function({ id: "f" }, async ({ step, run }) => {
      const branch = async (n: number): Promise<string> => {
        let trail = "";
        for (let i = 0; i <= n; i++) trail += await step.run("x", () => `${n}${i}`);
        if (n % 2 === 1) await step.sleep("nap", `${n}s`);
        return `${trail}-${run.random() < 2}`;
      };
      const race = await Promise.race([step.sleep("slow", "1m").then(() => "slow"), step.sleep("fast", "1s").then(() => "fast")]);
      return [await Promise.all([0, 1, 2, 3].map(branch)), race];
    });
    const calm = await testRun(fn).result();
    const stormy = testRun(fn, { crash: "everywhere" });
    assert.deepEqual(await stormy.result(), calm);
    assert.ok(stormy.executions("x") === 2);
  });

  test("a caught cancellation is an error of its own kind", async () => {
    const app = new Backstitch({ id: "a", log: silent });
    const fn = app.function({ id: "f" }, async ({ step }) => {
      try {
        await step.sleep("long", "1w");
      } catch (error) {
        return error instanceof CancelledError;
      }
      return false;
    });
    const run = testRun(fn);
    await run.until("long");
    run.cancel();
    assert.equal(await run.result(), true);
  });
});

describe("calls that the server makes", () => {
  const app = new Backstitch({ id: "research", log: silent });
  const ask = app.function({ id: "ask" }, async ({ step }) => {
    const answer = await step.fetch("model", { url: "https://models.example/v1?key=x", headers: { authorization: "Bearer k" }, body: { n: 1 }, retry: { attempts: 3 }, scheduleToClose: "1h" });
    return { status: answer.status, ok: answer.ok, said: answer.ok ? answer.json() : answer.text(), type: answer.headers["content-type"] ?? null };
  });

  test("a test says what is answered, and sees what was asked", async () => {
    const asked: unknown[] = [];
    const model = (request: unknown) => {
      asked.push(request);
      return { headers: { "content-type": "application/json" }, body: { text: "hi" } };
    };
    const run = testRun(ask, { fetches: { model }, crash: "everywhere" });
    assert.deepEqual(await run.result(), { status: 200, ok: true, said: { text: "hi" }, type: "application/json" });
    const headers = { "idempotency-key": `${run.id}/model`, authorization: "Bearer k", "content-type": "application/json" };
    assert.deepEqual(asked, [{ url: "https://models.example/v1?key=x", method: "POST", headers, body: '{"n":1}', attempt: 1 }]);
  });

  test("what is no answer yet is asked for again, and the pauses are skipped", async () => {
    const before = Date.now();
    const answers = [{ status: 503, headers: { "retry-after": "600" } }, new Error("connection refused"), { status: 200, body: "1" }];
    const run = testRun(ask, { fetches: { model: ({ attempt }) => answers[attempt - 1] as any } });
    assert.equal((await run.result()).said, 1);
    assert.equal(run.entry("model").attempts, 3);
    assert.equal(run.now.getTime() - Date.parse("2026-01-01T00:00:00Z"), 602_000);
    assert.ok(Date.now() - before < 60_000);
  });

  test("the last answer is the answer, and none is an error", async () => {
    const busy = testRun(ask, { fetches: { model: { status: 503, body: "busy" } } });
    assert.deepEqual(await busy.result(), { status: 503, ok: false, said: "busy", type: null });
    const late = testRun(ask, { fetches: { model: { status: 503, headers: { "retry-after": "3601" } } } });
    assert.equal((await late.result()).status, 503);
    assert.equal(late.entry("model").attempts, 1);
    const dead = testRun(ask, { fetches: { model: new Error("connection refused") } });
    await assert.rejects(dead.result(), (thrown: TestRunError) => thrown.error?.name === "FetchFailed" && thrown.error.code === "lost");
  });

  test("bytes stay bytes, and JSON that is none is final", async () => {
    const bytes = Uint8Array.of(0, 255, 1);
    const image = app.function({ id: "image" }, async ({ step }) => {
      const answer = await step.fetch("image", { url: "https://images.example/", body: bytes });
      return [...answer.bytes(), answer.encoding, answer.text().length];
    });
    const run = testRun(image, { fetches: { image: ({ body, encoding }) => ({ body: body === "AP8B" && encoding === "base64" ? bytes : "no" }) } });
    assert.deepEqual(await run.result(), [0, 255, 1, "base64", 3]);
    const html = testRun(ask, { fetches: { model: { body: "<html>" } } });
    await assert.rejects(html.result(), /NotJsonError: the answer to `model` \(status 200\) is no JSON/);
  });

  test("a call that nothing stands in for is really made", async () => {
    const { createServer } = await import("node:http");
    const server = createServer((request, response) => {
      response.writeHead(request.url === "/moved" ? 302 : 200, { location: "/elsewhere" });
      response.end(`${request.method} ${request.headers["idempotency-key"]}`);
    }).listen(0, "127.0.0.1");
    await new Promise((listening) => server.once("listening", listening));
    const { port } = server.address() as { port: number };
    const get = app.function({ id: "get" }, async ({ step }) => {
      const [here, moved] = [await step.fetch("here", { url: `http://127.0.0.1:${port}/` }), await step.fetch("moved", { url: new URL(`http://127.0.0.1:${port}/moved`) })];
      return [here.text(), moved.status, moved.headers.location];
    });
    const run = testRun(get);
    assert.deepEqual(await run.result(), [`GET ${run.id}/here`, 302, "/elsewhere"]);
    server.close();
  });

  test("what cannot be asked for is said at the call", async () => {
    const wrong: any[] = [{ url: "/here" }, { url: "ftp://a/" }, { url: "https://a/", headers: { x: 1 } }, { url: "https://a/", retryOn: [99] }, { url: "https://a/", timeout: "soon" }];
    for (const options of wrong) {
      const bad = app.function({ id: `bad${wrong.indexOf(options)}` }, async ({ step }) => void (await step.fetch("x", options)));
      await assert.rejects(testRun(bad).result(), /MisuseError|duration/, JSON.stringify(options));
    }
  });
});
