/**
 * A list of runs that may be very long: pages are appended as somebody scrolls, and what changes is patched in place, so that 100,000 rows
 * stay one array that nobody copies for a heartbeat. New ones are put into their places while the reader is at the top; else they are counted, and wait
 * until somebody asks for them: a list must not move under a finger.
 */
import { useCallback, useEffect, useMemo, useSyncExternalStore } from "react";
import { address, get, type Query, Refusal } from "./client.ts";
import { follow, patient } from "./run.ts";
import type { Page, Run } from "./types.ts";

/** As many as the server hands out at once. */
const PAGE = 200;
/**
 * Pages without a match that are read one after the other before somebody is asked. The server looks at 50,000 runs for one where it has no
 * index, so this is half a million.
 */
const BARREN_MAX = 10;
/** Milliseconds in which reasons to look at the newest page are gathered. */
const GATHER_MS = 400;
/** Milliseconds between two looks at the newest page where the server has no stream of all runs. */
const POLL_MS = 3_000;

/** What the page shows of the list. Replaced as a whole by every change. */
export interface RunsPicture {
  rows: readonly Run[];
  /** New runs that are not among the rows yet. */
  unseen: number;
  loading: boolean;
  complete: boolean;
  /** It has looked at many runs, none of which matched, and waits until somebody wants it to look on. */
  barren: boolean;
  error: unknown;
  live: boolean;
}

const EMPTY: RunsPicture = { rows: [], unseen: 0, loading: true, complete: false, barren: false, error: null, live: false };

/** One list for one filter. */
export class RunsList {
  #picture = EMPTY;
  #rows: Run[] = [];
  #at = new Map<string, number>();
  #pending: Run[] = [];
  #next: string | null = null;
  #listeners = new Set<() => void>();
  #stop = new AbortController();
  #atTop = true;
  /** More came than the newest page has: what lies between it and the rows is not known. */
  #gap = false;
  /** How often it has begun anew: a page that was asked for before belongs to another list. */
  #era = 0;
  #soon: ReturnType<typeof setTimeout> | undefined;
  readonly #query: Query;

  constructor(query: Query) {
    this.#query = query;
  }

  read = (): RunsPicture => this.#picture;
  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  /** Reads the first page and follows the changes. */
  start(): void {
    void this.#load();
    void this.#watch();
  }

  stop(): void {
    this.#stop.abort();
    clearTimeout(this.#soon);
  }

  /** Reads the page after the last one, once at a time. */
  more = (): void => {
    if (!this.#picture.loading && !this.#picture.complete) void this.#load();
  };

  again = (): void => {
    this.#rows = [];
    this.#at.clear();
    this.#pending = [];
    this.#next = null;
    this.#gap = false;
    this.#era += 1;
    this.#show({ ...EMPTY, live: this.#picture.live });
    void this.#load();
  };

  /** Says whether the reader sees the top, where new runs may appear. */
  top = (atTop: boolean): void => {
    this.#atTop = atTop;
    if (atTop) this.reveal();
  };

  /** Puts the runs that waited into their places, which most often is the top. */
  reveal = (): void => {
    if (this.#gap) return this.again();
    if (this.#pending.length === 0) return;
    this.#rows = merge(this.#pending, this.#rows);
    this.#pending = [];
    this.#index();
    this.#show({});
  };

  async #load(): Promise<void> {
    this.#show({ loading: true, barren: false, error: null });
    const had = this.#rows.length;
    const era = this.#era;
    try {
      // A page may be empty and not the last one: then the search has come so far, and goes on.
      for (let pages = 1; ; pages++) {
        const page = await get<Page<Run>>("/v1/runs", { ...this.#query, limit: PAGE, cursor: this.#next }, this.#stop.signal);
        if (era !== this.#era) return;
        for (const run of page.items) {
          if (this.#at.has(run.id)) continue;
          this.#at.set(run.id, this.#rows.length);
          this.#rows.push(run);
        }
        this.#next = page.next;
        const barren = page.next !== null && this.#rows.length === had;
        if (barren && pages < BARREN_MAX) continue;
        this.#show({ loading: false, complete: page.next === null, barren });
        return;
      }
    } catch (error) {
      if (!this.#stop.signal.aborted && era === this.#era) this.#show({ loading: false, error });
    }
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stop;
    const { app, function: id } = this.#query;
    const onLive = (live: boolean): void => {
      this.#show({ live });
      // The stream has no picture to begin with: what happened before it was open is asked for.
      if (live) this.#pollSoon();
    };
    await follow(address("/v1/watch", { app, function: id }), signal, onLive, (event, data) => {
      if (event === "runs") this.#take((data as { items: Run[] }).items, false);
      if (event === "missed") this.#pollSoon();
    });
    // A server without a stream of all runs is asked for its newest ones.
    while (!signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      if (!signal.aborted && document.visibilityState === "visible") await this.#poll();
    }
  }

  /** Looks at the newest page a moment later, once for all who ask meanwhile. */
  #pollSoon(): void {
    if (this.#soon !== undefined || this.#stop.signal.aborted) return;
    this.#soon = setTimeout(() => {
      this.#soon = undefined;
      void this.#poll();
    }, GATHER_MS);
  }

  async #poll(): Promise<void> {
    // What the server refused once it refuses again.
    if (this.#picture.error instanceof Refusal && !patient(0, this.#picture.error)) return;
    try {
      const page = await get<Page<Run>>("/v1/runs", { ...this.#query, limit: PAGE }, this.#stop.signal);
      this.#gap ||= page.next !== null && this.#rows.length > 0 && !page.items.some((run) => this.#at.has(run.id));
      if (this.#gap && this.#atTop) this.#begin(page);
      else this.#take(page.items, true);
    } catch {
      // The next look tells.
    }
  }

  /** Begins anew with a first page that is here already, so that there is no hole between what is new and what was there. */
  #begin(page: Page<Run>): void {
    this.#rows = [...page.items];
    this.#pending = [];
    this.#next = page.next;
    this.#gap = false;
    this.#era += 1;
    this.#index();
    this.#show({ loading: false, complete: page.next === null, barren: false, error: null });
  }

  /** Runs as they are now, new ones among them. Of those that come from the stream nobody knows yet whether they match. */
  #take(items: readonly Run[], matching: boolean): void {
    let changed = false;
    let rows = this.#rows;
    for (const run of items) {
      const at = this.#at.get(run.id);
      if (at !== undefined) {
        if (rows === this.#rows) rows = this.#rows.slice();
        rows[at] = run;
        changed = true;
        continue;
      }
      const waiting = this.#pending.findIndex((one) => one.id === run.id);
      if (waiting >= 0) this.#pending[waiting] = run;
      else if (!matching && !this.#matches(run)) continue;
      else if (this.#picture.complete || rows.length === 0 || run.createdAt >= rows.at(-1)!.createdAt) this.#pending.push(run);
      // It comes with a page that is still to be read.
      else continue;
      changed = true;
    }
    this.#rows = rows;
    if (this.#atTop) this.reveal();
    if (changed) this.#show({});
  }

  /** Whether a run matches as far as this page can tell; if only the server can, it is asked. */
  #matches(run: Run): boolean {
    const { app: _app, function: _function, since: _since, status, ...rest } = this.#query;
    if (typeof status === "string" && !status.split(",").includes(run.status)) return false;
    if (Object.values(rest).every((value) => value === undefined)) return true;
    this.#pollSoon();
    return false;
  }

  #index(): void {
    this.#at.clear();
    this.#rows.forEach((run, i) => this.#at.set(run.id, i));
  }

  #show(part: Partial<RunsPicture>): void {
    this.#picture = { ...this.#picture, ...part, rows: this.#rows, unseen: this.#pending.length };
    for (const listener of this.#listeners) listener();
  }
}

/**
 * Runs put among those that are there. The server has the newest first by the time of their creation, and ids say nothing of that: a fork's
 * comes from what it was forked from. A run may also begin to match long after it was created.
 */
function merge(runs: readonly Run[], rows: readonly Run[]): Run[] {
  const merged: Run[] = [];
  let at = 0;
  for (const run of [...runs].sort((a, b) => (a.createdAt < b.createdAt ? 1 : a.createdAt > b.createdAt ? -1 : 0))) {
    while (at < rows.length && rows[at]!.createdAt > run.createdAt) merged.push(rows[at++]!);
    merged.push(run);
  }
  while (at < rows.length) merged.push(rows[at++]!);
  return merged;
}

/** The list for a filter, for as long as the page shows it. */
export function useRuns(query: Query): RunsPicture & { list: RunsList } {
  const name = JSON.stringify(query);
  // The name is the query.
  const list = useMemo(() => new RunsList(query), [name]);
  useEffect(() => {
    list.start();
    return () => list.stop();
  }, [list]);
  const picture = useSyncExternalStore(useCallback((listener: () => void) => list.subscribe(listener), [list]), list.read);
  return { ...picture, list };
}
