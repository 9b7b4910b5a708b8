/**
 * The adapter for Bun's own server. Bun closes connections on which nothing moves for ten seconds, which a slow answer would meet: the
 * adapter asks it not to, for its requests only.
 */
import type { Backstitch } from "../../app.js";
import { HttpHandler, type ServeOptions } from "../../handler.js";
import { LINGER_MS } from "../../wire/limits.js";
import { answer } from "../fetch/answer.js";

export type { ServeOptions } from "../../handler.js";

/** What the adapter needs of Bun's server, which Bun passes with each request. */
export interface BunServer {
  timeout?(request: Request, seconds: number): void;
}

/** An app for `Bun.serve`, as its options or as a route. */
export interface BunHandlers {
  fetch(request: Request, server?: BunServer): Promise<Response>;
}

const FIX = "pass on the request before anything reads its body, or a `clone()` that was made before";

/**
 * Serves an app with Bun.
 *
 * ```ts
 * Bun.serve({ port: 3000, routes: { "/api/backstitch": serve(app).fetch } });
 * // or the whole server
 * export default serve(app);
 * ```
 */
export function serve(app: Backstitch, options: ServeOptions = {}): BunHandlers {
  const handler = new HttpHandler(app, { lingerMs: LINGER_MS, ...options });
  return {
    fetch: async (request, server) => {
      server?.timeout?.(request, 0);
      return answer(handler, request, { fix: FIX });
    },
  };
}
