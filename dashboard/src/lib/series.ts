/** Sums over pieces of time, and the shapes that charts draw of them. Pure. */
import type { RunStatus, StatsPiece } from "../api/types.ts";

type Counted = Pick<StatsPiece, "statuses">;

export const totalOf = (piece: Counted): number => Object.values(piece.statuses).reduce((sum, count) => sum + count, 0);
export const countOf = (pieces: readonly Counted[], status: RunStatus): number => pieces.reduce((sum, piece) => sum + (piece.statuses[status] ?? 0), 0);

/** The share of runs that failed of those that ended; nothing when none did. */
export function failureRate(pieces: readonly Counted[]): number | null {
  const ended = (["completed", "failed", "cancelled", "continued"] as const).reduce((sum, status) => sum + countOf(pieces, status), 0);
  return ended === 0 ? null : countOf(pieces, "failed") / ended;
}

/** A round number at or above a value, for the top of an axis. */
export function ceiling(value: number): number {
  if (value <= 4) return 4;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 8, 10].map((factor) => factor * power).find((one) => one >= value)!;
}

/** Where a series has values: stretches without a gap, each as points of a chart of this size. A lone point is a line without length: a dot. */
export function stretches(values: readonly (number | null)[], top: number, width: number, height: number): string[] {
  const step = width / Math.max(1, values.length);
  const lines: string[][] = [];
  let line: string[] | null = null;
  values.forEach((value, i) => {
    if (value === null) {
      line = null;
      return;
    }
    if (line === null) lines.push((line = []));
    const y = (height * (1 - Math.min(1, value / top))).toFixed(1);
    line.push(`${((i + 0.5) * step).toFixed(1)},${y}`);
  });
  return lines.map((points) => (points.length > 1 ? points : [points[0]!, points[0]!]).join(" "));
}
