/** Times and spans as people read them. Pure: now is an argument. */

const UNITS: readonly (readonly [string, number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
];

/** A span in at most two units: `1h 5m`, `2.4s`, `120ms`. */
export function span(ms: number): string {
  if (!Number.isFinite(ms)) return "–";
  if (ms < 0) return `-${span(-ms)}`;
  if (ms < 1_000) return `${Math.round(ms)}ms`;
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1).replace(/\.0$/, "")}s`;
  const at = UNITS.findIndex(([, size]) => ms >= size - (size === 1_000 ? 0 : 500));
  const [unit, size] = UNITS[Math.max(at, 0)]!;
  const next = UNITS[at + 1];
  if (!next) return `${Math.round(ms / size)}${unit}`;
  const rounded = Math.round(ms / next[1]) * next[1];
  const whole = Math.floor(rounded / size);
  const rest = Math.round((rounded - whole * size) / next[1]);
  return rest === 0 ? `${whole}${unit}` : `${whole}${unit} ${rest}${next[0]}`;
}

/** How far a time is from now: `3m ago`, `in 2h`, `now`. */
export function relative(at: number, now: number): string {
  const distance = at - now;
  const size = Math.abs(distance);
  if (size < 1_000) return "now";
  const coarse = UNITS.find(([, ms]) => size >= ms) ?? UNITS[3]!;
  // Of what is past one unit is enough; what is to come is planned with, so it has two.
  const rough = distance < 0 ? size < 3_600_000 || size >= 36 * 3_600_000 : size < 60_000;
  const text = rough ? `${Math.floor(size / coarse[1])}${coarse[0]}` : span(size < 3_600_000 ? Math.floor(size / 1_000) * 1_000 : Math.floor(size / 60_000) * 60_000);
  return distance < 0 ? `${text} ago` : `in ${text}`;
}

/** A time in full, in the reader's zone, with the zone said. */
export function absolute(at: string | number): string {
  const date = new Date(at);
  const pad = (value: number, width = 2): string => String(value).padStart(width, "0");
  const minutes = -date.getTimezoneOffset();
  const zone = minutes === 0 ? "UTC" : `UTC${minutes < 0 ? "-" : "+"}${pad(Math.floor(Math.abs(minutes) / 60))}:${pad(Math.abs(minutes) % 60)}`;
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${clock(at)} ${zone}`;
}

/** The time of day with milliseconds. */
export function clock(at: string | number): string {
  const date = new Date(at);
  const pad = (value: number, width = 2): string => String(value).padStart(width, "0");
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
}

/** Milliseconds of an RFC 3339 text. */
export const ms = (at: string): number => Date.parse(at);

/** A step for the axis of a timeline, so that about `count` ticks fit into `total` milliseconds. */
export function tick(total: number, count: number): number {
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3, 3600e3, 7200e3, 14400e3, 21600e3, 43200e3, 86400e3];
  const wanted = total / Math.max(count, 1);
  const found = steps.find((step) => step >= wanted);
  return found ?? Math.ceil(wanted / 86_400_000) * 86_400_000;
}
