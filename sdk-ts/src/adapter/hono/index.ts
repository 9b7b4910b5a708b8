/**
 * The adapter for Hono, wherever it runs. Variables come from the environment, or from the bindings on Workers.
 */
import type { Backstitch } from "../../app.js";
import type { ServeOptions } from "../../handler.js";
import { answer, handlersBy } from "../fetch/answer.js";

export type { ServeOptions } from "../../handler.js";

/** What the adapter needs of Hono's context. */
export interface HonoContext {
  readonly req: { readonly raw: Request };
  readonly env: unknown;
  readonly executionCtx: { waitUntil(work: Promise<unknown>): void };
}

const FIX = "register the route before middleware that reads bodies, such as a validator for `*`";
const encoder = new TextEncoder();

/**
 * Serves an app from a Hono application.
 *
 * ```ts
 * const server = new Hono();
 * server.all("/api/backstitch", serve(app));
 * ```
 */
export function serve(app: Backstitch, options: ServeOptions = {}): (context: HonoContext) => Promise<Response> {
  const handlerFor = handlersBy(app, options);
  return async (context) => {
    const kept = await keptBody(context.req);
    return answer(handlerFor(context.env), context.req.raw, { fix: FIX, waitUntil: waitUntil(context), ...(kept === undefined ? {} : { kept }) });
  };
}

/** The body as Hono remembers it, where middleware read it as bytes or as text. What was only parsed is not the same any more. */
async function keptBody(request: HonoContext["req"]): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (!request.raw.bodyUsed) return undefined;
  const { bodyCache } = request as { bodyCache?: { arrayBuffer?: unknown; text?: unknown } };
  const bytes = await bodyCache?.arrayBuffer;
  if (bytes instanceof ArrayBuffer) return new Uint8Array(bytes);
  const text = await bodyCache?.text;
  return typeof text === "string" ? encoder.encode(text) : undefined;
}

function waitUntil(context: HonoContext): ((work: Promise<unknown>) => void) | undefined {
  try {
    const { executionCtx } = context;
    return (work) => executionCtx.waitUntil(work);
  } catch {
    return undefined; // Hono throws where the host has no such thing.
  }
}
