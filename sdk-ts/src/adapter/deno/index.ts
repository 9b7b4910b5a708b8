/**
 * The adapter for Deno's own server. Variables are read one by one and only where that is permitted already, so that
 * `--allow-env=BACKSTITCH_KEY` is enough and nobody is asked.
 */
import type { Backstitch } from "../../app.js";
import { HttpHandler, type ServeOptions } from "../../handler.js";
import { LINGER_MS } from "../../wire/limits.js";
import type { Env } from "../../wire/manifest.js";
import { answer } from "../fetch/answer.js";

export type { ServeOptions } from "../../handler.js";

/** An app for `Deno.serve` and `deno serve`. */
export interface DenoHandlers {
  fetch(request: Request): Promise<Response>;
}

/** What the adapter needs of Deno. */
interface Deno {
  readonly env: { get(name: string): string | undefined };
  readonly permissions: { querySync(wanted: { name: "env"; variable: string }): { state: string } };
}

const FIX = "pass on the request before anything reads its body, or a `clone()` that was made before";

/**
 * Serves an app with Deno.
 *
 * ```ts
 * Deno.serve({ port: 3000 }, serve(app).fetch);
 * // or, for `deno serve`
 * export default serve(app);
 * ```
 */
export function serve(app: Backstitch, options: ServeOptions = {}): DenoHandlers {
  const env = options.env ?? permitted((globalThis as { Deno?: Deno }).Deno);
  // On Deno Deploy an instance is paid for while it waits.
  const lingerMs = env.DENO_DEPLOYMENT_ID === undefined ? LINGER_MS : 0;
  const handler = new HttpHandler(app, { lingerMs, ...options, env });
  return { fetch: (request) => answer(handler, request, { fix: FIX }) };
}

function permitted(deno: Deno | undefined): Env {
  const read = (name: string): string | undefined =>
    deno?.permissions.querySync({ name: "env", variable: name }).state === "granted" ? deno.env.get(name) : undefined;
  return new Proxy({}, { get: (_, name) => (typeof name === "string" ? read(name) : undefined) });
}
