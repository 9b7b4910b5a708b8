/**
 * The adapter for Cloudflare Workers, and for `workerd` by itself. Nothing is done at module scope, where a Worker may do nothing, and
 * nothing that one request began is waited for by another one.
 */
import type { Backstitch } from "../../app.js";
import { HttpHandler, type ServeOptions } from "../../handler.js";
import { WORKERS_BODY_BYTES_MAX } from "../../wire/limits.js";
import type { Env } from "../../wire/manifest.js";
import { answer } from "../fetch/answer.js";

export type { ServeOptions } from "../../handler.js";

/** What a Worker exports. */
export interface WorkerHandlers {
  /** Answers a request with the Worker's variables and secrets. */
  fetch(request: Request, env: unknown, context: { waitUntil(work: Promise<unknown>): void }): Promise<Response>;
}

const FIX = "pass on the request before anything reads its body, or a `clone()` that was made before";
const LIMITS = { requestBytes: WORKERS_BODY_BYTES_MAX, responseBytes: WORKERS_BODY_BYTES_MAX };

/**
 * Serves an app as a Worker. `BACKSTITCH_KEY` is a secret of the Worker; the version is told from a binding named `CF_VERSION_METADATA`.
 *
 * ```ts
 * export default serve(app);
 * ```
 */
export function serve(app: Backstitch, options: ServeOptions = {}): WorkerHandlers {
  const handlers = new WeakMap<object, HttpHandler>();
  return {
    fetch: async (request, env, context) => {
      const variables = options.env ?? ((env ?? {}) as Env);
      let handler = handlers.get(variables);
      if (handler === undefined) {
        handler = new HttpHandler(app, { ...options, env: variables, limits: { ...LIMITS, ...options.limits } });
        handlers.set(variables, handler);
      }
      return answer(handler, request, { fix: FIX, waitUntil: (work) => context?.waitUntil(work) });
    },
  };
}
