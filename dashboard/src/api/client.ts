/**
 * The one door to the server: requests with the key of this session, answers as JSON or as a [`Refusal`] that says what was wrong, and
 * server-sent events over fetch, because EventSource cannot send a key. It knows no pages and no React.
 */
import { parse } from "../lib/digits.ts";
import type { Problem } from "./types.ts";

const KEY = "backstitch.key";

/** The API key of this browser tab, if somebody signed in. It is forgotten with the tab. */
export const key = {
  read: (): string | null => sessionStorage.getItem(KEY),
  write: (value: string): void => sessionStorage.setItem(KEY, value),
  forget: (): void => sessionStorage.removeItem(KEY),
};

/** The server said no, or said nothing. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly fields: NonNullable<Problem["errors"]>;
  constructor(status: number, code: string, detail: string, fields: NonNullable<Problem["errors"]> = []) {
    super(detail);
    this.name = "Refusal";
    this.status = status;
    this.code = code;
    this.fields = fields;
  }
}

/** Who wants to know that a key is needed. */
const unauthorized = new Set<() => void>();
export function onUnauthorized(listener: () => void): () => void {
  unauthorized.add(listener);
  return () => void unauthorized.delete(listener);
}

export type Query = Record<string, string | number | boolean | null | undefined>;

/** A path with a query; empty values are left out. */
export function address(path: string, query: Query = {}): string {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString();
  return text === "" ? path : `${path}?${text}`;
}

/** A path from parts, each percent-encoded. */
export const path = (...parts: string[]): string => `/${parts.map(encodeURIComponent).join("/")}`;

async function send(method: string, url: string, body: BodyInit | undefined, headers: Record<string, string>, signal?: AbortSignal): Promise<Response> {
  const bearer = key.read();
  let response: Response;
  try {
    response = await fetch(url, { method, body, signal, headers: { ...headers, ...(bearer ? { authorization: `Bearer ${bearer}` } : {}) }, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal(0, "unreachable", "The server does not answer. Is it running?");
  }
  if (response.ok) return response;
  if (response.status === 401) for (const listener of unauthorized) listener();
  const text = await response.text();
  let problem: Partial<Problem> = {};
  try {
    problem = JSON.parse(text) as Partial<Problem>;
  } catch {
    // Something between us and the server answered.
  }
  throw new Refusal(response.status, problem.code ?? `http_${response.status}`, problem.detail ?? `The server answered ${response.status}.`, problem.errors ?? []);
}

/** Reads JSON. */
export async function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  const response = await send("GET", address(path, query), undefined, { accept: "application/json" }, signal);
  return parse(await response.text()) as T;
}

/** Reads text, for what is no JSON. */
export async function getText(path: string, signal?: AbortSignal): Promise<string> {
  return (await send("GET", path, undefined, {}, signal)).text();
}

/** Writes, and reads the answer. A body that is a text is sent as it is: the payload in it keeps its bytes. */
export async function write<T>(method: "POST" | "PUT" | "DELETE", path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const text = body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body);
  const response = await send(method, path, text, text === undefined ? headers : { "content-type": "application/json", ...headers });
  const answer = await response.text();
  return (answer === "" ? null : parse(answer)) as T;
}

/** One message of server-sent events. */
export interface Message {
  event: string;
  /** The id that was named last; empty if none was. */
  id: string;
  data: string;
}

/**
 * Follows a stream until it ends or `signal` aborts. Returns when it has ended, and whether the server has said that nothing more will ever
 * come; throws a [`Refusal`] when it cannot be opened.
 */
export async function stream(url: string, onMessage: (message: Message) => void, signal: AbortSignal, onOpen?: () => void): Promise<boolean> {
  const response = await send("GET", url, undefined, { accept: "text/event-stream" }, signal);
  if (response.status === 204 || !response.body) return true;
  onOpen?.();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const feed = messages(onMessage);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return false;
    feed(value);
  }
}

/** Takes pieces of a stream of server-sent events, and calls back with every whole message. */
export function messages(onMessage: (message: Message) => void): (piece: string) => void {
  let rest = "";
  let event = "message";
  let id = "";
  let data: string[] = [];
  return (piece) => {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() ?? "";
    for (const raw of lines) {
      const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
      if (line === "") {
        if (data.length > 0) onMessage({ event, id, data: data.join("\n") });
        event = "message";
        data = [];
      } else if (line.startsWith("event:")) event = line.slice(6).trim();
      else if (line.startsWith("id:")) id = line.slice(3).trim();
      else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
    }
  };
}
