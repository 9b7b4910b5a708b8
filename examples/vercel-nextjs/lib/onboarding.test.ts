/** The week in process, with a clock that skips; and the route as Next.js calls it. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { testRun } from "backstitch/testing";
import { onboarding, projectMade } from "./onboarding.ts";

const printed = mock.method(console, "log", () => undefined);
const mails = (): string[] => printed.mock.calls.map((call) => /: (.+) \(/.exec(String((call.arguments as unknown[])[0]))?.[1] ?? "");

test("who does nothing gets a hint", async () => {
  printed.mock.resetCalls();
  assert.deepEqual(await testRun(onboarding, { input: { mail: "ann@example.com" } }).result(), { begun: false });
  assert.deepEqual(mails(), ["welcome", "hint", "how is it"]);
});

test("who begins gets none", async () => {
  printed.mock.resetCalls();
  const run = testRun(onboarding, { input: { mail: "ann@example.com" } });
  await run.until("welcome");
  await run.idle();
  run.event(projectMade({ mail: "bob@example.com" })); // Another one's.
  run.event(projectMade({ mail: "ann@example.com" }));
  assert.deepEqual(await run.result(), { begun: true });
  assert.deepEqual(mails(), ["welcome", "how is it"]);
});

test("on Vercel the route says which deployment it is, and where", async () => {
  Object.assign(process.env, { BACKSTITCH_DEV: "1", VERCEL: "1", VERCEL_ENV: "production", VERCEL_DEPLOYMENT_ID: "dpl_17", VERCEL_URL: "customers-17.vercel.app" });
  const { GET, maxDuration } = await import("../app/api/backstitch/route.ts");
  const manifest = (await (await GET(new Request("https://customers.example/api/backstitch"))).json()) as { deployment: object; limits: object };
  assert.deepEqual(manifest.deployment, { id: "dpl_17", url: "https://customers-17.vercel.app/api/backstitch", immutable: true });
  assert.deepEqual(manifest.limits, { requestBytes: 4_400_000, responseBytes: 4_400_000, streams: true, outbound: true, seconds: maxDuration });
});
