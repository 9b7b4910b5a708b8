/**
 * What a journal looks like in time: for each entry the spans in which something happened or was waited for, and a scale from time to
 * place. Pure: the page hands in the journal and the time, and draws what comes back.
 */
import type { Entry, Run } from "../api/types.ts";
import { ms, span, tick } from "./time.ts";

/** What a span of time was spent with. */
export type Work = "work" | "failed" | "backoff" | "sleep" | "wait" | "child" | "instant";

export interface Stretch {
  from: number;
  to: number;
  work: Work;
  /** What a pointer on it is told. */
  title: string;
  /** It is still going on. */
  open?: boolean;
}

export interface Row {
  entry: Entry;
  /** The scopes in which the id lies: `items/3`. */
  scope: string;
  label: string;
  stretches: Stretch[];
}

const WAITS: Record<string, Work> = { sleep: "sleep", waitSignal: "wait", waitEvent: "wait", invoke: "child", fetch: "work" };

/** How far the clocks of server and handler may be apart before that is told from a late report. */
const SKEW_MS = 30_000;

/** The rows of a journal: all entries but the input and the outcome, in order of creation. */
export function rows(entries: readonly Entry[], now: number): Row[] {
  return entries
    .filter((entry) => entry.op !== "input" && entry.op !== "outcome")
    .map((entry) => {
      const cut = entry.id.lastIndexOf("/");
      const undo = entry.id.startsWith("$undo/");
      return {
        entry,
        scope: cut < 0 || undo ? "" : entry.id.slice(0, cut),
        label: entry.name ?? (undo ? entry.id.slice(6) : entry.id.slice(cut + 1)),
        stretches: stretches(entry, now),
      };
    });
}

/** Whether an entry went badly at least once, or has not come to its end. */
export const isTrouble = ({ err, timeout, failures, settledAt }: Entry): boolean => err !== undefined || timeout === true || failures > 0 || settledAt === null;

/** The rows that somebody looks for: with a text in the id, the name, the kind or an error, and perhaps only those in trouble. */
export function sought(all: readonly Row[], text: string, troubleOnly: boolean): Row[] {
  const wanted = text.trim().toLowerCase();
  const said = ({ id, name, op, err, lastError }: Entry): string => [id, name, op, err?.name, err?.message, lastError?.name, lastError?.message].join("\n").toLowerCase();
  return all.filter(({ entry }) => (!troubleOnly || isTrouble(entry)) && (wanted === "" || said(entry).includes(wanted)));
}

/**
 * What is to be added to the times of attempts. They have the handler's clock, everything else the server's. A little apart they are shown as
 * they are; where the clocks differ by more, the first attempt begins with its entry, and the others follow at their distance.
 */
export function skewOf(entry: Entry): number {
  const begin = ms(entry.createdAt);
  const first = entry.attempts?.[0] ? ms(entry.attempts[0].startedAt) : begin;
  return Math.abs(first - begin) > SKEW_MS ? begin - first : 0;
}

/** How an entry spent its time. */
export function stretches(entry: Entry, now: number): Stretch[] {
  const begin = ms(entry.createdAt);
  const settled = entry.settledAt === null ? null : ms(entry.settledAt);
  const end = settled ?? Math.max(now, begin);
  if (entry.copied) return [{ from: begin, to: end, work: "instant", title: "copied from the run that this one was forked from" }];
  if (entry.op !== "step") {
    const work = WAITS[entry.op] ?? "instant";
    const what = { sleep: "slept", wait: "waited", child: "waited for its child run", work: "worked", instant: "took" }[work as "sleep"];
    return [{ from: begin, to: end, work, title: `${settled === null ? "so far" : what} ${span(end - begin)}`, open: settled === null }];
  }
  const found: Stretch[] = [];
  const shift = skewOf(entry);
  let at = begin;
  for (const attempt of entry.attempts ?? []) {
    const [from, to] = [ms(attempt.startedAt) + shift, ms(attempt.endedAt) + shift];
    if (from > at && found.length > 0) found.push({ from: at, to: from, work: "backoff", title: `waited ${span(from - at)} before attempt ${attempt.number}` });
    found.push({ from, to, work: "failed", title: `attempt ${attempt.number} failed after ${span(to - from)}: ${attempt.error?.message ?? attempt.error?.name ?? "?"}` });
    at = to;
  }
  const failed = found.length > 0;
  if (settled === null && entry.status === "backoff") {
    found.push({ from: at, to: end, work: "backoff", title: `waits for attempt ${entry.failures + 1}`, open: true });
  } else if (settled === null) {
    found.push({ from: at, to: end, work: failed ? "backoff" : "work", title: failed ? `attempt ${entry.failures + 1} is due or at work` : `at work for ${span(end - at)}`, open: true });
  } else if (entry.err === undefined && !entry.timeout && failed) {
    // The journal has the end of the attempt that succeeded, and not its beginning.
    if (settled > at) found.push({ from: at, to: settled, work: "backoff", title: `waited, then attempt ${entry.failures + 1} succeeded ${span(settled - at)} after the last failure` });
    found.push({ from: settled, to: settled, work: "work", title: `attempt ${entry.failures + 1} succeeded` });
  } else if (!failed) {
    found.push({ from: at, to: settled, work: entry.err ? "failed" : "work", title: `${entry.err ? "failed after" : "took"} ${span(settled - at)}` });
  }
  return found;
}

/** A mapping from time to a place between 0 and 1. */
export interface Scale {
  at(time: number): number;
  ticks: { place: number; label: string }[];
  total: number;
}

/** The first and the last moment that a run's picture shows. */
export function extent(run: Run, entries: readonly Entry[], now: number): [number, number] {
  const begin = ms(run.createdAt);
  const ended = run.endedAt === null ? null : ms(run.endedAt);
  const times = entries.flatMap((entry) => (entry.copied ? [] : [entry.settledAt ?? entry.createdAt])).map(ms);
  const last = Math.max(begin, ended ?? now, ...times);
  return [begin, last > begin ? last : begin + 1];
}

/** Real time: a second is as wide as any other. */
export function linear(begin: number, end: number, ticks: number): Scale {
  const total = end - begin;
  const step = tick(total, ticks);
  const marks = [];
  for (let at = 0; at <= total; at += step) marks.push({ place: at / total, label: at === 0 ? "0" : span(at) });
  return { at: (time) => clamp((time - begin) / total), ticks: marks, total };
}

/** Folded time: what happens keeps its order, and long silences shrink, so that a week of waiting leaves room for the work around it. */
export function folded(begin: number, end: number, rows: readonly Row[], ticks: number): Scale {
  const inner = rows.flatMap((row) => row.stretches.flatMap((stretch) => [stretch.from, stretch.to]));
  const times = [...new Set([begin, ...inner.filter((time) => time > begin && time < end), end])].sort((a, b) => a - b);
  const places = [0];
  for (let i = 1; i < times.length; i++) places.push(places[i - 1]! + Math.log2(1 + (times[i]! - times[i - 1]!) / 25) + 0.05);
  const sum = places.at(-1) || 1;
  const at = (time: number): number => {
    if (time <= begin) return 0;
    if (time >= end) return 1;
    let low = 0;
    let high = times.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (times[middle]! <= time) low = middle;
      else high = middle;
    }
    const share = (time - times[low]!) / (times[high]! - times[low]!);
    return (places[low]! + share * (places[high]! - places[low]!)) / sum;
  };
  const marks: Scale["ticks"] = [];
  for (const time of times) {
    const place = at(time);
    const before = marks.at(-1);
    if (!before || place - before.place >= 0.9 / Math.max(ticks, 1)) marks.push({ place, label: time === begin ? "0" : span(time - begin) });
  }
  return { at, ticks: marks, total: end - begin };
}

const clamp = (value: number): number => Math.min(1, Math.max(0, value));
