/** The adapters, over real connections: node:http as it is served, and fetch as a host would call it. */
import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Backstitch, MisuseError } from "../index.js";
import { serve as serveFetch } from "./fetch/index.js";
import { type NodeServer, serve as serveNode } from "./node/index.js";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const dev = { BACKSTITCH_DEV: "1" };

let ended: string[] = [];
const app = new Backstitch({ id: "shop", log: silent });
app.function({ id: "quick" }, ({ step }) => step.run("a", () => 1));
app.function({ id: "slow" }, ({ step }) => step.run("a", () => sleep(6_000, "late")));
app.function({ id: "hang" }, async ({ step, signal }) => {
  signal.addEventListener("abort", () => ended.push("handler"));
  await step.run("a", (facts) => new Promise(() => facts.signal.addEventListener("abort", () => ended.push("body"))));
});

function invocation(fn: string, input: unknown = null): string {
  const run = { id: "run_01hzy3v7q8k2m4n6p8r0s2t4v6", app: "shop", function: fn, name: null, attempt: 1, startedAt: "2026-03-01T12:00:00.000Z", key: null, secret: "00" };
  return JSON.stringify({ run, trigger: { kind: "call" }, input, journal: [], links: {}, token: "inv_1" });
}

const post = (url: string, body: string, signal?: AbortSignal): Promise<Response> =>
  fetch(url, { method: "POST", body, headers: { "content-type": "application/json" }, ...(signal === undefined ? {} : { signal }) });

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; !condition(); i++) {
    assert.ok(i < 500, "the condition never came true");
    await sleep(10);
  }
}

describe("node adapter", () => {
  let server: NodeServer;
  before(async () => {
    server = await serveNode(app, { port: 0, host: "127.0.0.1", env: dev, limits: { requestBytes: 2_000 } });
  });
  after(() => server.close(100));

  test("answers discovery, invocations and problems with its headers", async () => {
    const found = await fetch(server.url);
    assert.deepEqual([found.status, ((await found.json()) as any).app], [200, "shop"]);
    const response = await post(server.url, invocation("quick"));
    assert.equal(response.headers.get("backstitch-sdk"), "typescript/0.1.0");
    assert.equal(((await response.json()) as any).ops[0].ok, 1);
    assert.equal((await post(server.url, "{")).status, 400);
  });

  test("has the timeouts that invocations need", () => {
    assert.equal(server.server.requestTimeout, 0);
    assert.equal(server.server.keepAliveTimeout, 75_000);
  });

  test("refuses what is too large, announced or not, without reading it all", async () => {
    const response = await post(server.url, invocation("quick", "x".repeat(3_000)));
    assert.deepEqual([response.status, ((await response.json()) as any).code], [413, "too_large"]);
    const { port } = new URL(server.url);
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const chunked = httpRequest({ port, method: "POST", headers: { "transfer-encoding": "chunked" } }, (r) => {
        resolve(r.statusCode);
        r.destroy();
      });
      chunked.on("error", reject);
      chunked.write("x".repeat(5_000)); // Never ended: the refusal comes before the end of the body.
    });
    assert.equal(status, 413);
  });

  test("ends the invocation when the server has gone away", async () => {
    ended = [];
    const { port } = new URL(server.url);
    const body = invocation("hang");
    const socket = connect(Number(port), "127.0.0.1", () => socket.write(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`));
    await sleep(100);
    socket.destroy();
    await until(() => ended.length === 2);
    assert.deepEqual(ended.sort(), ["body", "handler"]);
  });

  test("says when the port is taken, and when nothing will be accepted", async () => {
    const port = Number(new URL(server.url).port);
    await assert.rejects(serveNode(app, { port, host: "127.0.0.1", env: dev }), (e) => e instanceof MisuseError && e.message.includes(`port ${port}`));
    await assert.rejects(serveNode(app, { port: 0, env: { BACKSTITCH_KEY: "bsk_short" } }), MisuseError);
    const lines: string[] = [];
    const closed = await serveNode(new Backstitch({ id: "c", log: { ...silent, warn: (line) => void lines.push(line) } }), { port: 0, env: {}, path: "/api/backstitch" });
    assert.match(lines.join(), /BACKSTITCH_DEV=1/);
    assert.equal((await fetch(new URL("/other", closed.url))).status, 404);
    assert.equal((await fetch(closed.url)).status, 401);
    await closed.close(100);
  });
});

describe("fetch adapter", () => {
  const request = (body: string): Request => new Request("http://shop.example/api/backstitch?fn=quick", { method: "POST", body });

  test("answers GET and POST, and takes variables from a Worker's second argument", async () => {
    const { GET, POST } = serveFetch(app, { env: dev });
    assert.equal(((await (await GET(new Request("http://x/"))).json()) as any).app, "shop");
    assert.equal(((await (await POST(request(invocation("quick")))).json()) as any).ops[0].ok, 1);
    const worker = serveFetch(app);
    assert.equal((await worker.fetch(new Request("http://x/"), dev)).status, 200);
    assert.equal((await worker.fetch(new Request("http://x/"), { BACKSTITCH_KEY: `bsk_${"A".repeat(43)}` })).status, 401);
  });

  test("says what to do about a body that was parsed before", async () => {
    const parsed = request(invocation("quick"));
    await parsed.json();
    const response = await serveFetch(app, { env: dev }).POST(parsed);
    const problem = (await response.json()) as any;
    assert.deepEqual([response.status, problem.code], [500, "raw_body_unavailable"]);
    assert.match(problem.detail, /before body parsers/);
  });

  test("refuses what is too large", async () => {
    const small = serveFetch(app, { env: dev, limits: { requestBytes: 100 } });
    assert.equal((await small.POST(request(invocation("quick")))).status, 413);
  });
});

test("slow answers begin with a newline after five seconds, on both adapters", { timeout: 15_000 }, async (t) => {
  const server = await serveNode(app, { port: 0, host: "127.0.0.1", env: dev });
  t.after(() => server.close(100));
  const begun = Date.now();
  const answers = [post(server.url, invocation("slow")), serveFetch(app, { env: dev }).POST(new Request("http://x/", { method: "POST", body: invocation("slow") }))];
  const responses = await Promise.all(answers);
  assert.ok(Date.now() - begun < 5_900, "the headers come before the answer");
  for (const response of responses) {
    const text = await response.text();
    assert.equal(text[0], "\n");
    assert.equal(JSON.parse(text).ops[0].ok, "late");
  }
});
