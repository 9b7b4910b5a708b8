/** The links over real connections: a server that is slow, gone, or lies; answers whose connection is gone. What the corpus cannot say. */
import assert from "node:assert/strict";
import { createServer, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { serve as serveFetch } from "../adapter/fetch/index.js";
import { serve as serveNode } from "../adapter/node/index.js";
import { exchange } from "../adapter/node/transport.js";
import { HttpHandler, type ServeOptions } from "../handler.js";
import { Backstitch, type Context } from "../index.js";
import { type Kept, KeptJournals } from "./kept.js";
import { byFetch, type Transport } from "./request.js";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const env = { BACKSTITCH_DEV: "1" };
const at = "2026-03-01T12:00:01.000Z";
const closers: (() => void)[] = [];
after(() => closers.forEach((close) => close()));

interface Asked {
  body: any;
  at: number;
  url: string;
}

/** A server at the other end of the links: every request is noted, then `say` answers it. */
async function server(say: (asked: Asked, response: ServerResponse, i: number) => unknown): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  const http = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    assert.equal(request.headers.authorization, "Bearer inv_1");
    const one = { body: text === "" ? null : JSON.parse(text), at: Date.now(), url: request.url ?? "" };
    asked.push(one);
    const said = await say(one, response, asked.length - 1);
    if (said !== undefined) response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(said));
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  closers.push(() => (http.closeAllConnections(), http.close()));
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/link`, asked };
}

/** Settles whatever steps a report brings. */
const settle = ({ body }: Asked, more: object[] = []): object => {
  const own = body.ops.filter((op: any) => op.op === "step").map((op: any, i: number) => ({ id: op.id, op: "step", seq: body.seen + 1 + i, at }));
  return { settled: [...own, ...more.map((entry, i) => ({ seq: body.seen + own.length + 1 + i, at, ...entry }))], retry: [] };
};

function invocation(links: object, journal: object[] = []): string {
  const run = { id: "run_01hzy3v7q8k2m4n6p8r0s2t4v6", app: "a", function: "f", attempt: 1, startedAt: at, secret: "00" };
  return JSON.stringify({ run, trigger: { kind: "call" }, input: null, journal, links, token: "inv_1" });
}

function appOf(handler: (context: Context) => unknown): Backstitch {
  const app = new Backstitch({ id: "a", log: silent });
  app.function({ id: "f" }, handler as never);
  return app;
}

const post = async (handler: HttpHandler, body: string): Promise<any> => {
  const response = await handler.handle({ method: "POST", header: () => null, body: async () => new TextEncoder().encode(body) as Uint8Array<ArrayBuffer> });
  return { status: response.status, ...JSON.parse(await response.body) };
};

type Run = (handler: (context: Context) => unknown, links: object, options?: ServeOptions, journal?: object[]) => Promise<any>;
const over = (transport: Transport): Run => (handler, links, options = {}, journal = []) => post(new HttpHandler(appOf(handler), { env, ...options }, transport), invocation(links, journal));

const two = async ({ step }: Context): Promise<number> => (await step.run("a", () => 1)) + (await step.run("b", () => 2));

for (const transport of [byFetch, exchange]) describe(`checkpoints by ${transport.name}`, { concurrency: true }, () => {
  const run = over(transport);

  test("a reply that was lost: the same number comes again with the very same bytes", async () => {
    const { url, asked } = await server((one, response, i) => (i === 0 ? void response.destroy() : settle(one)));
    assert.equal((await run(two, { checkpoint: url })).ops[0].ok, 3);
    assert.deepEqual(asked.map(({ body }) => body.n), [1, 1, 2]);
    assert.deepEqual(asked[0]?.body, asked[1]?.body);
  });

  test("a server that cannot be reached costs five seconds once, and not the next invocation", { timeout: 20_000 }, async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(closed.address() as AddressInfo).port}/`;
    await new Promise((resolve) => closed.close(resolve));
    const handler = new HttpHandler(appOf(two), { env }, transport);
    const begun = Date.now();
    assert.deepEqual((await post(handler, invocation({ checkpoint: url }))).ops.map((op: any) => op.id), ["a"]);
    assert.ok(Date.now() - begun > 4_000 && Date.now() - begun < 7_000, `${Date.now() - begun} ms`);
    const again = Date.now();
    assert.deepEqual((await post(handler, invocation({ checkpoint: url }))).ops.map((op: any) => op.id), ["a"]);
    assert.ok(Date.now() - again < 500);
  });

  test("a server that takes no checkpoints is not asked again by the next invocation; one that refuses a single one is", async () => {
    for (const [status, requests] of [[404, 1], [413, 2]] as const) {
      const { url, asked } = await server((_, response) => void response.writeHead(status).end());
      const handler = new HttpHandler(appOf(two), { env }, transport);
      for (let i = 0; i < 2; i++) assert.deepEqual((await post(handler, invocation({ checkpoint: url }))).ops.map((op: any) => op.id), ["a"]);
      assert.equal(asked.length, requests, String(status));
    }
  });

  test("a server that says nothing at all is given five seconds too", { timeout: 20_000 }, async () => {
    const { url } = await server(() => undefined);
    const begun = Date.now();
    assert.deepEqual((await run(two, { checkpoint: url })).ops.map((op: any) => op.id), ["a"]);
    assert.ok(Date.now() - begun > 4_000 && Date.now() - begun < 7_000);
  });

  test("the token is sent to one address: redirections are refused", async () => {
    const elsewhere = await server((one) => settle(one));
    const { url } = await server((_, response) => void response.writeHead(307, { location: elsewhere.url }).end());
    assert.deepEqual((await run(two, { checkpoint: url })).ops.map((op: any) => op.id), ["a"]);
    assert.equal(elsewhere.asked.length, 0);
  });

  test("a reply that makes no sense ends the checkpoints, not the run", async () => {
    for (const nonsense of [{ settled: [{ id: "a", op: "step", seq: 1, at }, { id: "other", op: "step", seq: 2, at }] }, { settled: 5 }, []]) {
      const { url, asked } = await server(() => nonsense);
      const answer = await run(two, { checkpoint: url });
      assert.deepEqual([answer.seen, answer.ops.map((op: any) => op.id), asked.length], [0, ["a"], 1]);
    }
  });

  test("an app that cannot reach its server is told once, and never tries", async () => {
    const { url, asked } = await server((one) => settle(one));
    assert.deepEqual((await run(two, { checkpoint: url, journal: url }, { limits: { outbound: false } })).ops.map((op: any) => op.id), ["a"]);
    assert.equal(asked.length, 0);
    assert.equal(new HttpHandler(appOf(two), { env }).manifest.limits.outbound, true);
  });

  test("a beat brings a cancellation to a body that runs", { timeout: 10_000 }, async () => {
    const cancel = { id: "$cancel", op: "cancel", ok: null };
    const { url, asked } = await server((one) => settle(one, one.body.ops.length === 0 ? [cancel] : []));
    const begun = Date.now();
    let stopped = false;
    const answer = await run(
      async ({ step }) => {
        await step.run("first", () => 1);
        try {
          await step.run("long", (facts) => sleep(8_000, null, { signal: facts.signal }).catch(() => void (stopped = true)));
        } catch (error) {
          return step.run("undo", () => (error as Error).name);
        }
      },
      { checkpoint: url },
    );
    const beats = asked.filter(({ body }) => body.ops.length === 0);
    assert.deepEqual(beats.map(({ body }) => [body.n, body.seen, body.wait]), [[1, 1, 10_000]]);
    assert.ok((beats[0]?.at ?? 0) - begun >= 950, "the first beat comes after a second");
    assert.deepEqual([answer.ops[0].ok, stopped], ["CancelledError", true]);
    assert.ok(Date.now() - begun < 4_000);
  });

  test("lingers for a signal and for a retry that is due soon, and not for an hour", async () => {
    const signalled = await server(async (one) => {
      if (one.body.ops.length > 0) return settle(one);
      assert.ok(one.body.wait <= 1_000);
      await sleep(200);
      return settle(one, [{ id: "s", op: "waitSignal", ok: "now" }]);
    });
    const wait = async ({ step }: Context): Promise<unknown> => ((await step.waitForSignal("s", "go")) as any).data;
    assert.equal((await run(wait, { checkpoint: signalled.url }, { lingerMs: 1_000 })).ops[0].ok, "now");
    assert.deepEqual((await run(wait, { checkpoint: signalled.url })).ops, []);

    const flaky = async ({ step }: Context): Promise<unknown> => step.run("a", ({ attempt }) => (attempt === 1 ? Promise.reject(new Error("busy")) : attempt));
    const retried = await server((one) => (one.body.ops[0].err === undefined ? settle(one) : { settled: [], retry: [{ id: "a", attempt: 2, dueIn: 300 }] }));
    assert.equal((await run(flaky, { checkpoint: retried.url }, { lingerMs: 1_000 })).ops[0].ok, 2);
    assert.deepEqual((await run(flaky, { checkpoint: retried.url })).ops, []);

    const begun = Date.now();
    const { url } = await server((one) => settle(one));
    assert.deepEqual((await run(({ step }) => step.sleep("nap", "1h"), { checkpoint: url }, { lingerMs: 1_000 })).ops, []);
    assert.ok(Date.now() - begun < 500);
  });

  test("a wait that is in vain ends after the linger, with one beat", async () => {
    const { url, asked } = await server((one) => settle(one)); // Beats are answered at once, which must not become a storm.
    const begun = Date.now();
    assert.deepEqual((await run(({ step }) => step.waitForSignal("s", "go"), { checkpoint: url }, { lingerMs: 700 })).ops, []);
    assert.ok(Date.now() - begun >= 690 && Date.now() - begun < 1_500);
    assert.ok(asked.length <= 3, `${asked.length} requests`);
  });
});

for (const transport of [byFetch, exchange]) describe(`journals by ${transport.name}`, () => {
  const run = over(transport);
  const big = { id: "a", op: "step", seq: 1, at, ref: true };

  test("an outcome that cannot be fetched fails the invocation, not what was done in it", async () => {
    const { url } = await server((_, response) => void response.writeHead(404).end());
    const failed = await run(({ step }) => step.run("a", () => 1), { journal: url }, {}, [big]);
    assert.deepEqual([failed.status, failed.code], [500, "sdk"]);
    assert.match(failed.detail, /failed to fetch the outcome of `a`/);
    const kept = await run(({ step }) => Promise.all([step.run("a", () => 1), step.run("b", () => 2)]), { journal: url }, {}, [big]);
    assert.deepEqual(kept.ops.map((op: any) => op.id), ["b"]);
  });

  test("pages that do not end are refused, and ids are encoded", async () => {
    const endless = await server(({ url }) => ({ journal: [], before: Number(/before=(\d+)/.exec(url)?.[1]) }));
    assert.equal((await run(two, { journal: endless.url }, {}, [{ ...big, seq: 9 }])).status, 500);
    const id = "s/x:1";
    const one = await server(() => ({ journal: [{ id, op: "step", seq: 1, at, ok: 5 }], before: null }));
    const scoped = ({ step }: Context): Promise<unknown> => step.scope("s", async (inner) => [await inner.run("y", () => 1).catch(() => 0), await inner.run("x", () => 1), await inner.run("x", () => 1)]);
    const known = (name: string, seq: number): object => ({ id: name, op: "step", seq, at, ok: 1 });
    const answer = await run(scoped, { journal: one.url }, {}, [{ ...big, id }, known("s/y", 2), known("s/x", 3)]);
    assert.equal(answer.status, 200);
    assert.ok(one.asked.some(({ url }) => url.endsWith("before=1")) === false && one.asked.every(({ url }) => url.includes("id=s%2Fx%3A1")));
  });
});

describe("journals of a warm process", () => {
  const entry = (seq: number): object => ({ id: `s${seq}`, op: "step", seq, at, ok: seq });
  const sum = async ({ step }: Context): Promise<number> => {
    let total = 0;
    for (let n = 1; n <= 8; n++) total += await step.run(`s${n}`, () => n);
    return total;
  };

  test("the next invocation of a run fetches only what has settled since", async () => {
    // Two entries a page.
    const { url, asked } = await server(({ url: path }) => {
      const before = Number(/before=(\d+)/.exec(path)?.[1]);
      const from = Math.max(1, before - 2);
      return { journal: Array.from({ length: before - from }, (_, i) => entry(from + i)), before: from > 1 ? from : null };
    });
    const handler = new HttpHandler(appOf(sum), { env });
    const invoke = async (known: number[], id = "run_01hzy3v7q8k2m4n6p8r0s2t4v6"): Promise<string[]> => {
      const body = invocation({ journal: url }, known.map(entry)).replace("run_01hzy3v7q8k2m4n6p8r0s2t4v6", id);
      const begun = asked.length;
      const answer = await post(handler, body);
      assert.deepEqual(answer.ops[0], { ...answer.ops[0], id: `s${(known.at(-1) ?? 0) + 1}`, ok: (known.at(-1) ?? 0) + 1 }, "it goes on behind what it was given");
      return asked.slice(begun).map((one) => one.url.replace(/.*before=/, ""));
    };
    assert.deepEqual(await invoke([4]), ["4", "2"]);
    assert.deepEqual(await invoke([6, 7]), ["6"], "up to 3 was there");
    assert.deepEqual(await invoke([7]), ["7"], "and now up to 5");
    assert.deepEqual(await invoke([5, 6, 7]), [], "what the body has besides is not asked for");
    assert.deepEqual(await invoke([4], "run_01hzy3v7q8k2m4n6p8r0s2t4v7"), ["4", "2"], "another run has a journal of its own");
  });

  test("so much is kept and no more, of the runs that were seen last", () => {
    const kept = new KeptJournals(10);
    const of = (bytes: number): Kept => ({ entries: [], until: 1, bytes });
    kept.put("a", of(4));
    kept.put("b", of(4));
    assert.ok(kept.get("a"));
    kept.put("c", of(4));
    assert.deepEqual(["a", "b", "c"].map((key) => kept.get(key)?.bytes), [4, undefined, 4]);
    kept.put("a", of(11));
    assert.deepEqual(["a", "c"].map((key) => kept.get(key)?.bytes), [undefined, 4], "what is too much takes nothing away from others");
    kept.put("c", of(6));
    kept.put("d", of(4));
    assert.deepEqual(["c", "d"].map((key) => kept.get(key)?.bytes), [6, 4], "what was replaced does not count");
  });
});

describe("answers whose connection is gone", { concurrency: true }, () => {
  const slow = async ({ step }: Context): Promise<number> => step.run("a", () => sleep(400, 7));

  test("node: the invocation goes on, and its answer is offered until the server takes it", { timeout: 10_000 }, async (t) => {
    const { url, asked } = await server((one, response) => {
      const finals = asked.filter(({ body }) => body.final === true).length;
      if (one.body.final !== true || finals < 3) return void response.writeHead(one.body.final === true ? 503 : 404).end();
      return {};
    });
    const node = await serveNode(appOf(slow), { port: 0, host: "127.0.0.1", env });
    t.after(() => node.close(100));
    const body = invocation({ checkpoint: url });
    const socket = connect(Number(new URL(node.url).port), "127.0.0.1", () => socket.write(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`));
    await sleep(150);
    socket.destroy();
    while (asked.filter(({ body }) => body.final === true).length < 3) await sleep(20);
    const { startedAt: _, endedAt: __, ...op } = asked.at(-1)?.body.ops[0];
    assert.deepEqual({ ...asked.at(-1)?.body, ops: [op] }, { final: true, seen: 0, ops: [{ op: "step", id: "a", name: "a", params: {}, attempt: 1, ok: 7 }] });
    await sleep(300);
    assert.equal(asked.filter(({ body }) => body.final === true).length, 3, "what was taken is not offered again");
  });

  test("node: an answer that arrived is not offered", async (t) => {
    const { url, asked } = await server((one) => settle(one));
    const node = await serveNode(appOf(two), { port: 0, host: "127.0.0.1", env });
    t.after(() => node.close(100));
    const response = await fetch(node.url, { method: "POST", body: invocation({ checkpoint: url }) });
    assert.equal(((await response.json()) as any).ops[0].ok, 3);
    await sleep(100);
    assert.ok(asked.every(({ body }) => body.final === undefined));
  });

  test("fetch: as far as the request tells, and the host is asked to wait", async () => {
    const { url, asked } = await server((one, response) => (one.body.final === true ? {} : void response.writeHead(404).end()));
    const gone = new AbortController();
    const waited: Promise<void>[] = [];
    const request = new Request("http://x/", { method: "POST", body: invocation({ checkpoint: url }), signal: gone.signal });
    const answer = serveFetch(appOf(slow), { env }).fetch(request, {}, { waitUntil: (work: Promise<void>) => void waited.push(work) });
    await sleep(50);
    gone.abort();
    await answer;
    await Promise.all(waited);
    assert.equal(waited.length, 1);
    assert.deepEqual([asked.at(-1)?.body.final, asked.at(-1)?.body.ops[0].ok], [true, 7]);
  });
});
