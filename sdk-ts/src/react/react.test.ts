/** The hook in real React, under a DOM, with a stream that breaks off, cuts and ends. */
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { Window } from "happy-dom";
import type { UseStreamOptions, UseStreamResult } from "./index.js";

const window = new Window({ url: "https://app.example/" });
for (const [name, value] of Object.entries({ window, document: window.document, navigator: window.navigator, IS_REACT_ACT_ENVIRONMENT: true })) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}
// React looks for the document when it is loaded.
const { act, createElement, StrictMode } = await import("react");
const { createRoot } = await import("react-dom/client");
const { useStream } = await import("./index.js");
const realFetch = globalThis.fetch;

const servers: ReturnType<typeof createServer>[] = [];
after(async () => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  await window.happyDOM.close();
});

async function serving(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(handle);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const message = (id: number, data: unknown, attempt = 1): string => `id: ${id}\ndata: ${JSON.stringify({ topic: "tokens", data, run: "run_1", step: "llm", attempt, at: "2026-01-01T00:00:00.000Z" })}\n\n`;

/** A component that shows a stream, in a page. */
function page(): { show: (options: UseStreamOptions | null) => Promise<void>; until: (done: (last: UseStreamResult<string>) => boolean) => Promise<UseStreamResult<string>>; text: () => string } {
  const host = window.document.createElement("div");
  window.document.body.appendChild(host);
  const root = createRoot(host as never);
  let last: UseStreamResult<string> | undefined;
  let changed: () => void = () => undefined;
  const Answer = (options: UseStreamOptions): any => {
    last = useStream<string>(options);
    changed();
    return createElement("p", { "data-status": last.status }, last.text);
  };
  return {
    show: async (options) => void (await act(async () => root.render(options === null ? null : createElement(StrictMode, null, createElement(Answer, options))))),
    until: async (done) => {
      while (last === undefined || !done(last)) {
        await act(async () => {
          await new Promise<void>((resolve) => {
            changed = resolve;
            setTimeout(resolve, 50);
          });
        });
      }
      return last;
    },
    text: () => host.textContent ?? "",
  };
}

test("a component shows the words as they come, forgets what was cut, and knows the end", async () => {
  let open: ServerResponse | undefined;
  const asked: IncomingMessage[] = [];
  const url = await serving((request, response) => {
    asked.push(request);
    open = response.writeHead(200, { "content-type": "text/event-stream" });
    if (request.headers["last-event-id"] === undefined) open.write(message(1, "wrong ") + message(2, "way"));
    else open.write('event: cut\nid: 3\ndata: {"run":"run_1","step":"llm","attempt":1,"from":1}\n\n' + message(4, "right ", 2));
  });
  const { show, until, text } = page();
  const options = { url: `${url}/`, run: "run_1", token: () => "sub_x", topics: ["tokens"], fetch: realFetch };
  await show(options);
  await until((last) => last.text === "wrong way" && last.status === "streaming");
  assert.equal(text(), "wrong way");
  // The same component is rendered anew, with another function and list: the stream goes on.
  const before = asked.length;
  await show({ ...options, token: () => "sub_x", topics: ["tokens"] });
  assert.equal(asked.length, before);
  open?.destroy();
  await until((last) => last.text === "right ");
  open?.write(message(5, "way", 2) + 'event: end\nid: end\ndata: {"status":"completed"}\n\n');
  const last = await until((last) => last.status === "ended");
  assert.deepEqual([last.text, last.outcome, last.messages.map(({ attempt }) => attempt)], ["right way", "completed", [2, 2]]);
  assert.equal(text(), "right way");
  const request = asked.at(-1) as IncomingMessage;
  assert.deepEqual([request.url, request.headers.authorization, request.headers["last-event-id"]], ["/v1/runs/run_1/stream?topics=tokens", "Bearer sub_x", "2"]);
  await show(null);
});

test("what is refused is an error, another run begins anew, and nothing is read before it is wanted", async () => {
  let closed: () => void = () => undefined;
  const left = new Promise<void>((resolve) => {
    closed = resolve;
  });
  const url = await serving((request, response) => {
    if (request.url?.includes("run_2")) {
      response.writeHead(200, { "content-type": "text/event-stream" }).write(message(1, "two"));
      response.on("close", () => closed());
    } else response.writeHead(403, { "content-type": "application/problem+json" }).end('{"detail":"the subscription token is for run run_9 only"}');
  });
  const { show, until } = page();
  await show({ url, run: "run_1", enabled: false, fetch: realFetch });
  await until((last) => last.status === "idle");
  await show({ url, run: "run_1", fetch: realFetch });
  const failed = await until((last) => last.status === "failed");
  assert.match(failed.error?.message ?? "", /is for run run_9 only/);
  await show({ url, run: "run_2", fetch: realFetch });
  const shown = await until((last) => last.text === "two");
  assert.equal(shown.error, undefined);
  await show(null);
  // A component that is gone reads no more.
  await left;
});
