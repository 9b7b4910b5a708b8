/** Invoices in process, with a clock that skips weeks; and the handler as Lambda calls it, with an event of a Function URL. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { testRun } from "backstitch/testing";
import { invoice, invoiced, paid } from "./invoices.js";

const printed = mock.method(console, "log", () => undefined);
const written = invoiced({ id: "17", cents: 4_900, to: "ann@example.com" });

test("a payment after the reminder ends it", async () => {
  const run = testRun(invoice, { event: written });
  await run.until("reminder");
  await run.idle();
  run.event(paid({ id: "18" })); // Another one's.
  run.event(paid({ id: "17" }));
  assert.deepEqual(await run.result(), { status: "paid", letters: 2 });
});

test("without a payment it is overdue after three weeks, and somebody is told", async () => {
  printed.mock.resetCalls();
  const run = testRun(invoice, { event: written });
  const begun = run.now.getTime();
  assert.deepEqual(await run.result(), { status: "overdue", letters: 3, id: "17" });
  assert.equal(run.now.getTime() - begun, 21 * 86_400_000);
  const letters = printed.mock.calls.map((call) => String((call.arguments as unknown[])[0]));
  assert.deepEqual(letters.map((line) => /: (\w+) of/.exec(line)?.[1]), ["invoice", "reminder", "warning", "overdue"]);
});

test("the handler answers a Function URL", async () => {
  process.env.BACKSTITCH_KEY = `bsk_${"A".repeat(43)}`;
  const { handler } = await import("./handler.js");
  const requestContext = { http: { method: "GET", path: "/" }, domainName: "abc.lambda-url.eu-central-1.on.aws", timeEpoch: Date.now() };
  const event = { version: "2.0", rawPath: "/", headers: { accept: "text/html" }, requestContext, isBase64Encoded: false };
  const looked = await handler(event, { getRemainingTimeInMillis: () => 300_000 });
  assert.deepEqual([looked.statusCode, /app `invoices`/.test(looked.body)], [200, true]);
  const unsigned = await handler({ ...event, headers: {} }, { getRemainingTimeInMillis: () => 300_000 });
  assert.deepEqual([unsigned.statusCode, JSON.parse(unsigned.body).code], [401, "signature"]);
});
