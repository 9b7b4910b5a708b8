/** Times by day and by week, in the reader's zone. Pure: now is an argument. */
import type { RunStatus } from "../api/types.ts";

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

/** A day of a calendar: how many runs for its times stand how, and how many times are to come. */
export interface Cell {
  date: string;
  /** The day of the month; the first one with its month. */
  name: string;
  today: boolean;
  runs: Partial<Record<RunStatus, number>>;
  ticks: number;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Weeks from Monday to Sunday, the current one with so many before and after it. */
export function weeks(now: number, before: number, after: number, runs: readonly { at: string; status: RunStatus }[], ticks: readonly string[]): Cell[][] {
  const pad = (value: number): string => String(value).padStart(2, "0");
  const iso = (date: Date): string => `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  const today = new Date(now);
  // By the day of the month and not by hours: days may have 23 or 25 of them.
  const dayOf = (offset: number): Date => new Date(today.getFullYear(), today.getMonth(), today.getDate() + offset);
  const monday = -((today.getDay() + 6) % 7);
  const found = new Map<string, Cell>();
  const rows = Array.from({ length: before + 1 + after }, (_, week) => Array.from({ length: 7 }, (_, day) => {
    const date = dayOf(monday + (week - before) * 7 + day);
    const named = date.getDate() === 1 || (week === 0 && day === 0);
    const cell: Cell = { date: iso(date), name: named ? `${MONTHS[date.getMonth()]} ${date.getDate()}` : String(date.getDate()), today: iso(date) === iso(today), runs: {}, ticks: 0 };
    found.set(cell.date, cell);
    return cell;
  }));
  for (const { at, status } of runs) {
    const cell = found.get(iso(new Date(at)));
    if (cell) cell.runs[status] = (cell.runs[status] ?? 0) + 1;
  }
  for (const at of ticks) {
    const cell = found.get(iso(new Date(at)));
    if (cell) cell.ticks += 1;
  }
  return rows;
}
