/**
 * The adapter for `node:http`: a request listener for a server of your own, and a server with the settings that invocations need.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Backstitch } from "../../app.js";
import { MisuseError } from "../../errors.js";
import { HttpHandler, type ServeOptions } from "../../handler.js";
import { LINGER_MS } from "../../wire/limits.js";
import { listen, type Listener } from "./listener.js";
import { exchange } from "./transport.js";

export type { ServeOptions } from "../../handler.js";
export type { Listener } from "./listener.js";

/** What a server of this adapter is told. */
export interface NodeServeOptions extends ServeOptions {
  /** `PORT` of the environment, or 3000, if left out; 0 takes a free one. */
  port?: number;
  /** The address to listen on; all of them if left out. */
  host?: string;
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
const FIX = "mount the listener before body parsers";

/**
 * A listener for a `node:http` server of your own. Mount it before body parsers.
 *
 * ```ts
 * createServer(listener(app)).listen(3000);
 * ```
 */
export function listener(app: Backstitch, options: ServeOptions = {}): Listener {
  const answer = listen(new HttpHandler(app, { lingerMs: LINGER_MS, ...options }, exchange), FIX);
  return (request, response) => void answer(request, response);
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
  const answer = listen(handler, FIX);
  const server = createServer((request, response) => {
    const path = (request.url ?? "/").split("?")[0];
    if (options.path === undefined || path === options.path) return void answer(request, response);
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
