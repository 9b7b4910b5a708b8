/**
 * The conformance corpus, run through the SDK's HTTP side: each transcript is one request and its response.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { Backstitch } from "../app.js";
import { durationMs } from "../duration.js";
import { HttpHandler, type HttpResponse } from "../handler.js";
import { exclusive, shared } from "../object.js";
import { awakeableToken, chanceNumber, chanceUuid, digest, join, segment } from "../wire/ids.js";
import { assertAnswer } from "./match.test.js";
import { handlerOf } from "./program.test.js";
import { standIn } from "./server.test.js";

const corpus = new URL("../../../tests/conformance/", import.meta.url);
const json = (path: string): any => JSON.parse(readFileSync(new URL(path, corpus), "utf8"));
const encoder = new TextEncoder();
const silent = { debug() {}, info() {}, warn() {}, error() {} };

function post(handler: HttpHandler, body: string, headers: Record<string, string> = {}, more = {}): Promise<HttpResponse> {
  const header = (name: string): string | null => headers[name] ?? null;
  return handler.handle({ method: "POST", header, body: async () => encoder.encode(body) as Uint8Array<ArrayBuffer>, ...more });
}

const defaults = json("defaults.json");
const cases = readdirSync(new URL("cases/", corpus)).sort();

/** The ids of the step ops that a transcript shows, each attempt once. */
function reported(t: any): string[] {
  const ops = [...(t.checkpoints ?? []).flatMap((c: any) => c.request.ops), ...(t.answer?.ops ?? [])].filter((op: any) => op.op === "step");
  return [...new Map(ops.map((op: any) => [`${op.id} ${op.attempt}`, op.id])).values()];
}

describe("conformance", () => {
  assert.ok(cases.length >= 40, `only ${cases.length} cases found`);
  for (const file of cases) {
    const { name, program, transcripts, object } = json(`cases/${file}`);
    assert.equal(`${name}.json`, file);
    for (const t of transcripts) {
      test(`${name}: ${t.when}`, { timeout: 5_000 }, async (after) => {
        const [bodies, stopped, warned]: string[][] = [[], [], []];
        const warn = (message: string): void => void warned?.push(/parameters of `([^`]+)`/.exec(message)?.[1] ?? "");
        const app = new Backstitch({ id: "conformance", log: { ...silent, warn } });
        const handler = handlerOf(program, (entry) => void bodies?.push(entry), (entry) => void stopped?.push(entry));
        if (object === undefined) app.function({ id: "main" }, handler);
        else app.object({ id: object.id }, { [object.handler]: object.mode === "shared" ? shared(handler as never) : exclusive(handler as never) });
        const server = await standIn(t, defaults.token);
        after.after(() => server.close());
        const invocation = { ...defaults, links: server.links, ...t.invocation, run: { ...defaults.run, ...t.invocation.run } };
        const response = await post(new HttpHandler(app, { env: { BACKSTITCH_DEV: "1" } }), JSON.stringify(invocation));
        assert.equal(response.status, 200, String(await response.body));
        if (t.answer !== null) assertAnswer(JSON.parse(await response.body), t.answer, invocation.token, t.ordered);
        server.assertDone();
        const began = t.bodies === undefined ? reported(t) : t.bodies;
        if (began !== null) assert.deepEqual(bodies?.sort(), began.sort(), "bodies");
        if (t.stopped !== undefined) assert.deepEqual(stopped?.sort(), t.stopped.sort(), "stopped");
        if (t.warns !== undefined) assert.deepEqual(warned?.filter((id) => id !== ""), t.warns, "warns");
      });
    }
  }
});

describe("vectors", () => {
  const vectors = json("vectors.json");
  const attempt = (f: () => unknown): unknown => {
    try {
      return f();
    } catch {
      return null;
    }
  };
  test("ids", () => {
    for (const v of vectors.ids) {
      const path = (): string => join(v.scopes.reduce((p: string, s: string) => join(p, segment(s, 0)), ""), segment(v.id, v.repeat));
      assert.equal(attempt(path), v.wire, v.id);
    }
  });
  test("digests", () => {
    for (const v of vectors.digests) assert.deepEqual([JSON.stringify(v.params), digest(v.bytes)], [v.bytes, v.digest]);
  });
  test("chance", () => {
    for (const v of vectors.chance) assert.deepEqual([chanceNumber(v.run, v.scope, v.counter), chanceUuid(v.run, v.scope, v.counter)], [v.random, v.uuid], v.text);
  });
  test("awakeables", () => {
    for (const v of vectors.awakeables) assert.equal(awakeableToken(v.run, v.secret, v.entry), v.token);
  });
  test("durations", () => {
    for (const v of vectors.durations) assert.equal(attempt(() => durationMs(v.text)), v.ms, String(v.text));
  });
});

describe("http", () => {
  const { now, requests } = json("http.json");
  const app = new Backstitch({ id: "conformance", log: silent });
  app.function({ id: "main" }, () => 1);
  for (const r of requests) {
    test(r.name, async () => {
      const handler = new HttpHandler(app, { env: { BACKSTITCH_KEY: r.key, ...(r.dev ? { BACKSTITCH_DEV: "1" } : {}) } });
      const header = (name: string): string | null => r.headers[name] ?? null;
      const body = async (): Promise<Uint8Array<ArrayBuffer>> => encoder.encode(r.body) as Uint8Array<ArrayBuffer>;
      const response = await handler.handle({ method: r.method, header, body }, { nowMs: Date.parse(now) });
      const text = await response.body;
      assert.equal(response.status, r.status, text);
      assert.match(response.headers["backstitch-sdk"] ?? "", /^typescript\//);
      assert.match(response.headers["backstitch-deployment"] ?? "", /^[^;]+;[^;]{1,64}$/);
      if (r.status !== 200) {
        assert.equal(response.headers["content-type"], "application/problem+json");
        const problem = JSON.parse(text);
        assert.deepEqual([problem.status, problem.code], [r.status, r.code]);
        assert.ok(problem.detail.length > 10);
      } else if (r.method === "GET") {
        assert.equal(response.headers["cache-control"], "no-store");
        assert.deepEqual(JSON.parse(text).functions, [{ id: "main", triggers: [] }]);
      } else assertAnswer(JSON.parse(text), r.answer, defaults.token);
    });
  }
});
