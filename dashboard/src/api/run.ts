/**
 * One run, live: its journal is read once and then follows the run's stream. The stream says of every thing the whole of it, so that a lost
 * connection costs nothing but a new full picture. What the stream does not tell (failed invocations, signals, the reason why it waits) is read
 * again when something has changed.
 */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { parse } from "../lib/digits.ts";
import { get, path, Refusal, stream } from "./client.ts";
import { ENDED, type Entry, type Explanation, type Journal, type Run } from "./types.ts";

/** Milliseconds until a stream that broke is opened again. */
const AGAIN_MS = 1_500;
/** Milliseconds in which changes are gathered before what the stream does not tell is read. */
const GATHER_MS = 250;

export interface RunPicture {
  journal: Journal | undefined;
  explanation: Explanation | undefined;
  error: unknown;
  live: boolean;
  refresh: () => void;
}

/** Follows a run for as long as the page shows it. */
export function useRun(id: string): RunPicture {
  const client = useQueryClient();
  const journalKey = ["run", id, "journal"];
  const explainKey = ["run", id, "explain"];
  const journal = useQuery({ queryKey: journalKey, queryFn: ({ signal }) => read(id, signal), staleTime: Infinity, retry: patient });
  const ended = journal.data !== undefined && ENDED.includes(journal.data.run.status);
  const explanation = useQuery({ queryKey: explainKey, queryFn: ({ signal }) => get<Explanation>(`/v1${path("runs", id, "explain")}`, {}, signal), refetchInterval: ended ? false : 5_000, retry: patient });
  const [live, setLive] = useState(false);
  const gathered = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const known = journal.data !== undefined;

  useEffect(() => {
    if (!known) return;
    const stop = new AbortController();
    const again = (): void => {
      gathered.current ??= setTimeout(() => {
        gathered.current = undefined;
        void client.invalidateQueries({ queryKey: explainKey });
        void read(id, stop.signal).then((fresh) => client.setQueryData(journalKey, fresh), () => undefined);
      }, GATHER_MS);
    };
    void follow(`/v1${path("runs", id, "watch")}`, stop.signal, setLive, (event, data) => {
      if (event === "run") client.setQueryData<Journal>(journalKey, (old) => old && { ...old, run: { ...old.run, ...(data as Run) } });
      if (event === "entry") client.setQueryData<Journal>(journalKey, (old) => old && { ...old, entries: put(old.entries, data as Entry) });
      if (event === "run" || event === "entry") again();
    });
    return () => {
      stop.abort();
      clearTimeout(gathered.current);
      gathered.current = undefined;
    };
    // The stream follows the id alone.
  }, [id, known]);

  return {
    journal: journal.data,
    explanation: explanation.data,
    error: journal.error,
    live,
    refresh: () => {
      void client.invalidateQueries({ queryKey: explainKey });
      void read(id).then((fresh) => client.setQueryData(journalKey, fresh));
    },
  };
}

/** The journal, with the run's input and outcome, which only the run itself has. */
async function read(id: string, signal?: AbortSignal): Promise<Journal> {
  const [journal, run] = await Promise.all([get<Journal>(`/v1${path("runs", id, "journal")}`, {}, signal), get<Run>(`/v1${path("runs", id)}`, {}, signal)]);
  return { ...journal, run };
}

/** An entry in its place. */
export function put(entries: readonly Entry[], entry: Entry): Entry[] {
  const next = entries.filter((one) => one.idx !== entry.idx);
  next.push(entry);
  return next.sort((a, b) => a.idx - b.idx);
}

/** Opens a stream, and opens it again when it breaks, until `signal` aborts or the stream says `end`. The address may depend on what came. */
export async function follow(url: string | (() => string), signal: AbortSignal, onLive: (live: boolean) => void, onMessage: (event: string, data: unknown, id: string) => void): Promise<void> {
  let ended = false;
  while (!signal.aborted && !ended) {
    try {
      const over = await stream(typeof url === "string" ? url : url(), (message) => {
        if (message.event === "end") ended = true;
        else onMessage(message.event, parse(message.data), message.id);
      }, signal, () => onLive(true));
      ended ||= over;
    } catch (error) {
      if (error instanceof Refusal && error.status >= 400 && error.status < 500 && error.status !== 429) ended = true;
    }
    if (!signal.aborted) onLive(false);
    if (!ended && !signal.aborted) await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

/** Asks again when the server was not there, and not when it said no. */
export const patient = (count: number, error: unknown): boolean => count < 3 && !(error instanceof Refusal && error.status >= 400 && error.status < 500);
