/** The client against an HTTP server that speaks the documented REST API, and one that misbehaves. */
import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, describe, test } from "node:test";
import { event, functionRef, MisuseError, objectRef, type ObjectHandler, signal, update } from "../index.js";
import { Client, ClientError, RunFailedError, RunNotFinishedError, UpdateNotAnswered, UpdateRejected } from "./index.js";

const RUN = "run_01hzy3v7q8k2m4n6p8r0s2t4v6";
const order = functionRef<{ cents: number }, { receipt: string }>("shop/order");
type Reply = { status: number; body: unknown; headers?: Record<string, string> };

describe("client", () => {
  let server: Server;
  let client: Client;
  let requests: { method: string; path: string; body: any }[] = [];
  let replies: Reply[] = [];

  before(async () => {
    server = createServer(async (request, response) => {
      let text = "";
      for await (const chunk of request) text += chunk;
      requests.push({ method: request.method ?? "", path: request.url ?? "", body: text === "" ? undefined : JSON.parse(text) });
      const reply = replies.shift() ?? { status: 500, body: { detail: "no reply was prepared" } };
      response.writeHead(reply.status, { "content-type": "application/json", ...reply.headers });
      response.end(typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    client = new Client({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` });
  });
  beforeEach(() => {
    requests = [];
    replies = [];
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });

  test("starts, signals, waits, cancels", async () => {
    replies = [
      { status: 202, body: { id: RUN, created: true } },
      { status: 202, body: {} },
      { status: 202, body: { id: RUN, status: "suspended" } },
      { status: 200, body: { id: RUN, status: "completed", ok: { receipt: "r1" } } },
      { status: 202, body: {} },
    ];
    const run = await client.start(order, { cents: 5 }, { runId: "order-17", delay: "1s", tags: ["eu"], attributes: { total: 5, at: new Date(0) } });
    await run.signal(signal<{ by: string }>("ap/prove"), { by: "ann" }, { id: "s1" });
    assert.deepEqual(await run.result(), { receipt: "r1" });
    await run.cancel();
    assert.deepEqual(
      requests.map((r) => [r.method, r.path, r.body]),
      [
        ["POST", "/v1/functions/shop/order/runs", { input: { cents: 5 }, runId: "order-17", delay: "1s", tags: ["eu"], attributes: { total: 5, at: "1970-01-01T00:00:00.000Z" } }],
        ["POST", `/v1/runs/${RUN}/signals/ap%2Fprove`, { data: { by: "ann" }, id: "s1" }],
        ["GET", `/v1/runs/${RUN}/result?wait=30000ms`, undefined],
        ["GET", `/v1/runs/${RUN}/result?wait=30000ms`, undefined],
        ["POST", `/v1/runs/${RUN}/cancel`, {}],
      ],
    );
  });

  test("events carry an id, so a repeated request sends nothing twice", async () => {
    replies = [{ status: 503, body: { detail: "starting" }, headers: { "retry-after": "0" } }, { status: 202, body: { events: [{ id: "evt_1" }] } }];
    const created = event<{ id: string }>("order/created");
    assert.deepEqual(await client.send(created({ id: "1" })), ["evt_1"]);
    const [first, second] = requests;
    assert.match(first?.body[0].id, /^[0-9a-f-]{36}$/);
    assert.deepEqual(first, second);
    await assert.rejects(client.send([created({ id: "1" }), created({ id: "2" })], { id: "x" }), MisuseError);
  });

  test("a call that takes longer than the server waits is waited for by its id", async () => {
    replies = [
      { status: 202, body: { id: RUN, status: "running" } },
      { status: 200, body: { id: RUN, status: "failed", err: { name: "OutOfStock", message: "none left", code: "E1", data: [1] } } },
    ];
    await assert.rejects(client.call(order, { cents: 1 }, { wait: "10s" }), (e: RunFailedError) => {
      assert.deepEqual([e.name, e.message, e.code, e.data, e.status, e.runId], ["OutOfStock", "none left", "E1", [1], "failed", RUN]);
      return e instanceof RunFailedError;
    });
    assert.match(requests[0]?.body.idempotencyKey, /^[0-9a-f-]{36}$/);
  });

  test("waiting ends when its time is over, and the run goes on", async () => {
    replies = [{ status: 202, body: { id: RUN, status: "suspended" } }];
    await assert.rejects(client.run(RUN).result({ wait: 0 }), (e) => e instanceof RunNotFinishedError && /is suspended/.test(e.message));
  });

  test("whoever waits for a result sits out a restart of the server; other requests give up sooner", async () => {
    let calls = 0;
    const away = (failures: number) => new Client({ url: "http://127.0.0.1:1", fetch: async () => (++calls > failures ? Response.json({ id: RUN, status: "completed", ok: 1 }) : Promise.reject(new TypeError("refused"))) });
    assert.equal(await away(4).run(RUN).result(), 1);
    assert.equal(calls, 5);
    calls = 0;
    await assert.rejects(away(4).run(RUN).status(), (e: ClientError) => e.status === 0);
    assert.equal(calls, 4);
  });

  test("updates are sent with an id, waited for, and throw what they are rejected with", async () => {
    const change = update<{ street: string }, { fee: number }>("change/address");
    const run = client.run(RUN);
    replies = [{ status: 202, body: { id: "u1" } }, { status: 202, body: { id: "u1" } }, { status: 200, body: { id: "u1", ok: { fee: 3 } } }];
    assert.deepEqual(await run.update(change, { street: "new" }, { id: "u1" }), { fee: 3 });
    assert.deepEqual(
      requests.map((r) => [r.method, r.path, r.body]),
      [
        ["POST", `/v1/runs/${RUN}/updates/change%2Faddress?wait=30000ms`, { data: { street: "new" }, id: "u1" }],
        ["GET", `/v1/runs/${RUN}/updates/u1?wait=30000ms`, undefined],
        ["GET", `/v1/runs/${RUN}/updates/u1?wait=30000ms`, undefined],
      ],
    );
    replies = [{ status: 200, body: { id: "u2", err: { name: "TooLate", message: "it has left", code: "E1", data: [2] } } }];
    await assert.rejects(run.update(change, { street: "new" }), (e: UpdateRejected) => {
      assert.deepEqual([e.name, e.message, e.code, e.data, e.runId], ["TooLate", "it has left", "E1", [2], RUN]);
      return e instanceof UpdateRejected;
    });
    replies = [{ status: 202, body: { id: "u3" } }];
    await assert.rejects(run.update("change/address", null, { wait: 0 }), (e) => e instanceof UpdateNotAnswered && /explain/.test(e.message));
  });

  test("runs are paused, resumed, moved, killed, forked and retried", async () => {
    const other = "run_01hzy3v7q8k2m4n6p8r0s2t4v7";
    replies = [...Array(4).fill({ status: 202, body: {} }), { status: 201, body: { id: other, copied: 2, created: true } }, { status: 200, body: { copied: ["a"], again: ["b"] } }, { status: 201, body: { id: other, copied: 1, created: true } }];
    const run = client.run(RUN);
    await run.pause();
    await run.resume();
    await run.move();
    await run.kill();
    const fork = await run.fork({ at: "ship", edits: { charge: { ok: { id: "ch_1" } } }, input: 5 });
    assert.equal(fork.id, other);
    assert.deepEqual(await run.fork({ dryRun: true }), { copied: ["a"], again: ["b"] });
    assert.equal((await run.retry()).id, other);
    assert.deepEqual(
      requests.map((r) => [r.path.replace(`/v1/runs/${RUN}/`, ""), r.body]),
      [["pause", {}], ["resume", {}], ["move", { to: "current" }], ["kill", {}], ["fork", { at: "ship", edits: { charge: { ok: { id: "ch_1" } } }, input: 5 }], ["fork", { dryRun: true }], ["retry", {}]],
    );
  });

  test("handlers of objects are called and started under their key, and the state is read", async () => {
    const cart = objectRef<{ add: ObjectHandler<{ sku: string }, number> }>("shop/cart");
    replies = [{ status: 200, body: { id: RUN, status: "completed", ok: 3 } }, { status: 202, body: { id: RUN, created: true } }, { status: 200, body: { state: { total: 3 }, holder: null, waiting: 0 } }];
    assert.equal(await client.call(cart("user/17").add, { sku: "lamp" }), 3);
    assert.equal((await client.start(cart("user/17").add, { sku: "lamp" }, { idempotencyKey: "k" })).id, RUN);
    assert.deepEqual(await client.state(cart("user/17").add), { total: 3 });
    assert.deepEqual(requests.map((r) => [r.method, r.path]), [
      ["POST", "/v1/objects/shop/cart/user%2F17/add?wait=30000ms"],
      ["POST", "/v1/objects/shop/cart/user%2F17/add?mode=send"],
      ["GET", "/v1/objects/shop/cart/user%2F17/state"],
    ]);
    assert.deepEqual(requests[1]?.body, { input: { sku: "lamp" }, idempotencyKey: "k" });
    await assert.rejects(client.state(order), /is no handler of an object/);
  });

  test("jobs are started, counted, watched and stopped", async () => {
    replies = [
      { status: 200, body: { total: 12 } },
      { status: 202, body: { id: "job_1" } },
      { status: 200, body: { id: "job_1", status: "running", done: 3, failed: 0, total: 12 } },
      { status: 200, body: { id: "job_1", status: "done", done: 12, failed: 1, total: 12 } },
      { status: 200, body: {} },
    ];
    const job = { action: "retry", filter: { status: "failed", app: "shop" } } as const;
    assert.equal(await client.job({ ...job, dryRun: true }), 12);
    const handle = await client.job(job);
    assert.equal((await handle.ended()).failed, 1);
    await handle.stop();
    assert.deepEqual(requests.map((r) => `${r.method} ${r.path}`), ["POST /v1/jobs", "POST /v1/jobs", "GET /v1/jobs/job_1", "GET /v1/jobs/job_1", "DELETE /v1/jobs/job_1"]);
    assert.deepEqual(requests[0]?.body, { action: "retry", filter: { status: ["failed"], app: "shop" }, dryRun: true });
  });

  test("awakeables are resolved and rejected; a name that nobody has is null", async () => {
    replies = [{ status: 202, body: {} }, { status: 202, body: {} }, { status: 404, body: { title: "no such run" } }];
    await client.resolve("awk_1.a.b", { yes: true });
    await client.reject("awk_1.a.b", { name: "Refused", message: "no" });
    assert.equal(await client.find(order, "order-1"), null);
    assert.deepEqual(requests.map((r) => r.body), [{ ok: { yes: true } }, { err: { name: "Refused", message: "no" } }, undefined]);
  });

  test("refusals and unreachable servers are told apart", async () => {
    replies = [{ status: 404, body: { title: "Not found", detail: "the app `shop` has no function `order`" } }];
    await assert.rejects(client.start(order, { cents: 1 }), (e: ClientError) => e.status === 404 && /no function `order`/.test(e.message));
    assert.equal(requests.length, 1);
    replies = [{ status: 200, body: "<html>hello</html>" }];
    await assert.rejects(client.run(RUN).status(), /is not JSON.*<html>/);
    const nobody = new Client({ url: "http://127.0.0.1:1" });
    await assert.rejects(nobody.run(RUN).status(), (e: ClientError) => e.status === 0 && /failed to reach the Backstitch server at http:\/\/127.0.0.1:1/.test(e.message));
    assert.throws(() => new Client({ url: "localhost:8484" }), MisuseError);
    await assert.rejects(client.start(functionRef("order"), null), /functionRef\("app\/order"\)/);
  });
});
