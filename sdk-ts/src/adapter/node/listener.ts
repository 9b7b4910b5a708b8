/**
 * One request of `node:http` and its answer: what the adapters of everything that is built on Node's server have in common.
 *
 * It decides nothing about the app. A body that something has read already is taken where its bytes were kept, and refused otherwise.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { HttpHandler, HttpResponse } from "../../handler.js";
import { KEEP_ALIVE_MS } from "../../wire/limits.js";
import { rawBodyUnavailable } from "../../wire/problem.js";

/** Takes the requests of a `node:http` server. */
export type Listener = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * Answers requests through a handler; the promise resolves when the response is out or its connection is gone. `fix` says what to do where a
 * parser has read the body; `kept` is the body as the framework kept it, if it did.
 */
export function listen(handler: HttpHandler, fix: string): (request: IncomingMessage, response: ServerResponse, kept?: unknown) => Promise<void> {
  return async (request, response, kept) => {
    const gone = new AbortController();
    let undelivered: HttpResponse["undelivered"];
    const closed = new Promise<void>((resolve) => {
      response.once("close", () => {
        resolve();
        if (response.writableFinished) return;
        gone.abort();
        void undelivered?.();
      });
    });
    const header = (name: string): string | null => {
      const value = request.headers[name];
      return value === undefined ? null : Array.isArray(value) ? value.join(", ") : value;
    };
    const body = (bytesMax: number): Promise<Uint8Array<ArrayBuffer> | null> => readBody(request, kept, bytesMax, fix);
    try {
      const answer = await handler.handle({ method: request.method ?? "GET", header, body, signal: gone.signal });
      if (gone.signal.aborted) return await answer.undelivered?.();
      undelivered = answer.undelivered;
      await send(request, response, answer);
      await closed;
    } catch {
      response.destroy(); // Nobody is there any more to be answered.
    }
  };
}

async function readBody(request: IncomingMessage & { body?: unknown; rawBody?: unknown }, kept: unknown, bytesMax: number, fix: string): Promise<Uint8Array<ArrayBuffer> | null> {
  // Some hosts read every body and keep its bytes, by this name; parsers for raw bodies and for text keep them as `body`.
  const bytes = bytesOf(kept) ?? bytesOf(request.rawBody) ?? bytesOf(request.body);
  if (bytes !== undefined) return bytes.length > bytesMax ? null : bytes;
  if (request.readableDidRead || request.readableEnded) throw rawBodyUnavailable(fix);
  if (Number(request.headers["content-length"] ?? 0) > bytesMax) return null;
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length <= bytesMax) chunks.push(chunk);
      else {
        request.pause();
        resolve(null);
      }
    });
    request.once("end", () => resolve(new Uint8Array(Buffer.concat(chunks))));
    request.once("error", reject);
  });
}

/** A kept body's bytes. A text's are those that it came from: if not, its signature will not fit. */
function bytesOf(kept: unknown): Uint8Array<ArrayBuffer> | undefined {
  if (typeof kept === "string") return new Uint8Array(Buffer.from(kept));
  return kept instanceof Uint8Array ? new Uint8Array(kept) : undefined;
}

async function send(request: IncomingMessage, response: ServerResponse, answer: HttpResponse): Promise<void> {
  // What is left of a refused body is not read: the connection cannot be used again.
  const unread = !request.readableEnded && answer.status !== 200;
  const headers = unread ? { ...answer.headers, connection: "close" } : answer.headers;
  if (typeof answer.body === "string") {
    response.writeHead(answer.status, { ...headers, "content-length": Buffer.byteLength(answer.body) }).end(answer.body);
    return;
  }
  response.writeHead(answer.status, headers).write("\n");
  // An answer may come after its connection is gone: nothing is written there any more.
  const timer = setInterval(() => response.destroyed || response.write("\n"), KEEP_ALIVE_MS);
  try {
    const body = await answer.body;
    if (!response.destroyed) response.end(body);
  } finally {
    clearInterval(timer);
  }
}
