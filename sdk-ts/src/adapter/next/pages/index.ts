/**
 * The adapter for the pages router of Next.js, whose routes get requests of `node:http` with the body parsed, unless they say otherwise.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Backstitch } from "../../../app.js";
import { HttpHandler, type ServeOptions } from "../../../handler.js";
import { listen } from "../../node/listener.js";
import { exchange } from "../../node/transport.js";

export type { ServeOptions } from "../../../handler.js";

const FIX = "add `export const config = { api: { bodyParser: false } }` to this route's file, literally, since Next.js reads it without running it";

/**
 * Serves an app from a route of the pages router.
 *
 * ```ts
 * // pages/api/backstitch.ts
 * export const config = { api: { bodyParser: false } };
 * export default serve(app);
 * ```
 */
export function serve(app: Backstitch, options: ServeOptions = {}): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const answer = listen(new HttpHandler(app, options, exchange), FIX);
  return (request, response) => answer(request, response);
}
