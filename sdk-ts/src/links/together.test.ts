/** Reports that go together, over real connections: each has its own reply, and what is wrong with one is not the others' matter. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { exchange } from "../adapter/node/transport.js";
import { TOGETHER_MAX } from "../wire/limits.js";
import type { Said, Transport } from "./request.js";
import { Together } from "./together.js";

const closers: (() => void)[] = [];
after(() => closers.forEach((close) => close()));

interface Asked {
  url: string;
  token: string | undefined;
  body: any;
}

/** A server that takes reports alone and together; `say` answers a request, and `open` lets it. */
async function server(say: (asked: Asked) => unknown) {
  const asked: Asked[] = [];
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const http = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const one = { url: request.url ?? "", token: request.headers.authorization, body: JSON.parse(text) };
    asked.push(one);
    await opened;
    response.writeHead(200).end(JSON.stringify(say(one)));
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  closers.push(() => (http.closeAllConnections(), http.close()));
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const send = (port: Transport, n: number, signal = new AbortController().signal): Promise<Said> =>
    port({ url: `${url}/alone`, method: "POST", headers: { authorization: `Bearer inv_${n}` }, body: `{"n":${n}}`, signal });
  return { asked, open, port: new Together(exchange).to(`${url}/reports`), send };
}

const echo = ({ url, body }: Asked): unknown =>
  url === "/alone" ? { n: body.n } : { replies: body.reports.map(({ token, report }: any) => ({ status: token === "inv_7" ? 409 : 200, body: { n: report.n, token } })) };
const bodies = (said: readonly Said[]): unknown[] => said.map(({ status, text }) => [status, JSON.parse(text).n]);
const moment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

test("a report that comes alone is sent as it is", async () => {
  const { asked, open, port, send } = await server(echo);
  open();
  assert.deepEqual(bodies([await send(port, 1), await send(port, 2)]), [[200, 1], [200, 2]]);
  assert.deepEqual(asked.map(({ url, token }) => [url, token]), [["/alone", "Bearer inv_1"], ["/alone", "Bearer inv_2"]]);
});

test("what comes at once goes together, and what comes meanwhile waits for the next request", async () => {
  const { asked, open, port, send } = await server(echo);
  const first = [send(port, 1), send(port, 2)];
  await moment();
  const second = [send(port, 3)];
  await moment();
  const third = [send(port, 4), send(port, 5), send(port, 7)];
  await moment();
  assert.deepEqual(asked.map(({ url }) => url), ["/reports", "/alone"], "two are under way, and no more");
  open();
  const said = await Promise.all([...first, ...second, ...third]);
  assert.deepEqual(bodies(said), [[200, 1], [200, 2], [200, 3], [200, 4], [200, 5], [409, 7]], "each has its own reply");
  assert.deepEqual(asked[2]?.body.reports.map(({ token }: any) => token), ["inv_4", "inv_5", "inv_7"]);
});

test("a request holds no more than the server takes", async () => {
  const { asked, open, port, send } = await server(echo);
  open();
  const said = await Promise.all(Array.from({ length: TOGETHER_MAX + 40 }, (_, i) => send(port, 1000 + i)));
  assert.deepEqual(bodies(said), said.map((_, i) => [200, 1000 + i]));
  assert.deepEqual(asked.map(({ body }) => body.reports.length), [TOGETHER_MAX, 40]);
});

test("who gives up does not wait, and the others get their replies", async () => {
  const { asked, open, port, send } = await server(echo);
  const stop = new AbortController();
  const all = [send(port, 1, stop.signal), send(port, 2)] as const;
  await moment();
  stop.abort(new Error("nobody waits"));
  await assert.rejects(all[0], /nobody waits/);
  open();
  assert.deepEqual(bodies([await all[1]]), [[200, 2]]);
  assert.equal(asked[0]?.body.reports.length, 2, "it was on its way already");
});

test("replies that are not as many as the reports are errors, and so is a broken connection", async () => {
  const short = await server(({ body }) => ({ replies: body.reports.slice(1) }));
  short.open();
  for (const said of await Promise.allSettled([short.send(short.port, 1), short.send(short.port, 2)])) {
    assert.match(String((said as PromiseRejectedResult).reason), /2 reports were not answered with as many replies/);
  }
  const gone = new Together(() => Promise.reject(new Error("refused"))).to("http://127.0.0.1:1/reports");
  const said = await Promise.allSettled([short.send(gone, 1), short.send(gone, 2)]);
  assert.deepEqual(said.map(({ status }) => status), ["rejected", "rejected"]);
  // Another request has room again.
  await assert.rejects(short.send(gone, 3), /refused/);
});
