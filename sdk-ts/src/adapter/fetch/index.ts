/**
 * The adapter for hosts that speak web-standard `Request` and `Response`: Next.js app routes, Workers, Deno, Bun, Hono and others.
 */
import type { Backstitch } from "../../app.js";
import { HttpHandler, type ServeOptions } from "../../handler.js";
import { KEEP_ALIVE_MS } from "../../wire/limits.js";
import type { Env } from "../../wire/manifest.js";

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

/**
 * Serves an app where requests come as `Request`.
 *
 * ```ts
 * // app/api/backstitch/route.ts
 * export const { GET, POST } = serve(app);
 * // a Worker, Bun or Deno
 * export default serve(app);
 * ```
 */
export function serve(app: Backstitch, options: ServeOptions = {}): FetchHandlers {
  const handlers = new WeakMap<object, HttpHandler>();
  const own = {};
  const handlerFor = (env: unknown): HttpHandler => {
    const fromHost = options.env === undefined && typeof env === "object" && env !== null && ("BACKSTITCH_KEY" in env || "BACKSTITCH_DEV" in env);
    const key = fromHost ? (env as object) : own;
    let handler = handlers.get(key);
    if (handler === undefined) {
      handler = new HttpHandler(app, fromHost ? { ...options, env: env as Env } : options);
      handlers.set(key, handler);
    }
    return handler;
  };
  const answer = async (request: Request, env?: unknown, context?: unknown): Promise<Response> => {
    const handler = handlerFor(env);
    const response = await handler.handle({
      method: request.method,
      header: (name) => request.headers.get(name),
      body: (bytesMax) => readBody(request, bytesMax),
      signal: request.signal,
    });
    const late = (): void => {
      const offered = response.undelivered?.();
      if (offered !== undefined) (context as { waitUntil?: (work: Promise<void>) => void } | undefined)?.waitUntil?.(offered);
    };
    if (request.signal.aborted) late();
    return new Response(typeof response.body === "string" ? response.body : drip(response.body, late), { status: response.status, headers: response.headers });
  };
  return { fetch: answer, GET: (request) => answer(request), POST: (request) => answer(request) };
}

async function readBody(request: Request, bytesMax: number): Promise<Uint8Array<ArrayBuffer> | null> {
  if (request.bodyUsed) {
    throw new Error("the body was read before it reached Backstitch (raw_body_unavailable): mount the handler before body parsers, since the signature covers the raw bytes");
  }
  if (Number(request.headers.get("content-length") ?? 0) > bytesMax) return null;
  if (request.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = (request.body as ReadableStream<Uint8Array>).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > bytesMax) {
      await reader.cancel();
      return null;
    }
    chunks.push(value);
  }
  const body = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body;
}

/** A slow answer: a newline now and every 10 s, then the text. `late` is called when nobody reads it any more. */
function drip(body: Promise<string>, late: () => void): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const newline = encoder.encode("\n");
  let timer: ReturnType<typeof setInterval> | undefined;
  return new ReadableStream<Uint8Array>({
    async start(controller) {
      controller.enqueue(newline);
      timer = setInterval(() => controller.enqueue(newline), KEEP_ALIVE_MS);
      try {
        controller.enqueue(encoder.encode(await body));
        controller.close();
      } catch (error) {
        controller.error(error);
      } finally {
        clearInterval(timer);
      }
    },
    cancel() {
      clearInterval(timer);
      late();
    },
  });
}
