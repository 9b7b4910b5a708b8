/**
 * The adapter for Fastify: a plugin with a scope of its own, in which nothing parses bodies. The parsers of the rest of the server stay.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Backstitch } from "../../app.js";
import { HttpHandler, type ServeOptions } from "../../handler.js";
import { LINGER_MS } from "../../wire/limits.js";
import { listen } from "../node/listener.js";
import { exchange } from "../node/transport.js";

export type { ServeOptions } from "../../handler.js";

/** What the adapter needs of a Fastify instance. Everything that it answers with is Fastify's own business. */
export interface FastifyScope {
  removeAllContentTypeParsers(): unknown;
  addContentTypeParser(type: string, parser: (request: any, payload: any, done: (error: Error | null, body?: unknown) => void) => void): unknown;
  route(options: { method: any; url: string; handler: (request: any, reply: any) => any }): unknown;
}

interface Request {
  readonly raw: IncomingMessage;
  readonly rawBody?: unknown;
}

interface Reply {
  readonly raw: ServerResponse;
  hijack(): unknown;
}

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const FIX = "a hook of this server reads the body of every request (`preParsing`): let it leave Backstitch's path alone, or keep the bytes as `request.rawBody`";

/**
 * Serves an app from a Fastify server. Register it with a prefix; parsers and other plugins may come before or after.
 *
 * ```ts
 * const server = Fastify();
 * server.register(serve(app), { prefix: "/api/backstitch" });
 * ```
 */
export function serve(app: Backstitch, options: ServeOptions = {}): (scope: FastifyScope) => Promise<void> {
  const answer = listen(new HttpHandler(app, { lingerMs: LINGER_MS, ...options }, exchange), FIX);
  return async (scope) => {
    scope.removeAllContentTypeParsers();
    // Reads nothing: the body is still in the request when the route is reached, and has the app's limit instead of Fastify's.
    scope.addContentTypeParser("*", (_request, _payload, done) => done(null));
    scope.route({
      method: METHODS,
      url: "/",
      handler: async ({ raw, rawBody }: Request, reply: Reply) => {
        reply.hijack();
        await answer(raw, reply.raw, rawBody);
      },
    });
  };
}
