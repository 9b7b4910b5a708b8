/** Reading streams over real HTTP, from a server that breaks off, refuses and forgets. */
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { Client, ClientError, type StreamEvent, Transcript } from "./index.js";
import { readStream } from "./stream.js";

type Step = (request: IncomingMessage, response: ServerResponse) => void;

const servers: ReturnType<typeof createServer>[] = [];
after(() => servers.forEach((server) => void server.closeAllConnections()));
after(() => servers.forEach((server) => void server.close()));

/** A server that answers its requests one after the other in these ways. */
async function serving(...steps: Step[]): Promise<{ url: string; asked: IncomingMessage[] }> {
  const asked: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    asked.push(request);
    const step = steps[asked.length - 1];
    if (step === undefined) response.destroy();
    else step(request, response);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

const message = (id: number, data: unknown, more: object = {}): string => `id: ${id}\ndata: ${JSON.stringify({ topic: "t", data, run: "run_1", step: "llm", attempt: 1, at: "2026-01-01T00:00:00.000Z", ...more })}\n\n`;
const end = 'event: end\nid: end\ndata: {"run":"run_1","status":"completed"}\n\n';

/** Sends these pieces, and then ends, or breaks off. */
const sends = (pieces: string[], breaksOff = false): Step => (_, response) => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const next = (): void => {
    const piece = pieces.shift();
    if (piece !== undefined) response.write(piece, () => setImmediate(next));
    else if (breaksOff) response.destroy();
    else response.end();
  };
  next();
};

const problem = (status: number, detail: string): Step => (_, response) => {
  response.writeHead(status, { "content-type": "application/problem+json" }).end(JSON.stringify({ detail, status }));
};

async function all(events: AsyncIterable<StreamEvent>): Promise<StreamEvent[]> {
  const list: StreamEvent[] = [];
  for await (const event of events) list.push(event);
  return list;
}

test("a stream that breaks is read on from where it was, to its end", async () => {
  const { url, asked } = await serving(
    sends([": hello\n\n", message(1, "a").slice(0, 20), message(1, "a").slice(20) + message(2, "é\n")], true),
    problem(503, "the database does not answer"),
    sends([message(3, { n: 1 }).replaceAll("\n", "\r\n"), "event: news\ndata: {}\n\n", end]),
  );
  const events = await all(new Client({ url, headers: { "x-gate": "1" } }).stream("run_1", { topics: ["t", "u"] }));
  assert.deepEqual(events.map((event) => (event.kind === "message" ? [event.id, event.data] : event)), [[1, "a"], [2, "é\n"], [3, { n: 1 }], { kind: "end", run: "run_1", status: "completed" }]);
  assert.deepEqual(asked.map((request) => request.headers["last-event-id"]), [undefined, "2", "2"]);
  assert.equal(asked[0]?.url, "/v1/runs/run_1/stream?topics=t%2Cu");
  assert.equal(asked[0]?.headers["x-gate"], "1");
});

test("a client that has seen the end is told so, and one that is refused says why", async () => {
  const seen = await serving((_, response) => void response.writeHead(204).end());
  assert.deepEqual(await all(new Client(seen).stream("run_1", { after: 7 })), [{ kind: "end" }]);
  assert.equal(seen.asked[0]?.headers["last-event-id"], "7");
  const refused = await serving(problem(404, "failed to find run run_1"));
  await assert.rejects(all(new Client(refused).stream("run_1")), (error) => error instanceof ClientError && error.status === 404 && /failed to find run/.test(error.message));
});

test("a token that has expired is renewed once", async () => {
  const good = (token: string): Step => (request, response) => (request.headers.authorization === `Bearer ${token}` ? sends([message(1, "a"), end]) : problem(401, "expired"))(request, response);
  const { url, asked } = await serving(good("new"), good("new"));
  const headers = (renew: boolean): Record<string, string> => ({ authorization: `Bearer ${renew ? "new" : "old"}` });
  const events = await all(readStream({ url: `${url}/s`, headers, fetch }));
  assert.deepEqual([events.length, asked.length], [2, 2]);
  const closed = await serving(good("other"), good("other"), good("other"));
  await assert.rejects(all(readStream({ url: `${closed.url}/s`, headers, fetch })), (error) => error instanceof ClientError && error.status === 401);
  assert.equal(closed.asked.length, 2);
});

test("reading stops when it is told to", async () => {
  const { url } = await serving((_, response) => void response.writeHead(200, { "content-type": "text/event-stream" }).write(message(1, "a")));
  const stop = new AbortController();
  const read: StreamEvent[] = [];
  for await (const event of new Client({ url }).stream("run_1", { signal: stop.signal })) {
    read.push(event);
    stop.abort();
  }
  assert.equal(read.length, 1);
});

test("a transcript forgets what was cut, and nothing else", () => {
  const transcript = new Transcript<string>();
  const say = (id: number, data: string, step?: string): void => transcript.take({ kind: "message", id, data, topic: "t", run: "run_1", at: "", ...(step === undefined ? {} : { step, attempt: 1 }) });
  say(1, "kept ");
  say(2, "wrong ", "llm");
  say(3, "other ", "else");
  transcript.take({ kind: "cut", id: 4, run: "run_1", step: "llm", attempt: 1, from: 2 });
  say(5, "right", "llm");
  transcript.take({ kind: "gap", id: 5, after: 0, until: 0 });
  assert.equal(transcript.text(), "kept other right");
  assert.equal(transcript.text("u"), "");
  const ends = [transcript.end];
  transcript.take({ kind: "end", status: "failed" });
  ends.push(transcript.end);
  assert.deepEqual(ends, [undefined, { kind: "end", status: "failed" }]);
});

test("a token for a browser is asked for with its scope", async () => {
  const { url } = await serving((request, response) => {
    let body = "";
    request.on("data", (piece) => (body += piece)).on("end", () => {
      assert.deepEqual([request.url, JSON.parse(body)], ["/v1/subscriptions", { run: "run_1", topics: ["t"], ttl: "5m" }]);
      response.writeHead(201, { "content-type": "application/json" }).end('{"token":"sub_x","expiresAt":"2026-01-01T00:05:00.000Z"}');
    });
  });
  const { token, expiresAt } = await new Client({ url }).subscriptionToken({ run: "run_1", topics: ["t"], ttl: "5m" });
  assert.deepEqual([token, expiresAt.toISOString()], ["sub_x", "2026-01-01T00:05:00.000Z"]);
});
