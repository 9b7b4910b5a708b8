/**
 * Calls that the server makes: what is asked for, put into the protocol's form, and what came of it, as a handler reads it.
 */
import { durationMs } from "./duration.js";
import { MisuseError, NonRetriableError } from "./errors.js";
import type { RetryOptions } from "./function.js";
import type { Duration, Json } from "./types.js";

/** The methods that can be asked for. */
export type FetchMethod = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS";

/** A call that the server is to make. */
export interface FetchOptions {
  /** Where to: `http` or `https`. */
  url: string | URL;
  /** `POST` where there is a body, else `GET`, if left out. */
  method?: FetchMethod;
  /** Headers by name. They are kept with the run, as the rest of the request is; people are shown no credentials. */
  headers?: Readonly<Record<string, string>>;
  /** Text, bytes, or a value that goes out as JSON. */
  body?: string | Uint8Array | Json | object;
  /** How long one attempt may take; 5 minutes if left out, at most an hour. */
  timeout?: Duration;
  /** How long all attempts and the pauses between them may take together. */
  scheduleToClose?: Duration;
  /** When it is made again after no answer, or one that is none; that of the function if left out. */
  retry?: RetryOptions;
  /** Statuses that are no answer yet; 408, 429, 500, 502, 503 and 504 if left out. What comes last is the answer, whatever it is. */
  retryOn?: readonly number[];
}

/** An answer as it stands in the journal. */
export interface FetchValue {
  status: number;
  headers: Record<string, string>;
  body: string;
  encoding: "utf8" | "base64";
}

/** What was answered, whatever its status. */
export class FetchResponse {
  /** The status: any, also one that says that something went wrong. */
  readonly status: number;
  /** Headers by their names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The body as it stands in the journal: text, or base64 where it is none. */
  readonly body: string;
  /** How the body is written down. */
  readonly encoding: "utf8" | "base64";
  readonly #id: string;

  /** What an entry settled with. */
  constructor(id: string, value: FetchValue) {
    this.#id = id;
    this.status = value.status;
    this.headers = value.headers;
    this.body = value.body;
    this.encoding = value.encoding;
  }

  /** Whether the status is 200 to 299. */
  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  /** The body as text. */
  text(): string {
    return this.encoding === "utf8" ? this.body : new TextDecoder().decode(this.bytes());
  }

  /** The body as bytes. */
  bytes(): Uint8Array {
    if (this.encoding === "utf8") return new TextEncoder().encode(this.body);
    return Uint8Array.from(atob(this.body), (character) => character.charCodeAt(0));
  }

  /** The body as JSON. Throws an error that no retry helps if it is none: the answer stays as it is. */
  json<T = Json>(): T {
    try {
      return JSON.parse(this.text()) as T;
    } catch (error) {
      const message = `the answer to \`${this.#id}\` (status ${this.status}) is no JSON: ${(error as Error).message}`;
      throw new NonRetriableError(message, { name: "NotJsonError", data: { status: this.status } });
    }
  }
}

/** The request in the protocol's form. Throws `MisuseError`. */
export function fetchRequest(id: string, options: FetchOptions): Record<string, unknown> {
  const { url, method, body } = options;
  const refuse = (what: string): MisuseError => new MisuseError(`failed to create the call \`${id}\`: ${what}.`);
  const address = typeof url === "string" ? url : String(url);
  if (!URL.canParse(address) || !/^https?:$/.test(new URL(address).protocol)) throw refuse(`its \`url\` is ${JSON.stringify(address)}, not an http or https URL in full`);
  const headers: Record<string, string> = { ...options.headers };
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== "string") throw refuse(`the header \`${name}\` is ${typeof value}, not a text`);
  }
  const text = bodyText(body);
  if (text?.json === true && !Object.keys(headers).some((name) => name.toLowerCase() === "content-type")) headers["content-type"] = "application/json";
  return {
    url: address,
    method: method ?? (text === undefined ? "GET" : "POST"),
    headers: Object.keys(headers).length === 0 ? undefined : headers,
    body: text?.body,
    encoding: text?.encoding,
  };
}

/** Checks what else a call says. Throws `MisuseError`. */
export function checkFetch(id: string, { timeout, scheduleToClose, retryOn }: FetchOptions): void {
  if (timeout !== undefined) durationMs(timeout, `the time-out of \`${id}\``);
  if (scheduleToClose !== undefined) durationMs(scheduleToClose, `\`scheduleToClose\` of \`${id}\``);
  if (retryOn?.some((status) => !(Number.isInteger(status) && status >= 100 && status <= 599))) {
    throw new MisuseError(`failed to create the call \`${id}\`: \`retryOn\` is ${JSON.stringify(retryOn)}, not a list of statuses.`);
  }
}

function bodyText(body: FetchOptions["body"]): { body: string; encoding?: "base64"; json?: true } | undefined {
  if (body === undefined) return undefined;
  if (typeof body === "string") return { body };
  if (body instanceof Uint8Array) return { body: base64(body), encoding: "base64" };
  return { body: JSON.stringify(body), json: true };
}

/** Base64 with padding. */
export function base64(bytes: Uint8Array): string {
  let binary = "";
  // In pieces: a call takes only so many arguments.
  for (let at = 0; at < bytes.length; at += 8_192) binary += String.fromCharCode(...bytes.subarray(at, at + 8_192));
  return btoa(binary);
}
