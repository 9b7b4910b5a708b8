/**
 * Durations as people write them: reads `"1h30m"` or integer milliseconds, and refuses everything else with advice.
 */
import { MisuseError } from "./errors.js";
import type { Duration } from "./types.js";

const UNIT_MS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** The longest duration: 3,650 days. */
export const DURATION_MS_MAX = 3_650 * 86_400_000;

/** Milliseconds of a duration. `what` names it in the error. */
export function durationMs(duration: Duration, what = "the duration"): number {
  const shown = JSON.stringify(duration);
  const ms = typeof duration === "number" ? duration : typeof duration === "string" ? textMs(duration) : Number.NaN;
  if (!Number.isInteger(ms) || ms < 0) {
    throw new MisuseError(
      `failed to read ${what} ${shown}: write integers with the units w, d, h, m, s or ms, such as "1h30m", or integer milliseconds.`,
    );
  }
  if (ms > DURATION_MS_MAX) throw new MisuseError(`failed to take ${what} ${shown}: at most 3650 days are allowed.`);
  return ms;
}

function textMs(text: string): number {
  if (!/^(\d{1,15}(ms|[smhdw]))+$/.test(text)) return Number.NaN;
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|[smhdw])/g)) total += Number(count) * (UNIT_MS[unit ?? ""] ?? Number.NaN);
  return total;
}

/** Checks a duration and gives it back as it was written, which is how it goes over the wire. */
export function checkedDuration(duration: Duration, what?: string): Duration {
  durationMs(duration, what);
  return duration;
}
