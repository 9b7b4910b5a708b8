/**
 * The server of a transcript: what it says to checkpoints, and the pages of its journal, over real connections.
 * See `checkpoints` and `pages` in tests/conformance/README.md.
 */
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { durationMs } from "../duration.js";
import { assertOps } from "./match.test.js";

/** The stand-in of one transcript. */
export interface StandIn {
  readonly links: { checkpoint: string | null; journal: string | null };
  /** Throws what was wrong with a request, or if one never came. */
  assertDone(): void;
  close(): void;
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** Starts the server that a transcript needs; without `checkpoints` and `pages` there are no links. */
export async function standIn(transcript: any, token: string): Promise<StandIn> {
  const { checkpoints, pages } = transcript;
  if (checkpoints === undefined && pages === undefined) return { links: { checkpoint: null, journal: null }, assertDone() {}, close() {} };
  const wrong: unknown[] = [];
  const asked: string[] = [];
  const timers = new Set<NodeJS.Timeout>();
  let taken = 0;
  const say = (response: ServerResponse, status: number, body: unknown): void => {
    const type = status === 200 ? "application/json" : "application/problem+json";
    response.writeHead(status, { "content-type": type }).end(JSON.stringify(body));
  };
  const checkpoint = (body: any, response: ServerResponse): void => {
    if (body.ops.length === 0) {
      timers.add(setTimeout(() => say(response, 200, { settled: [], retry: [] }), durationMs(body.wait ?? 0)));
      return;
    }
    const expected = checkpoints?.[taken++];
    assert.ok(expected !== undefined, `a request beyond the list: ${JSON.stringify(body)}`);
    assert.equal(body.n, expected.request.n, "n");
    assertOps(body, expected.request);
    say(response, expected.status ?? 200, expected.reply ?? expected.problem);
  };
  const page = (query: string, response: ServerResponse): void => {
    const found = pages?.[query];
    assert.ok(found !== undefined && !asked.includes(query), `nobody was to ask for ${query} (again)`);
    asked.push(query);
    say(response, 200, found);
  };
  const server = createServer((request, response) => {
    const answer = async (): Promise<void> => {
      assert.equal(request.headers.authorization, `Bearer ${token}`);
      const { pathname, search } = new URL(request.url ?? "/", "http://x");
      if (pathname === "/journal") return page(search.slice(1), response);
      assert.deepEqual([request.method, request.headers["content-type"]], ["POST", "application/json"]);
      checkpoint(JSON.parse(await textOf(request)), response);
    };
    answer().catch((error) => {
      wrong.push(error);
      say(response, 409, { status: 409, code: "stale" }); // Ends the case at once.
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    links: { checkpoint: checkpoints === undefined ? null : `${url}/checkpoint`, journal: pages === undefined ? null : `${url}/journal` },
    assertDone() {
      if (wrong.length > 0) throw wrong[0];
      assert.equal(taken, checkpoints?.length ?? 0, "reports");
      assert.deepEqual(asked.sort(), Object.keys(pages ?? {}).sort(), "pages");
    },
    close() {
      for (const timer of timers) clearTimeout(timer);
      server.closeAllConnections();
      server.close();
    },
  };
}
