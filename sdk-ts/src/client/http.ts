/**
 * The client's way to the server: JSON over HTTP, retried where that is safe, with errors that say what to do.
 */
import type { StreamSource } from "./stream.js";

/** The server refused a request, or could not be reached. */
export class ClientError extends Error {
  override readonly name = "ClientError";

  constructor(
    message: string,
    /** The HTTP status, or 0 if the server was not reached. */
    readonly status: number,
    /** The problem details that the server sent, if any. */
    readonly problem?: unknown,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** How often a request is sent in all. */
const ATTEMPTS = 4;
/** The first pause between two, in milliseconds; it doubles. */
const PAUSE_MS = 200;
/** The longest of these pauses, in milliseconds. */
const PAUSE_MS_MAX = 1_000;
/** The longest pause that a server may ask for, in milliseconds. */
const RETRY_AFTER_MS_MAX = 10_000;
/** Characters of an unexpected body that are shown. */
const EXCERPT_CHARS = 300;

/** A request of the client. All of them may be repeated: they read, or carry an id that dedupes. */
export interface ClientRequest {
  method: "GET" | "POST" | "PUT" | "DELETE";
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  /** For how long a server that is away is tried again, in milliseconds, where that is longer than a request's usual attempts. */
  outageMs?: number;
  /** Whether it carries nothing that dedupes it: then it is sent once. */
  once?: boolean;
}

/** What the server answered. */
export interface ClientResponse {
  status: number;
  body: any;
}

/** Sends requests to one server. */
export class Http {
  constructor(
    readonly url: string,
    readonly headers: Record<string, string>,
    readonly fetch: typeof globalThis.fetch,
  ) {}

  /** A stream at this server. */
  source(path: string): StreamSource {
    return { url: `${this.url}${path}`, headers: () => this.headers, fetch: this.fetch };
  }

  /** Resolves for 2xx. Throws `ClientError` otherwise. */
  async send(request: ClientRequest): Promise<ClientResponse> {
    const begun = Date.now();
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#once(request);
      if (!(outcome instanceof ClientError)) return outcome;
      const again = (outcome.status === 0 && request.once !== true) || outcome.status === 429 || outcome.status === 503;
      const patience = attempt < ATTEMPTS || Date.now() - begun < (request.outageMs ?? 0);
      if (!again || !patience || request.signal?.aborted) throw outcome;
      const asked = (outcome as { retryAfterMs?: number }).retryAfterMs;
      await pause(Math.min(asked ?? Math.min(PAUSE_MS * 2 ** (attempt - 1), PAUSE_MS_MAX) * (0.8 + Math.random() * 0.4), RETRY_AFTER_MS_MAX));
    }
  }

  async #once({ method, path, body, headers, signal }: ClientRequest): Promise<ClientResponse | ClientError> {
    const what = `${method} ${path}`;
    let response: Response;
    let text: string;
    try {
      response = await this.fetch(`${this.url}${path}`, {
        method,
        headers: { accept: "application/json", ...(body === undefined ? {} : { "content-type": "application/json" }), ...this.headers, ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      });
      text = await response.text();
    } catch (cause) {
      if (signal?.aborted) throw cause;
      const reason = cause instanceof Error ? ((cause.cause as Error | undefined)?.message ?? cause.message) : String(cause);
      return new ClientError(`failed to reach the Backstitch server at ${this.url} (${what}): ${reason}. Is it running, and is BACKSTITCH_URL right?`, 0, undefined, { cause });
    }
    const parsed = parse(text);
    if (response.ok && parsed !== undefined) return { status: response.status, body: parsed };
    const error = refused(what, response, parsed, text, this.url);
    const retryAfter = Number(response.headers.get("retry-after") ?? Number.NaN);
    return Number.isFinite(retryAfter) ? Object.assign(error, { retryAfterMs: retryAfter * 1000 }) : error;
  }
}

function refused(what: string, response: Response, parsed: any, text: string, url: string): ClientError {
  if (response.ok) return new ClientError(`failed to read the answer to ${what}: it is not JSON. Is ${url} a Backstitch server? It sent: ${text.slice(0, EXCERPT_CHARS)}`, response.status);
  const detail = typeof parsed?.detail === "string" ? parsed.detail : (parsed?.title ?? text.slice(0, EXCERPT_CHARS));
  return new ClientError(`failed to ${what}: ${response.status} ${detail}`, response.status, parsed);
}

function parse(text: string): any {
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
