/** The digest in process, against a feed and a mail service that fail first; and the Worker as its host calls it. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { testRun } from "backstitch/testing";
import { morning, snooze } from "./digest.js";
import worker from "./worker.js";

const mails: { key: string; to: string; text: string }[] = [];
let asked = 0;
const server = createServer((request, response) => {
  if (request.method === "GET") {
    asked++;
    const stories = [{ title: "Seams hold", url: "https://news.example/1" }, { title: "Threads do not", url: "https://news.example/2" }];
    return response.writeHead(asked === 1 ? 503 : 200).end(JSON.stringify({ stories }));
  }
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk)).on("end", () => {
    mails.push({ key: String(request.headers["idempotency-key"]), ...JSON.parse(Buffer.concat(chunks).toString()) });
    response.end("{}");
  });
});
before(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)));
after(() => {
  server.close();
  server.closeAllConnections();
});

test("the feed is tried again, the reader puts it off once, one mail is sent", async () => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const run = testRun(morning, { input: { mail: "ann@example.com", feed: url, outbox: url } });
  await run.until("feed");
  await run.idle();
  run.signal(snooze, { for: "2h" });
  assert.deepEqual(await run.result(), { sent: 2, snoozed: 1 });
  assert.equal(asked, 2);
  assert.deepEqual(mails.map(({ to, text }) => [to, text.split("\n")[0]]), [["ann@example.com", "Seams hold"]]);
  assert.match(mails[0]?.key ?? "", /^run_.+\/send$/);
});

test("the Worker takes its key from its bindings, and refuses who has none", async () => {
  const ask = (env: object) => worker.fetch(new Request("https://digest.example.workers.dev/"), env, { waitUntil: () => undefined });
  const described = await ask({ BACKSTITCH_DEV: "1", CF_VERSION_METADATA: { id: "5e5f", tag: "", timestamp: "" } });
  const manifest = (await described.json()) as { app: string; deployment: object };
  assert.deepEqual([manifest.app, manifest.deployment], ["digest", { id: "5e5f", immutable: false }]);
  assert.equal((await ask({ BACKSTITCH_KEY: `bsk_${"A".repeat(43)}` })).status, 401);
  assert.equal((await ask({})).status, 401);
});
