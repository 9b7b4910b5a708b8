/**
 * The adapter for hosts that speak web-standard `Request` and `Response`, and for functions on Vercel. Hosts that have an adapter of their
 * own (Next.js, Hono, Workers, Bun, Deno) are served through the same code.
 */
import type { Backstitch } from "../../app.js";
import type { ServeOptions } from "../../handler.js";
import { answer, handlersBy } from "./answer.js";

export type { ServeOptions } from "../../handler.js";

/** An app as web-standard handlers. */
export interface FetchHandlers {
  /** Answers any request; hosts that pass variables and a context (Workers) are understood. */
  fetch(request: Request, env?: unknown, context?: unknown): Promise<Response>;
  /** Answers GET: discovery. */
  GET(request: Request): Promise<Response>;
  /** Answers POST: invocations. */
  POST(request: Request): Promise<Response>;
}

const FIX = "give the handler a request whose body nothing has read: mount it before body parsers, or pass it a clone that was made before";

/**
 * Serves an app where requests come as `Request`.
 *
 * ```ts
 * // api/backstitch.ts, a function on Vercel
 * export const { GET, POST } = serve(app);
 * // whatever takes a handler of requests
 * const { fetch } = serve(app);
 * ```
 */
export function serve(app: Backstitch, options: ServeOptions = {}): FetchHandlers {
  const handlerFor = handlersBy(app, options);
  const fetch: FetchHandlers["fetch"] = async (request, env, context) => {
    const host = (context ?? vercelContext()) as { waitUntil?(work: Promise<unknown>): void } | undefined;
    return answer(handlerFor(env), request, { fix: FIX, waitUntil: (work) => host?.waitUntil?.(work) });
  };
  return { fetch, GET: (request) => fetch(request), POST: (request) => fetch(request) };
}

/** What Vercel gives each request's code, by the name under which its own package finds it. */
function vercelContext(): object | undefined {
  const holder = (globalThis as Record<symbol, unknown>)[Symbol.for("@vercel/request-context")] as { get?: () => object | undefined } | undefined;
  return holder?.get?.();
}
