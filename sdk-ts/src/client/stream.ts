/**
 * Streams: what runs publish, as server-sent events over `fetch`, gone on with where they broke off.
 */
import { ClientError } from "./http.js";
import type { Json } from "../types.js";

/** A message of a run. */
export interface StreamMessage<T = Json> {
  readonly kind: "message";
  /** Grows from message to message. */
  readonly id: number;
  readonly topic: string;
  readonly data: T;
  /** The run that published it. */
  readonly run: string;
  /** The step whose body published it, and in which attempt; not there if the handler did outside of steps. */
  readonly step?: string;
  readonly attempt?: number;
  /** When the server took it: RFC 3339. */
  readonly at: string;
}

/** What an attempt of a step has published came to nothing: forget what it said, from the id `from` on. */
export interface StreamCut {
  readonly kind: "cut";
  readonly id: number;
  readonly run: string;
  readonly step: string;
  readonly attempt: number;
  readonly from: number;
}

/** Messages with ids behind `after` and up to `until` were forgotten by the server before they could be read. */
export interface StreamGap {
  readonly kind: "gap";
  readonly id: number;
  readonly after: number;
  readonly until: number;
}

/** The run has ended: nothing follows. */
export interface StreamEnd {
  readonly kind: "end";
  /** `completed`, `failed` or `cancelled`. */
  readonly status?: string;
  /** The run; of one that went on in new ones the last. */
  readonly run?: string;
}

/** What comes of a stream. */
export type StreamEvent<T = Json> = StreamMessage<T> | StreamCut | StreamGap | StreamEnd;

/** What of a stream is read. */
export interface StreamOptions {
  /** Of these topics only. */
  topics?: readonly string[];
  /** Only what follows this id. */
  after?: number;
  /** Stops reading. */
  signal?: AbortSignal | undefined;
}

/** Where a stream is, and how to get there. */
export interface StreamSource {
  /** Its address, without a query. */
  readonly url: string;
  /** The headers of each request. `renew` is true if the ones before were refused. */
  readonly headers: (renew: boolean) => Record<string, string> | Promise<Record<string, string>>;
  readonly fetch: typeof globalThis.fetch;
  /** Told when a connection stands. */
  readonly connected?: () => void;
}

/** Milliseconds of silence after which a connection is given up: three times the pause between two signs of life of the server. */
const SILENCE_MS = 45_000;
/** Milliseconds before a broken stream is read on, at first and at most. */
const PAUSE_MS = { first: 100, most: 5_000 } as const;
/** Characters of one event: more than the largest that a server sends. */
const EVENT_CHARS_MAX = 1024 * 1024;

/**
 * Reads a stream to its end. A connection that breaks is made again, and what follows is read; also while the server is away. Throws
 * `ClientError` if the server refuses: the run is not there, the token is for another one.
 */
export async function* readStream<T = Json>(source: StreamSource, options: StreamOptions = {}): AsyncGenerator<StreamEvent<T>, void, undefined> {
  const { signal } = options;
  let after = options.after;
  let failures = 0;
  let refused = false;
  while (!signal?.aborted) {
    try {
      for await (const event of connection<T>(source, { ...options, ...(after === undefined ? {} : { after }) }, refused)) {
        [failures, refused] = [0, false];
        if ("id" in event) after = event.id;
        yield event;
        if (event.kind === "end") return;
      }
    } catch (error) {
      if (signal?.aborted) return;
      if (error instanceof ClientError && error.status !== 0 && error.status !== 429 && error.status < 500) {
        // A token that has expired can be another one the next time, once.
        if (error.status !== 401 || refused) throw error;
        refused = true;
        continue;
      }
    }
    await pause(Math.min(PAUSE_MS.first * 2 ** failures++, PAUSE_MS.most) * (0.75 + Math.random() / 2), signal);
  }
}

async function* connection<T>(source: StreamSource, { topics, after, signal }: StreamOptions, renew: boolean): AsyncGenerator<StreamEvent<T>, void, undefined> {
  const query = new URLSearchParams();
  if (topics !== undefined && topics.length > 0) query.set("topics", topics.join(","));
  const url = query.size === 0 ? source.url : `${source.url}?${query}`;
  const stop = new AbortController();
  const abort = (): void => stop.abort(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  let silence: ReturnType<typeof setTimeout> | undefined;
  const alive = (): void => {
    clearTimeout(silence);
    silence = setTimeout(() => stop.abort(new Error("the server was silent for too long")), SILENCE_MS);
  };
  try {
    alive();
    const resume = after === undefined ? {} : { "last-event-id": String(after) };
    const headers = { accept: "text/event-stream", ...(await source.headers(renew)), ...resume };
    const response = await source.fetch(url, { headers, signal: stop.signal });
    if (response.status === 204) return yield { kind: "end" };
    if (!response.ok) throw await problem(url, response);
    source.connected?.();
    const body = response.body;
    if (body === null) throw new ClientError(`failed to read ${url}: the answer has no body`, 0);
    yield* events<T>(body, alive);
  } finally {
    clearTimeout(silence);
    signal?.removeEventListener("abort", abort);
    stop.abort();
  }
}

async function problem(url: string, response: Response): Promise<ClientError> {
  const text = await response.text();
  let body: any;
  try {
    body = JSON.parse(text);
  } catch {
    // Something in between has answered; its text is shown.
  }
  return new ClientError(`failed to read ${url}: ${response.status} ${body?.detail ?? text.slice(0, 300)}`, response.status, body);
}

async function* events<T>(body: ReadableStream<Uint8Array>, alive: () => void): AsyncGenerator<StreamEvent<T>, void, undefined> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let [kind, id, data] = ["", "", ""];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      rest += decoder.decode(value, { stream: true });
      const lines = rest.split("\n");
      rest = lines.pop() as string;
      if (rest.length + data.length > EVENT_CHARS_MAX) throw new Error("an event is too long; is this a Backstitch server?");
      for (const raw of lines) {
        const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
        if (line === "") {
          const event = data === "" ? undefined : eventOf<T>(kind, id, data);
          [kind, data] = ["", ""];
          if (event !== undefined) yield event;
          continue;
        }
        const colon = line.indexOf(":");
        const field = colon < 0 ? line : line.slice(0, colon);
        const text = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
        if (field === "event") kind = text;
        else if (field === "id") id = text;
        else if (field === "data") data = data === "" ? text : `${data}\n${text}`;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** An event; nothing for kinds that this version does not know. */
function eventOf<T>(kind: string, id: string, data: string): StreamEvent<T> | undefined {
  const body = JSON.parse(data);
  if (kind === "" || kind === "message") return { kind: "message", id: Number(id), ...body };
  if (kind === "cut" || kind === "gap") return { kind, id: Number(id), ...body };
  return kind === "end" ? { kind, ...body } : undefined;
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    }
    signal?.addEventListener("abort", done, { once: true });
  });
}

/**
 * What a stream has come to by now: its messages, without those that were cut.
 *
 * ```ts
 * const transcript = new Transcript<string>();
 * for await (const event of client.stream<string>(run)) {
 *   transcript.take(event);
 *   render(transcript.text("tokens"));
 * }
 * ```
 */
export class Transcript<T = Json> {
  #messages: StreamMessage<T>[] = [];
  #end: StreamEnd | undefined;

  /** The messages that count, in order. */
  get messages(): readonly StreamMessage<T>[] {
    return this.#messages;
  }

  /** How the run ended, if it has. */
  get end(): StreamEnd | undefined {
    return this.#end;
  }

  /** Takes an event. */
  take(event: StreamEvent<T>): void {
    if (event.kind === "message") this.#messages.push(event);
    else if (event.kind === "cut") this.#messages = this.#messages.filter(({ id, run, step }) => !(id >= event.from && id <= event.id && run === event.run && step === event.step));
    else if (event.kind === "end") this.#end = event;
  }

  /** The data of all messages on a topic, of all if none is named, put together as text. */
  text(topic?: string): string {
    return this.#messages.filter((message) => topic === undefined || message.topic === topic).map(({ data }) => (typeof data === "string" ? data : JSON.stringify(data))).join("");
  }
}
