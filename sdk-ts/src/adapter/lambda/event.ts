/**
 * The requests that AWS Lambda is invoked with, and the responses that whoever sent them takes: a Function URL, API Gateway in both payload
 * formats, a load balancer, or a direct invocation in the shape of format 2.0.
 */
import { MisuseError } from "../../errors.js";
import { API_GATEWAY_HTTP_MS, API_GATEWAY_REST_MS } from "../../wire/limits.js";

/** What the function gives back. */
export interface LambdaResult {
  statusCode: number;
  headers?: Record<string, string>;
  multiValueHeaders?: Record<string, string[]>;
  body: string;
  isBase64Encoded: boolean;
}

/** A request, whichever way it came. */
export interface LambdaRequest {
  readonly method: string;
  header(name: string): string | null;
  readonly body: Uint8Array<ArrayBuffer>;
  /** Milliseconds until a gateway in front answers in the function's place. */
  readonly gatewayMs: number;
  /** The response in the shape that the sender takes. */
  result(status: number, headers: Record<string, string>, body: string): LambdaResult;
}

/** The fields of all shapes, as far as they matter. */
interface LambdaEvent {
  readonly httpMethod?: string;
  readonly headers?: Record<string, string | undefined> | null;
  readonly multiValueHeaders?: Record<string, string[] | undefined> | null;
  readonly body?: string | null;
  readonly isBase64Encoded?: boolean;
  readonly requestContext?: {
    readonly http?: { readonly method?: string };
    readonly elb?: object;
    readonly domainName?: string;
    readonly timeEpoch?: number;
    readonly requestTimeEpoch?: number;
  } | null;
}

/** Milliseconds of a cold start that a request may have behind it: more means that clocks differ. */
const COLD_START_MS_MAX = 15_000;

/** Reads an event. Throws `MisuseError` for one that is no request. */
export function readEvent(event: unknown, nowMs: number): LambdaRequest {
  const { httpMethod, requestContext, headers, multiValueHeaders, body, isBase64Encoded } = (event ?? {}) as LambdaEvent;
  const method = requestContext?.http?.method ?? httpMethod;
  if (typeof method !== "string") throw notARequest(event);
  const values = new Map<string, string>();
  for (const [name, value] of Object.entries(headers ?? {})) if (value !== undefined) values.set(name.toLowerCase(), value);
  for (const [name, all] of Object.entries(multiValueHeaders ?? {})) if (all !== undefined) values.set(name.toLowerCase(), all.join(", "));
  // A load balancer sends either kind of headers, and takes the same kind.
  const many = requestContext?.elb !== undefined && headers === undefined && multiValueHeaders !== undefined;
  return {
    method: method.toUpperCase(),
    header: (name) => values.get(name.toLowerCase()) ?? null,
    body: new Uint8Array(Buffer.from(body ?? "", isBase64Encoded === true ? "base64" : "utf8")),
    gatewayMs: gatewayMs(requestContext, nowMs),
    result: (statusCode, plain, text) => ({
      statusCode,
      ...(many ? { multiValueHeaders: Object.fromEntries(Object.entries(plain).map(([name, value]) => [name, [value]])) } : { headers: plain }),
      body: text,
      isBase64Encoded: false,
    }),
  };
}

function gatewayMs(context: LambdaEvent["requestContext"], nowMs: number): number {
  const { http, elb, domainName, timeEpoch, requestTimeEpoch } = context ?? {};
  // A Function URL waits as long as its function; so does whoever invokes it directly. A load balancer only minds silence.
  const limit = elb !== undefined ? undefined : http === undefined ? API_GATEWAY_REST_MS : domainName === undefined || domainName.includes(".lambda-url.") ? undefined : API_GATEWAY_HTTP_MS;
  if (limit === undefined) return Number.POSITIVE_INFINITY;
  const begun = timeEpoch ?? requestTimeEpoch ?? nowMs;
  return limit - Math.min(Math.max(0, nowMs - begun), COLD_START_MS_MAX);
}

function notARequest(event: unknown): MisuseError {
  const fields = typeof event === "object" && event !== null ? Object.keys(event).slice(0, 10).join(", ") : typeof event;
  return new MisuseError(
    `failed to read the event, which is no HTTP request (it has: ${fields === "" ? "nothing" : fields}). Give the function a Function URL, or put API Gateway or a load balancer before it, ` +
      "and let the Backstitch server call that address; events of other services do not belong here.",
  );
}
