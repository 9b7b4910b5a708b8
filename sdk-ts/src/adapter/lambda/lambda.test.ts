/** The Lambda adapter under every event in `tests/conformance/lambda`. How the real runtime hands them over is tested in `runtimes/`. */
import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Backstitch, MisuseError } from "../../index.js";
import { readEvent } from "./event.js";
import { type LambdaResult, serve, serveStream } from "./index.js";

const folder = new URL("../../../../tests/conformance/lambda/", import.meta.url);
const shapes = readdirSync(folder).filter((name) => name.endsWith(".json")).map((name) => ({ name, ...JSON.parse(readFileSync(new URL(name, folder), "utf8")) }));
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const secret = Buffer.alloc(32, 7);
const env = { BACKSTITCH_KEY: `bsk_${secret.toString("base64url")}`, AWS_LAMBDA_FUNCTION_NAME: "shop", AWS_LAMBDA_FUNCTION_VERSION: "7" };
const context = { getRemainingTimeInMillis: () => 900_000 };

const app = new Backstitch({ id: "shop", log: silent });
app.function({ id: "echo" }, ({ input, step }) => step.run("a", () => input));
app.function({ id: "quotes" }, ({ step }) => step.run("a", () => '"'.repeat(1_490_000)));
app.function({ id: "twice" }, async ({ step }) => {
  await step.run("a", () => sleep(20));
  return step.run("b", () => 2);
});

function jwt(claims: object): string {
  const nowS = Math.floor(Date.now() / 1000);
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const data = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ aud: "shop", env: "test", iat: nowS, exp: nowS + 60, ...claims })}`;
  return `Bearer ${data}.${createHmac("sha256", secret).update(data).digest("base64url")}`;
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

interface Wanted {
  method?: string;
  body?: string;
  base64?: boolean;
  authorization?: string;
  at?: number;
}

/** The recorded event, with what the test wants put into it. */
function filled(shape: any, { method = "POST", body = "", base64 = false, authorization = "", at = Date.now() }: Wanted): any {
  const event = structuredClone(shape.event);
  const put = (pointer: string, value: unknown): void => {
    const path = pointer.split("/").slice(1);
    const last = path.pop() as string;
    path.reduce((at: any, key) => at[key], event)[last] = value;
  };
  for (const pointer of shape.put.method) put(pointer, method);
  for (const pointer of shape.put.authorization) put(pointer, authorization);
  if (shape.put.at !== null) put(shape.put.at, at);
  event.body = base64 ? Buffer.from(body).toString("base64") : body;
  event.isBase64Encoded = base64;
  return event;
}

function invocation(fn: string, input: unknown = null): { body: string; authorization: string } {
  const run = { id: "run_01hzy3v7q8k2m4n6p8r0s2t4v6", app: "shop", function: fn, name: null, attempt: 1, startedAt: "2026-03-01T12:00:00.000Z", key: null, secret: "00" };
  const body = JSON.stringify({ run, trigger: { kind: "call" }, input, journal: [], links: {}, token: "inv_1" });
  return { body, authorization: jwt({ sub: run.id, inv: "inv_1", bod: sha256(body) }) };
}

const headerOf = (result: LambdaResult, name: string): unknown => result.headers?.[name] ?? result.multiValueHeaders?.[name]?.[0];

for (const shape of shapes) describe(shape.name, () => {
  const handler = serve(app, { env });

  test("discovery, signed", async () => {
    const result = await handler(filled(shape, { method: "GET", authorization: jwt({ sub: "discover", bod: sha256("") }) }), context);
    assert.equal(result.statusCode, 200, result.body);
    const manifest = JSON.parse(result.body);
    // An address of Lambda leads to the newest version, not to this one: nothing is promised.
    assert.deepEqual(manifest.deployment, { id: "shop-7", immutable: false });
    assert.deepEqual(manifest.limits, { requestBytes: 3_000_000, responseBytes: 3_000_000, streams: false, outbound: true });
    assert.deepEqual(Object.keys(result).filter((key) => /headers/i.test(key)), [shape.answer]);
    assert.equal(headerOf(result, "backstitch-sdk"), "typescript/0.1.0");
  });

  test("an invocation, as text and as base64, to the last byte", async () => {
    for (const base64 of [false, true]) {
      const input = { text: "Ünïcödé 🧵 \u2028 \"quoted\" \\", list: [1, 2, 3] };
      const result = await handler(filled(shape, { ...invocation("echo", input), base64 }), context);
      assert.equal(result.statusCode, 200, result.body);
      assert.deepEqual(JSON.parse(result.body).ops[0].ok, input);
    }
  });

  test("what is refused", async () => {
    const { body, authorization } = invocation("echo");
    for (const [wanted, status, code] of [
      [{ body, authorization: "Bearer none" }, 401, "signature"],
      [{ body: `${body} `, authorization }, 401, "signature"],
      [{ method: "PUT" }, 405, "protocol"],
      [{ method: "HEAD" }, 405, "protocol"],
      [{ body: "x".repeat(3_000_001), authorization }, 413, "too_large"],
    ] as [Wanted, number, string][]) {
      const result = await handler(filled(shape, wanted), context);
      assert.deepEqual([result.statusCode, JSON.parse(result.body).code], [status, code]);
    }
  });

  test("the time left is the function's, or the gateway's if that is shorter", async () => {
    const now = Date.now();
    const { gatewayMs } = readEvent(filled(shape, { at: now - 4_000 }), now);
    const expected = shape.gatewaySeconds === null ? Number.POSITIVE_INFINITY : (shape.gatewaySeconds - 4) * 1000;
    assert.equal(gatewayMs, expected);
    // Clocks that disagree cost at most what a cold start may take.
    assert.ok(readEvent(filled(shape, { at: now - 3_600_000 }), now).gatewayMs >= 14_000);
    assert.ok(readEvent(filled(shape, { at: now + 3_600_000 }), now).gatewayMs >= 29_000);
  });
});

test("near the end of its time a handler begins nothing and says so", async () => {
  const [shape] = shapes;
  let left = 900_000;
  const handler = serve(app, { env });
  const result = await handler(filled(shape, invocation("twice")), { getRemainingTimeInMillis: () => left });
  assert.deepEqual(JSON.parse(result.body).ops.map((op: any) => op.op), ["step"]);
  // Out of time before anything was done: the answer is an answer all the same, in time.
  left = 2_050;
  const hang = new Backstitch({ id: "shop", log: silent });
  hang.function({ id: "echo" }, () => new Promise<never>(() => undefined));
  const begun = Date.now();
  const late = await serve(hang, { env })(filled(shape, invocation("echo")), { getRemainingTimeInMillis: () => left });
  assert.ok(Date.now() - begun < 2_000);
  assert.deepEqual(JSON.parse(late.body).ops.map((op: any) => [op.op, op.err.retryable]), [["fail", true]]);
});

test("the largest answer fits into what Lambda carries, whatever is in it", async () => {
  const [shape] = shapes;
  // Nothing is longer in JSON than quotes: twice as long in the answer, and twice that in Lambda's own.
  const result = await serve(app, { env })(filled(shape, invocation("quotes")), context);
  const { ops } = JSON.parse(result.body);
  assert.deepEqual([ops[0].op, ops[0].err?.name], ["step", undefined]);
  assert.ok(result.body.length > 2_900_000 && JSON.stringify(result).length < 6_291_456, `${JSON.stringify(result).length} bytes`);
});

test("what is no request is an error that says what to do", async () => {
  for (const event of [{ source: "aws.events", "detail-type": "Scheduled Event" }, { Records: [] }, {}, null, "warm"]) {
    await assert.rejects(serve(app, { env })(event, context), (error) => error instanceof MisuseError && /Function URL/.test(error.message));
  }
  await assert.rejects(serveStream(app, { env })({}, {}, context), /not the runtime of Lambda/);
});
