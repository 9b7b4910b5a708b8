/**
 * The adapter for AWS Lambda. Nothing is done after the response, since the instance is frozen then; and nothing is begun that the time left
 * does not allow.
 */
import type { Backstitch } from "../../app.js";
import { MisuseError } from "../../errors.js";
import { HttpHandler, type HttpResponse, type ServeOptions } from "../../handler.js";
import { KEEP_ALIVE_MS, LAMBDA_STREAM_BYTES_MAX } from "../../wire/limits.js";
import { exchange } from "../node/transport.js";
import { type LambdaRequest, type LambdaResult, readEvent } from "./event.js";

export type { ServeOptions } from "../../handler.js";
export type { LambdaResult } from "./event.js";

/** What the adapter needs of the context that Lambda passes. */
export interface LambdaContext {
  getRemainingTimeInMillis?(): number;
}

/** A handler of Lambda. */
export type LambdaHandler = (event: unknown, context: LambdaContext) => Promise<LambdaResult>;

/** A handler of Lambda that streams its response. */
export type LambdaStreamHandler = (event: unknown, stream: unknown, context: LambdaContext) => Promise<void>;

/** What the adapter needs of a stream that Lambda passes. */
interface ResponseStream {
  write(text: string): unknown;
  end(done: () => void): unknown;
}

/** What Lambda's runtime for Node puts into the global scope. */
interface Runtime {
  streamifyResponse(handler: LambdaStreamHandler): LambdaStreamHandler;
  HttpResponseStream: { from(stream: unknown, head: { statusCode: number; headers: Record<string, string> }): ResponseStream };
}

/**
 * Serves an app as a Lambda function behind a Function URL, API Gateway (HTTP or REST) or a load balancer.
 *
 * ```ts
 * export const handler = serve(app);
 * ```
 */
export function serve(app: Backstitch, options: ServeOptions = {}): LambdaHandler {
  const handler = new HttpHandler(app, { ...options, limits: { streams: false, ...options.limits } }, exchange);
  return async (event, context) => {
    const request = readEvent(event, Date.now());
    const { status, headers, body } = await handle(handler, request, context, options);
    return request.result(status, headers, await body);
  };
}

/**
 * Serves an app as a Lambda function behind a Function URL with `InvokeMode: RESPONSE_STREAM`: a slow answer says that it is alive, so that
 * the server notices a function that died within 30 seconds instead of at the end of its time; and answers may be larger.
 *
 * ```ts
 * export const handler = serveStream(app);
 * ```
 */
export function serveStream(app: Backstitch, options: ServeOptions = {}): LambdaStreamHandler {
  const handler = new HttpHandler(app, { ...options, limits: { streams: true, responseBytes: LAMBDA_STREAM_BYTES_MAX, ...options.limits } }, exchange);
  const { awslambda } = globalThis as { awslambda?: Runtime };
  const respond: LambdaStreamHandler = async (event, stream, context) => {
    if (awslambda === undefined) throw new MisuseError("failed to stream a response: this is not the runtime of Lambda for Node. Use `serve` here.");
    const { status: statusCode, headers, body } = await handle(handler, readEvent(event, Date.now()), context, options);
    await send(awslambda.HttpResponseStream.from(stream, { statusCode, headers }), body);
  };
  return awslambda?.streamifyResponse(respond) ?? respond;
}

function handle(handler: HttpHandler, request: LambdaRequest, context: LambdaContext, options: ServeOptions): Promise<HttpResponse> {
  const { seconds } = options.limits ?? {};
  // Who raised the gateway's limit says so by `limits.seconds`.
  const outsideMs = seconds === undefined ? request.gatewayMs : seconds * 1000;
  const remainingMs = Math.min(outsideMs, context?.getRemainingTimeInMillis?.() ?? Number.POSITIVE_INFINITY);
  const body = async (bytesMax: number): Promise<Uint8Array<ArrayBuffer> | null> => (request.body.length > bytesMax ? null : request.body);
  return handler.handle({ method: request.method, header: request.header, body }, Number.isFinite(remainingMs) ? { remainingMs } : {});
}

async function send(stream: ResponseStream, body: string | Promise<string>): Promise<void> {
  let timer: ReturnType<typeof setInterval> | undefined;
  if (typeof body !== "string") {
    stream.write("\n");
    timer = setInterval(() => stream.write("\n"), KEEP_ALIVE_MS);
  }
  try {
    stream.write(await body);
  } finally {
    clearInterval(timer);
  }
  await new Promise<void>((resolve) => stream.end(resolve));
}
