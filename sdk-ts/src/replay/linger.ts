/**
 * Linger: whether it pays to keep an invocation open although nothing can be done, because something may settle within moments.
 */
import { durationMs } from "../duration.js";
import type { Entry } from "./entry.js";

/** Whether what is open may settle before `untilMs`, a time in milliseconds since 1970. */
export function maySettleBy(open: readonly Entry[], untilMs: number): boolean {
  return open.some((entry) => {
    const { op, params } = entry.call;
    // Signals, events and children come when they come.
    if (op === "waitSignal" || op === "waitEvent" || op === "invoke" || op === "fetch") return true;
    if (op !== "sleep") return false;
    const { for: length, until } = JSON.parse(params.text) as { for?: string | number; until?: string };
    if (until !== undefined) return Date.parse(until) < untilMs;
    // How much is left of a sleep that an earlier invocation began, only the server knows.
    return entry.known === undefined && length !== undefined && entry.createdAt + durationMs(length) < untilMs;
  });
}
