/**
 * The adapter for Koa: a middleware that answers one path, or everything that a router sends to it.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Backstitch } from "../../app.js";
import { HttpHandler, type ServeOptions } from "../../handler.js";
import { LINGER_MS } from "../../wire/limits.js";
import { listen } from "../node/listener.js";
import { exchange } from "../node/transport.js";

export type { ServeOptions } from "../../handler.js";

/** What the adapter needs of Koa's context. */
export interface KoaContext {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly path: string;
  /** False tells Koa that the response is written by somebody else. */
  respond?: boolean;
  readonly request: object;
}

const FIX = "move `app.use(serve(…))` above the body parser, or let the parser leave this path alone";

/**
 * Serves an app from a Koa application. With `path` only that path is answered; without it everything, for a router.
 *
 * ```ts
 * const server = new Koa();
 * server.use(serve(app, { path: "/api/backstitch" }));
 * server.use(bodyParser());
 * ```
 */
export function serve(app: Backstitch, options: ServeOptions = {}): (context: KoaContext, next: () => Promise<unknown>) => Promise<unknown> {
  const answer = listen(new HttpHandler(app, { lingerMs: LINGER_MS, ...options }, exchange), FIX);
  return async (context, next) => {
    if (options.path !== undefined && context.path !== options.path) return next();
    context.respond = false;
    context.res.statusCode = 200; // Koa begins with 404.
    const { rawBody } = context.request as { rawBody?: unknown };
    return answer(context.req, context.res, rawBody);
  };
}
