/**
 * Streams in React: what a run publishes, as state of a component. React is the app's own; the package does not bring it.
 *
 * ```tsx
 * const { text, status } = useStream<string>({ url: "https://backstitch.example.com", run, token, topics: ["tokens"] });
 * return <p aria-busy={status === "streaming"}>{text}</p>;
 * ```
 */
import { useEffect, useRef, useState } from "react";
import { readStream, type StreamMessage, Transcript } from "../client/stream.js";
import type { Json } from "../types.js";

export type { StreamMessage } from "../client/stream.js";

/** Which stream is read, and how. */
export interface UseStreamOptions {
  /** The address of the server, or of whatever passes its streams on. */
  url: string;
  /** The run whose messages are read. */
  run?: string | undefined;
  /** The channel whose messages are read, if it has a name. */
  channel?: string | undefined;
  /** A subscription token, or what asks the app's backend for one: it is asked again when the token has expired. */
  token?: string | (() => string | Promise<string>) | undefined;
  /** Of these topics only. */
  topics?: readonly string[] | undefined;
  /** False as long as nothing is to be read. */
  enabled?: boolean | undefined;
  /** Sends the requests; the platform's own if left out. */
  fetch?: typeof globalThis.fetch | undefined;
}

/** Where a stream stands. */
export type StreamStatus = "idle" | "connecting" | "streaming" | "ended" | "failed";

/** A stream by now. */
export interface UseStreamResult<T> {
  /** The messages that count, in order: what an attempt said that came to nothing is gone. */
  readonly messages: readonly StreamMessage<T>[];
  /** Their data put together as text: the answer of a model so far. */
  readonly text: string;
  readonly status: StreamStatus;
  /** How the run ended, once it has: `completed`, `failed` or `cancelled`. */
  readonly outcome: string | undefined;
  /** Why nothing can be read. */
  readonly error: Error | undefined;
}

const NOTHING: UseStreamResult<never> = { messages: [], text: "", status: "idle", outcome: undefined, error: undefined };

/** Reads a stream while the component is there. Another run, channel or set of topics begins anew. */
export function useStream<T = Json>(options: UseStreamOptions): UseStreamResult<T> {
  const { url, run, channel, topics, enabled = true } = options;
  const [state, setState] = useState<UseStreamResult<T>>(NOTHING);
  // A token that is made anew at each rendering, and a list of the same topics, must not begin the stream anew.
  const latest = useRef(options);
  latest.current = options;
  const wanted = topics?.join(",");
  const path = run === undefined ? (channel === undefined ? undefined : `/v1/channels/${encodeURIComponent(channel)}/stream`) : `/v1/runs/${encodeURIComponent(run)}/stream`;
  useEffect(() => {
    if (!enabled || path === undefined) return setState(NOTHING);
    const stop = new AbortController();
    const transcript = new Transcript<T>();
    setState({ ...NOTHING, status: "connecting" });
    let scheduled = false;
    const show = (more: Partial<UseStreamResult<T>>): void => {
      if (!stop.signal.aborted) setState((before) => ({ ...before, messages: [...transcript.messages], text: transcript.text(), ...more }));
    };
    // Many words make one picture.
    const soon = (): void => {
      if (scheduled) return;
      scheduled = true;
      setTimeout(() => {
        scheduled = false;
        show({});
      }, 16);
    };
    const headers = async (): Promise<Record<string, string>> => {
      const { token } = latest.current;
      const value = typeof token === "function" ? await token() : token;
      return value === undefined ? {} : { authorization: `Bearer ${value}` };
    };
    const source = {
      url: `${url.replace(/\/+$/, "")}${path}`,
      headers,
      fetch: ((...args) => (latest.current.fetch ?? globalThis.fetch)(...args)) as typeof globalThis.fetch,
      connected: () => show({ status: "streaming" }),
    };
    const read = async (): Promise<void> => {
      for await (const event of readStream<T>(source, { signal: stop.signal, ...(wanted === undefined ? {} : { topics: wanted.split(",") }) })) {
        transcript.take(event);
        if (event.kind !== "end") soon();
      }
      show({ status: "ended", outcome: transcript.end?.status });
    };
    read().catch((error: unknown) => show({ status: "failed", error: error instanceof Error ? error : new Error(String(error)) }));
    return () => stop.abort();
  }, [url, path, wanted, enabled]);
  return state;
}
