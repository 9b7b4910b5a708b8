/**
 * Requests to the server's links: each bears the invocation's token, and is sent again while only the way there is broken.
 *
 * It knows no bodies. Redirections are not followed: the token is meant for one address.
 */
import { TRY_AGAIN_MS } from "../wire/limits.js";

/** What the server said. */
export interface Said {
  readonly status: number;
  readonly text: string;
}

/** One request, as a host sends it. */
export interface Exchange {
  readonly url: string;
  readonly method: "GET" | "POST";
  readonly headers: Record<string, string>;
  readonly body?: string;
  readonly signal: AbortSignal;
}

/** How a host sends a request. Rejects if there was no whole response; follows no redirections. */
export type Transport = (exchange: Exchange) => Promise<Said>;

/** Whose links they are: the invocation's token, and how its host sends. */
export interface Caller {
  readonly token: string;
  readonly transport: Transport;
}

/** A request to a link. */
export interface LinkRequest {
  readonly url: string;
  /** Posted as JSON; without one the request is a GET. */
  readonly body?: string;
  /** For how many milliseconds it is tried, the server's own waiting included. */
  readonly forMs: number;
  /** Ends it: nobody waits for the reply any more. */
  readonly signal?: AbortSignal | undefined;
}

/** Nothing could be heard of the server in the time that was given. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
}

/** Busy, starting, stopping, or something in between that cannot reach it. */
const passing = (status: number): boolean => status === 429 || status >= 500;

/** The transport of hosts that speak web standards. */
export async function byFetch({ url, ...init }: Exchange): Promise<Said> {
  const response = await fetch(url, { ...init, redirect: "manual" });
  return { status: response.status, text: await response.text() };
}

/** Sends a request until the server says something that will not pass. Throws `Unreachable`. */
export async function ask(caller: Caller, request: LinkRequest): Promise<Said> {
  const until = Date.now() + request.forMs;
  let pause: number = TRY_AGAIN_MS.first;
  for (;;) {
    const said = await once(caller, request, until - Date.now());
    if (said instanceof Object && !passing(said.status)) return said;
    if (request.signal?.aborted || Date.now() + pause >= until) {
      throw new Unreachable(`${request.url} could not be reached within ${request.forMs} ms: ${said instanceof Object ? `status ${said.status}` : said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 2, TRY_AGAIN_MS.most);
  }
}

/** One try: what the server said, or why it could not be heard. */
async function once({ token, transport }: Caller, { url, body, signal }: LinkRequest, ms: number): Promise<Said | string> {
  const stop = new AbortController();
  const end = (): void => stop.abort();
  const timer = setTimeout(end, ms);
  signal?.addEventListener("abort", end, { once: true });
  if (signal?.aborted) end();
  const headers = { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { "content-type": "application/json" }) };
  try {
    return await transport({ url, method: body === undefined ? "GET" : "POST", headers, signal: stop.signal, ...(body === undefined ? {} : { body }) });
  } catch (error) {
    const { cause, message } = error as Error;
    return cause instanceof Error ? `${message}: ${cause.message}` : message;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", end);
  }
}
