/**
 * The adapter for the app router of Next.js. The pages router has its own, `backstitch/next/pages`.
 */
import type { Backstitch } from "../../app.js";
import type { ServeOptions } from "../../handler.js";
import { serve as serveFetch } from "../fetch/index.js";

export type { ServeOptions } from "../../handler.js";

/** The exports of a route. Next.js answers other methods with 405 by itself. */
export interface RouteHandlers {
  /** Discovery. */
  GET(request: Request): Promise<Response>;
  /** Invocations. */
  POST(request: Request): Promise<Response>;
}

/**
 * Serves an app from a route of the app router.
 *
 * ```ts
 * // app/api/backstitch/route.ts
 * export const maxDuration = 300;
 * export const { GET, POST } = serve(app, { limits: { seconds: maxDuration } });
 * ```
 */
export function serve(app: Backstitch, options: ServeOptions = {}): RouteHandlers {
  const { GET, POST } = serveFetch(app, options);
  return { GET, POST };
}
