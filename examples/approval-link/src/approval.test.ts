/** The approval in process: whole runs with the test kit, and the page over HTTP against a server that only knows awakeables. */
import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, mock, test } from "node:test";
import { testRun, type TestRunError } from "backstitch/testing";
import { expense } from "./expense.js";
import { decide } from "./page.js";

const lamp = { what: "a lamp", cents: 4_900, by: "ann" };
const printed = mock.method(console, "log", () => undefined);
const mails = (): string[] => printed.mock.calls.map((call) => String((call.arguments as unknown[])[0]));
afterEach(() => printed.mock.resetCalls());

async function asked() {
  const run = testRun(expense, { input: lamp });
  await run.until("ask");
  await run.idle();
  return run;
}

test("the token in the mail settles the wait, and the asker hears of it", async () => {
  const run = await asked();
  const token = new URL(/http:\S+/.exec(mails()[0] ?? "")?.[0] ?? "").searchParams.get("token") ?? "";
  assert.equal(token, run.token("decision"));
  assert.deepEqual(run.value, { phase: "asked", of: "boss@example.com" });
  run.resolve(token, { approved: true, comment: "for your eyes" });
  assert.deepEqual(await run.result(), { status: "approved", comment: "for your eyes" });
  assert.deepEqual(run.value, { phase: "approved" });
  assert.equal(mails()[1], "mail to ann@example.com: your 49.00 EUR for a lamp: approved\n  for your eyes");
});

test("without an answer the expense expires after a week", async () => {
  const run = await asked();
  assert.equal((await run.result()).status, "expired");
  assert.equal(run.now.getTime() - Date.parse("2026-01-01T00:00:00.000Z"), 7 * 86_400_000);
});

test("a withdrawn link ends the request", async () => {
  const run = await asked();
  run.reject(run.token("decision"), { name: "Withdrawn", message: "ann left" });
  await assert.rejects(run.result(), (error: TestRunError) => error.error?.message === "nobody will decide: ann left");
});

test("the page: looking changes nothing, a button settles once, a second time is told so", async () => {
  const settled: { url: string | undefined; body: unknown }[] = [];
  const server = await listen((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk)).on("end", () => {
      settled.push({ url: request.url, body: JSON.parse(Buffer.concat(chunks).toString()) });
      response.writeHead(settled.length === 1 ? 200 : 409, { "content-type": "application/json" }).end("{}");
    });
  });
  const page = await listen((request, response) => void decide(request, response));
  process.env.BACKSTITCH_URL = server.url;
  try {
    const looked = await fetch(`${page.url}/decide?token=awk_x.y.z`);
    assert.match(await looked.text(), /value="awk_x\.y\.z"/);
    assert.equal(settled.length, 0);
    const press = () => fetch(`${page.url}/decide`, { method: "POST", body: new URLSearchParams({ token: "awk_x.y.z", decision: "decline", comment: "no" }) });
    assert.match(await (await press()).text(), /is declined/);
    assert.deepEqual(settled, [{ url: "/v1/awakeables/awk_x.y.z", body: { ok: { approved: false, comment: "no" } } }]);
    assert.equal((await press()).status, 409);
    assert.equal((await fetch(`${page.url}/decide?token=${encodeURIComponent('"><script>')}`)).status, 400);
  } finally {
    server.close();
    page.close();
  }
});

async function listen(handler: RequestListener): Promise<{ url: string; close: () => void }> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}
