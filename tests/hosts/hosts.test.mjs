/**
 * Every host that has an adapter: the real runtime, serving one app, called by the real server with signed requests.
 *
 * One server serves all of the tests. A host is a process on a port; it is killed, started with a wrong key, and asked what people and
 * machines ask by mistake.
 */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { platformBinary } from "./lib/binaries.mjs";
import { Lambda } from "./lib/lambda.mjs";
import { Process } from "./lib/processes.mjs";
import { built, newKey, Server } from "./lib/server.mjs";
import { startWorker } from "./lib/workerd.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const TEXT = "Grüße, 世界 🧵 \u2028 \"quoted\" \\";

/** Starts a program that says where it listens. */
async function program(name, command, args, env) {
  const process = new Process(name, command, args, { env, cwd: here });
  process.url = (await process.printed(/listens at (\S+)/))[1];
  return process;
}

const node = (name) => (env) => program(name, process.execPath, [`hosts/${name}.mjs`], env);
const deno = (env) => program("deno", platformBinary("deno"), ["run", "--no-prompt", "--node-modules-dir=manual", "--allow-net=127.0.0.1", "--allow-env=APP,SECOND,PORT,BACKSTITCH_KEY,BACKSTITCH_DEV", "--allow-read", "hosts/deno.mjs"], env);
const bun = (env) => program("bun", platformBinary("bun"), ["hosts/bun.mjs"], env);

async function next(env) {
  const process = new Process("next", globalThis.process.execPath, ["node_modules/next/dist/bin/next", "start", "hosts/next", "--port", env.PORT, "--hostname", "127.0.0.1"], {
    env: { ...env, NEXT_TELEMETRY_DISABLED: "1" },
    cwd: here,
  });
  await process.printed(/Ready in/);
  process.url = `http://127.0.0.1:${env.PORT}/api/backstitch`;
  return process;
}

/** The pages router of the same program. */
async function nextPages(env) {
  const process = await next(env);
  process.url = process.url.replace("/api/backstitch", "/api/pages");
  return process;
}

/**
 * The hosts. `parsed` is a path where something has read the body before; `raw` one where the bytes were kept; `other` a route of the user's
 * own whose body is parsed as ever; `version` what the host says of its deployment; `answers405` is false where the framework refuses other methods before us.
 */
const HOSTS = {
  node: { start: node("node") },
  express: { start: node("express"), parsed: "/parsed", raw: "/raw", other: "/other" },
  fastify: { start: node("fastify"), parsed: "/parsed", other: "/other" },
  koa: { start: node("koa"), parsed: "/parsed", raw: "/raw", other: "/other" },
  hono: { start: node("hono"), parsed: "/parsed", raw: "/raw", other: "/other" },
  "next-app": { start: next, parsed: "/parsed", answers405: false },
  "next-pages": { start: nextPages, parsed: "/api/pages/parsed" },
  bun: { start: bun, parsed: "/parsed" },
  deno: { start: deno, parsed: "/parsed" },
  workerd: { start: (env) => startWorker("worker.mjs", { ...env, CF_VERSION_METADATA: { id: "5e5f-version", tag: "", timestamp: "" } }), parsed: "/parsed", version: "5e5f-version" },
  "workerd-hono": { start: (env) => startWorker("hono-worker.mjs", env, ["nodejs_compat"]), parsed: "/parsed", raw: "/raw", other: "/other" },
  lambda: { start: (env) => Lambda.start("lambda.buffered", env) },
  "lambda-stream": { start: (env) => Lambda.start("lambda.streaming", env) },
};

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return String(port);
}

const only = process.env.HOSTS?.split(",");
const chosen = Object.entries(HOSTS).filter(([name]) => only === undefined || only.includes(name));
const key = newKey();
let server;
before(async () => {
  server = await Server.start(key);
});
after(() => server?.stop());

/** Ends a host by SIGKILL; what stands before it, too. */
const stop = (host) => (host?.stop ?? host?.kill)?.call(host);

/** Hosts at a time: most of a test is waiting. */
const AT_ONCE = 3;

describe("hosts", { concurrency: AT_ONCE }, () => {
  // Of one host one at a time: its process is killed by one of them.
  for (const [name, host] of chosen) describe(name, { concurrency: 1 }, () => onHost(name, host));
});

function onHost(name, { start, parsed, raw, other, version, answers405 = true }) {
  const app = `on-${name}`;
  let env;
  let host;
  before(async () => {
    env = { APP: app, PORT: await freePort(), BACKSTITCH_KEY: key };
    host = await start(env);
    await server.register(app, host.url);
  });
  after(() => stop(host));

  /** Like fetch, whose errors do not say what happened. */
  const ask = (url, init) => fetch(url, init).catch((error) => assert.fail(`${error.message}: ${error.cause}\n${host.output}`));
  const at = (path) => new URL(path, host.url);
  const problem = async (response) => [response.status, (await response.json()).code];

  test("a run with steps, a sleep, a signal and an error, in few invocations", async () => {
    const run = await server.start(`${app}/order`, { text: TEXT });
    await server.signal(run, "approve", { by: "änn" });
    const { status, ok } = await server.result(run);
    assert.equal(status, "completed");
    // `before` tells that the second step ran in the invocation of the first: its outcome was reported and the handler went on.
    assert.deepEqual(ok, { text: TEXT, before: 1, label: `label of ${run}/charge`, by: "änn", refused: "Uninsurable" });
  });

  test("an error ends a run with its name and its text", async () => {
    const { status, err } = await server.result(await server.start(`${app}/fails`));
    assert.deepEqual([status, err.name, err.message], ["failed", "OutOfStock", "sold out: Ausverkauft — 売り切れ"]);
  });

  test("a journal of more than a mebibyte", async () => {
    const { status, ok } = await server.result(await server.start(`${app}/big`));
    assert.deepEqual([status, ok], ["completed", 200_000 * 5]);
  });

  test("many runs at once do not meet", async () => {
    const inputs = Array.from({ length: 24 }, (_, n) => n);
    const results = await Promise.all(inputs.map(async (n) => server.result(await server.start(`${app}/quick`, n))));
    assert.deepEqual(results.map(({ ok }) => ok), inputs.map((n) => n + 1));
  });

  test("who asks by mistake is told", async () => {
    const page = await ask(host.url, { headers: { accept: "text/html,*/*" } });
    assert.equal(page.status, 200);
    assert.match(await page.text(), new RegExp(`app \`${app}\``));
    assert.deepEqual(await problem(await ask(host.url)), [401, "signature"]);
    assert.deepEqual(await problem(await ask(host.url, { method: "POST", body: "{}" })), [401, "signature"]);
    const head = await ask(host.url, { method: "HEAD" });
    assert.deepEqual([head.status, head.headers.get("allow")], [405, "GET, POST"]);
    const put = await ask(host.url, { method: "PUT", body: "{}", headers: { "content-type": "application/json" } });
    assert.equal(put.status, 405);
    if (answers405) assert.equal((await put.json()).code, "protocol");
  });

  if (parsed !== undefined) test("a body that was parsed before is a problem that names the fix", async () => {
    const response = await ask(at(parsed), { method: "POST", body: "{}", headers: { "content-type": "application/json" } });
    const { code, detail } = await response.json();
    assert.deepEqual([response.status, code, response.headers.get("backstitch-sdk")], [500, "raw_body_unavailable", "typescript/0.1.0"]);
    assert.match(detail, /signature covers the raw bytes: \S/);
  });

  if (raw !== undefined) test("a body whose bytes were kept is taken", async () => {
    await server.register(app, at(raw).href);
    const { status, err } = await server.result(await server.start(`${app}/fails`));
    await server.register(app, host.url);
    assert.deepEqual([status, err?.name], ["failed", "OutOfStock"]);
  });

  if (other !== undefined) test("the bodies of other routes are parsed as ever", async () => {
    const response = await ask(at(other), { method: "POST", body: JSON.stringify({ text: TEXT }), headers: { "content-type": "application/json" } });
    assert.deepEqual(await response.json(), { parsed: { text: TEXT } });
  });

  if (version !== undefined) test("the version is the deployment's", async () => {
    const { body } = await server.ask("GET", `/apps/${app}/deployments`);
    assert.equal(body.items[0].version, version);
  });

  test("killed in the middle of a step, the run goes on in the next process", async () => {
    const run = await server.start(`${app}/killed`);
    await host.printed(new RegExp(`holding ${run}`));
    await stop(host);
    host = await start({ ...env, SECOND: "1" });
    const { status, ok } = await server.result(run);
    assert.deepEqual([status, ok], ["completed", "held by the second process"]);
  });

  test("with another key the server is told so", async () => {
    const wrong = await start({ ...env, PORT: await freePort(), BACKSTITCH_KEY: newKey() });
    try {
      const { status, body } = await server.refused(app, wrong.url);
      assert.deepEqual([status, body.code], [502, "app_signature"], JSON.stringify(body));
      assert.match(body.detail, /no key of BACKSTITCH_KEY fits/);
    } finally {
      await stop(wrong);
    }
  });
}

/** A host of one app for one test. */
async function single(t, start, more = {}) {
  const env = { APP: `one-${Math.random().toString(36).slice(2)}`, PORT: await freePort(), BACKSTITCH_KEY: key, ...more };
  const host = await start(env);
  t.after(() => stop(host));
  await server.register(env.APP, host.url);
  return { app: env.APP, host };
}

const wanted = (name) => ({ skip: only !== undefined && !only.includes(name) });

test("a run whose body is parsed is held, and goes on when the app is mounted where it should be", wanted("express"), async (t) => {
  const { app, host } = await single(t, HOSTS.express.start);
  await server.register(app, new URL("/parsed", host.url).href); // Discovery has no body, so it finds nothing wrong.
  const run = await server.start(`${app}/fails`);
  const held = await server.run(run, ({ hold }) => hold !== null);
  assert.match(JSON.stringify(held), /above `app\.use\(express\.json\(\)\)`/);
  await server.register(app, host.url);
  assert.equal((await server.result(run)).err.name, "OutOfStock");
});

test("on Lambda a run yields before the function's time is over", wanted("lambda"), async (t) => {
  const { app, host } = await single(t, (env) => Lambda.start("lambda.buffered", env, { timeoutMs: 8_000 }));
  const before = host.invocations;
  const { status, ok } = await server.result(await server.start(`${app}/long`, { steps: 8, ms: 700 }));
  assert.deepEqual([status, ok > 1, host.timeouts], ["completed", true, undefined]);
  assert.equal(host.invocations - before, ok, "every invocation ended by itself");
});

test("Rust on Lambda: the example, frozen between its steps", wanted("lambda-rust"), async (t) => {
  const env = { APP: "invoices-rust", PORT: await freePort(), BACKSTITCH_KEY: key };
  const host = await Lambda.start(built("aws-lambda"), env);
  t.after(() => host.stop());
  await server.register(env.APP, host.url);
  const { body } = await server.ask("POST", "/events", { name: "invoice/written", data: { id: "17", cents: 4900, to: TEXT } });
  const written = await server.onlyRun(`${env.APP}/invoice`);
  await server.run(written, ({ wakeAt }) => wakeAt !== null);
  await server.ask("POST", "/events", { name: "invoice/paid", data: { id: "17" } });
  const { status, ok } = await server.result(written);
  assert.deepEqual([status, ok], ["completed", "paid"], JSON.stringify(body));
});

test("a slow answer is kept alive where the host streams", { ...wanted("bun"), concurrency: true }, async (t) => {
  // Twelve seconds of silence would be over Bun's limit of ten.
  const { app } = await single(t, HOSTS.bun.start);
  const { status } = await server.result(await server.start(`${app}/slow`, { ms: 12_000 }));
  assert.equal(status, "completed");
});
