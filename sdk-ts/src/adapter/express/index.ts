/**
 * The adapter for Express, 4 and 5. It knows of Express only that requests and responses are those of `node:http`.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Backstitch } from "../../app.js";
import { HttpHandler, type ServeOptions } from "../../handler.js";
import { LINGER_MS } from "../../wire/limits.js";
import { listen } from "../node/listener.js";
import { exchange } from "../node/transport.js";

export type { ServeOptions } from "../../handler.js";

/** A handler as Express takes it. */
export type ExpressHandler = (request: IncomingMessage, response: ServerResponse) => void;

const FIX = "move `app.use(\"/api/backstitch\", serve(…))` above `app.use(express.json())` and every other body parser";

/**
 * Serves an app from an Express application. Mount it before body parsers.
 *
 * ```ts
 * const server = express();
 * server.use("/api/backstitch", serve(app));
 * server.use(express.json());
 * ```
 */
export function serve(app: Backstitch, options: ServeOptions = {}): ExpressHandler {
  const answer = listen(new HttpHandler(app, { lingerMs: LINGER_MS, ...options }, exchange), FIX);
  return (request, response) => void answer(request, response);
}
