/** Times by day, in the reader's zone. Pure: now is an argument. */

export interface Day {
  name: string;
  times: { at: string; text: string }[];
}

const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/** The days of these times, in their order: `Today`, `Tomorrow`, then weekdays with their dates. */
export function days(times: readonly string[], now: number): Day[] {
  const found = new Map<string, Day>();
  const pad = (value: number): string => String(value).padStart(2, "0");
  const midnight = (at: number): number => new Date(new Date(at).setHours(0, 0, 0, 0)).getTime();
  for (const at of times) {
    const date = new Date(at);
    // Days may have 23 or 25 hours.
    const away = Math.round((midnight(date.getTime()) - midnight(now)) / 86_400_000);
    const iso = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
    const name = away === 0 ? "Today" : away === 1 ? "Tomorrow" : `${WEEKDAYS[date.getDay()]} ${iso}`;
    const day = found.get(name) ?? { name, times: [] };
    const seconds = date.getSeconds() === 0 ? "" : `:${pad(date.getSeconds())}`;
    day.times.push({ at, text: `${pad(date.getHours())}:${pad(date.getMinutes())}${seconds}` });
    found.set(name, day);
  }
  return [...found.values()];
}
