/** The filters of the list of runs as they stand in the address: what is typed is kept, what makes no sense is dropped. */
import { type RunStatus, STATUSES } from "../api/types.ts";
import type { Query } from "../api/client.ts";

export interface RunSearch {
  status?: string;
  app?: string;
  function?: string;
  deployment?: string;
  key?: string;
  tag?: string;
  /** `NAME:OPERATOR:VALUE`. */
  attribute?: string;
  text?: string;
  /** The name of an error. */
  error?: string;
  /** What the messages of errors have in common: `…` stands for what varies. */
  message?: string;
  schedule?: string;
  event?: string;
  root?: string;
  previous?: string;
  since?: string;
  until?: string;
}

const NAMES = ["status", "app", "function", "deployment", "key", "tag", "attribute", "text", "error", "message", "schedule", "event", "root", "previous", "since", "until"] as const;
/** How far back, in the words of the filter, and in milliseconds. */
export const SPANS: Readonly<Record<string, number>> = { "15m": 900_000, "1h": 3_600_000, "24h": 86_400_000, "7d": 604_800_000, "30d": 2_592_000_000 };

/** Reads what stands in the address. */
export function readSearch(raw: Record<string, unknown>): RunSearch {
  const search: RunSearch = {};
  for (const name of NAMES) {
    const value = raw[name];
    if (typeof value === "string" && value !== "") search[name] = value;
    else if (typeof value === "number") search[name] = String(value);
  }
  if (search.status) {
    const known = statuses(search);
    if (known.length > 0) search.status = known.join(",");
    else delete search.status;
  }
  return search;
}

export function statuses(search: RunSearch): RunStatus[] {
  const words = (search.status ?? "").split(",");
  return STATUSES.filter((status) => words.includes(status));
}

/** The query that the server understands. `since` may be a span back from `now`, which is cut to the minute so that it is the same list for a while. */
export function asQuery(search: RunSearch, now: number): Query {
  const query: Query = {};
  for (const name of NAMES) {
    const value = search[name];
    if (value === undefined) continue;
    const back = name === "since" ? SPANS[value] : undefined;
    query[name] = back === undefined ? value : new Date(Math.floor((now - back) / 60_000) * 60_000).toISOString();
  }
  return query;
}

export interface SavedFilter {
  name: string;
  search: RunSearch;
}

const SAVED = "backstitch.filters";
/** Filters that are kept in this browser; at most this many. */
export const SAVED_MAX = 30;

export function readSaved(): SavedFilter[] {
  try {
    const found = JSON.parse(localStorage.getItem(SAVED) ?? "[]") as SavedFilter[];
    return Array.isArray(found) ? found.filter((one) => typeof one.name === "string").map((one) => ({ name: one.name, search: readSearch({ ...one.search }) })) : [];
  } catch {
    return [];
  }
}

export function writeSaved(filters: readonly SavedFilter[]): void {
  localStorage.setItem(SAVED, JSON.stringify(filters.slice(0, SAVED_MAX)));
}
