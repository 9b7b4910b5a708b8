/**
 * One web-standard request and its response: what the adapters of all hosts that speak `Request` have in common.
 */
import type { Backstitch } from "../../app.js";
import { HttpHandler, type ServeOptions } from "../../handler.js";
import { KEEP_ALIVE_MS } from "../../wire/limits.js";
import type { Env } from "../../wire/manifest.js";
import { rawBodyUnavailable } from "../../wire/problem.js";

/** What a host says about one request. */
export interface FetchHost {
  /** What to do where something has read the body before. */
  readonly fix: string;
  /** The body's bytes, where something has read them and kept them. */
  readonly kept?: Uint8Array<ArrayBuffer>;
  /** Keeps the host at work for something that outlives the response. */
  readonly waitUntil?: ((work: Promise<unknown>) => void) | undefined;
}

/** The handler for what a host passes beside a request: bindings that say anything to Backstitch count, else the environment does. */
export function handlersBy(app: Backstitch, options: ServeOptions): (bindings: unknown) => HttpHandler {
  const handlers = new WeakMap<object, HttpHandler>();
  const own = {};
  return (bindings) => {
    const bound = options.env === undefined && typeof bindings === "object" && bindings !== null && ("BACKSTITCH_KEY" in bindings || "BACKSTITCH_DEV" in bindings);
    const key = bound ? (bindings as object) : own;
    let handler = handlers.get(key);
    if (handler === undefined) {
      handler = new HttpHandler(app, bound ? { ...options, env: bindings as Env } : options);
      handlers.set(key, handler);
    }
    return handler;
  };
}

/** Answers a request through a handler. */
export async function answer(handler: HttpHandler, request: Request, host: FetchHost): Promise<Response> {
  const body = async (bytesMax: number): Promise<Uint8Array<ArrayBuffer> | null> =>
    host.kept === undefined ? readBody(request, bytesMax, host.fix) : host.kept.length > bytesMax ? null : host.kept;
  const response = await handler.handle({ method: request.method, header: (name) => request.headers.get(name), body, signal: request.signal });
  const late = (): void => {
    const offered = response.undelivered?.();
    if (offered !== undefined) host.waitUntil?.(offered);
  };
  if (request.signal.aborted) late();
  const content = request.method === "HEAD" ? null : typeof response.body === "string" ? response.body : drip(response.body, late);
  return new Response(content, { status: response.status, headers: response.headers });
}

async function readBody(request: Request, bytesMax: number, fix: string): Promise<Uint8Array<ArrayBuffer> | null> {
  if (request.bodyUsed) throw rawBodyUnavailable(fix);
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
