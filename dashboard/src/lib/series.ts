/** Counts and durations over time, and the shapes that charts draw of them. Pure. */
import type { Run, RunStatus } from "../api/types.ts";
import { ms } from "./time.ts";

/** A piece of time, and how many runs that were created in it stand how. */
export interface Bucket {
  from: number;
  to: number;
  counts: Partial<Record<RunStatus, number>>;
}

/** Pieces of equal length that end at the round time after `now`, the oldest first. */
export function buckets(now: number, span: number, count: number): { from: number; to: number }[] {
  const size = Math.max(1_000, Math.round(span / count / 1_000) * 1_000);
  const end = Math.ceil(now / size) * size;
  return Array.from({ length: count }, (_, i) => ({ from: end - (count - i) * size, to: end - (count - i - 1) * size }));
}

export const totalOf = (bucket: Bucket): number => Object.values(bucket.counts).reduce((sum, count) => sum + count, 0);

/** The share of runs that failed of those that ended; nothing when none did. */
export function failureRate(list: readonly Bucket[]): number | null {
  const sum = (status: RunStatus): number => list.reduce((all, bucket) => all + (bucket.counts[status] ?? 0), 0);
  const ended = sum("completed") + sum("failed") + sum("cancelled") + sum("continued");
  return ended === 0 ? null : sum("failed") / ended;
}

/** A quantile by nearest rank; nothing of an empty list. */
export function quantile(values: readonly number[], q: number): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))]!;
}

/** How long runs took, of those that have ended. */
export const durations = (runs: readonly Run[]): number[] => runs.flatMap((run) => (run.endedAt === null ? [] : [Math.max(0, ms(run.endedAt) - ms(run.startedAt))]));

/** A round number at or above a value, for the top of an axis. */
export function ceiling(value: number): number {
  if (value <= 4) return 4;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 8, 10].map((factor) => factor * power).find((one) => one >= value)!;
}
