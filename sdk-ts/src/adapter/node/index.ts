/**
 * The adapter for `node:http`: a request listener for a server of your own, and a server with the settings that invocations need.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Backstitch } from "../../app.js";
import { MisuseError } from "../../errors.js";
import { HttpHandler, type HttpResponse, type ServeOptions } from "../../handler.js";
import { KEEP_ALIVE_MS, LINGER_MS } from "../../wire/limits.js";
import { exchange } from "./transport.js";

export type { ServeOptions } from "../../handler.js";

/** What a server of this adapter is told. */
export interface NodeServeOptions extends ServeOptions {
  /** `PORT` of the environment, or 3000, if left out; 0 takes a free one. */
  port?: number;
  /** The address to listen on; all of them if left out. */
  host?: string;
  /** The only path that is served; any if left out. */
  path?: string;
}

/** A running server. */
export interface NodeServer {
  /** Where it listens, as seen from this machine. */
  readonly url: string;
  readonly server: Server;
  /** Takes no more requests, waits for those that are open (at most `graceMs`, 10 s if left out), then ends. */
  close(graceMs?: number): Promise<void>;
}

/** Milliseconds that an idle connection is kept: longer than the server keeps it on its side, so that it never meets a closing one. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
const GRACE_MS = 10_000;

/**
 * A listener for a `node:http` server of your own. Mount it before body parsers.
 *
 * ```ts
 * createServer(listener(app)).listen(3000);
 * ```
 */
export function listener(app: Backstitch, options: ServeOptions = {}): (request: IncomingMessage, response: ServerResponse) => void {
  return listen(new HttpHandler(app, { lingerMs: LINGER_MS, ...options }, exchange));
}

/**
 * Serves an app on a server of its own.
 *
 * ```ts
 * const { url } = await serve(app, { port: 3000 });
 * console.log(`shop listens on ${url}`);
 * ```
 */
export async function serve(app: Backstitch, options: NodeServeOptions = {}): Promise<NodeServer> {
  const handler = new HttpHandler(app, { lingerMs: LINGER_MS, ...options }, exchange);
  const answer = listen(handler);
  const server = createServer((request, response) => {
    const path = (request.url ?? "/").split("?")[0];
    if (options.path === undefined || path === options.path) return answer(request, response);
    response.writeHead(404, { "content-type": "text/plain; charset=utf-8" }).end(`The app \`${app.id}\` is served at ${options.path}.\n`);
  });
  server.requestTimeout = 0; // A request lasts as long as its slowest step; the server sets the limit.
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
  const port = options.port ?? Number(process.env.PORT ?? 3000);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(cannotListen(error, port)));
    server.listen({ port, host: options.host }, resolve);
  });
  if (handler.access === "closed") {
    app.log.warn("backstitch: every request will be refused, since neither BACKSTITCH_KEY nor BACKSTITCH_DEV=1 is set. For development, start the app with BACKSTITCH_DEV=1.");
  }
  const address = server.address() as AddressInfo;
  const name = options.host === undefined || options.host === "0.0.0.0" || options.host === "::" ? "localhost" : address.family === "IPv6" ? `[${address.address}]` : address.address;
  return { url: `http://${name}:${address.port}${options.path ?? ""}`, server, close: (graceMs) => close(server, graceMs ?? GRACE_MS) };
}

function cannotListen(error: NodeJS.ErrnoException, port: number): Error {
  if (error.code === "EADDRINUSE") return new MisuseError(`failed to listen on port ${port}: something else does already. Stop it, or pass another \`port\`.`);
  if (error.code === "EACCES") return new MisuseError(`failed to listen on port ${port}: this user may not. Use a port of 1024 or above.`);
  return error;
}

function close(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearTimeout(force);
      resolve();
    });
    server.closeIdleConnections();
  });
}

function listen(handler: HttpHandler): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const gone = new AbortController();
    let undelivered: HttpResponse["undelivered"];
    response.once("close", () => {
      if (response.writableFinished) return;
      gone.abort();
      void undelivered?.();
    });
    const header = (name: string): string | null => {
      const value = request.headers[name];
      return value === undefined ? null : Array.isArray(value) ? value.join(", ") : value;
    };
    handler
      .handle({ method: request.method ?? "GET", header, body: (bytesMax) => readBody(request, bytesMax), signal: gone.signal })
      .then((answer) => {
        if (gone.signal.aborted) return answer.undelivered?.();
        undelivered = answer.undelivered;
        return send(request, response, answer);
      })
      .catch(() => response.destroy()); // Nobody is there any more to be answered.
  };
}

function readBody(request: IncomingMessage, bytesMax: number): Promise<Uint8Array<ArrayBuffer> | null> {
  if (request.readableEnded || "body" in request) {
    throw new Error("the body was read before it reached Backstitch (raw_body_unavailable): mount the listener before body parsers, since the signature covers the raw bytes");
  }
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
