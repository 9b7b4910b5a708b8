/**
 * Time travel: the journal as a handler was shown it at a moment of the run. The protocol hands a handler outcomes strictly by `seq`, so the
 * moments are the settlements: after the n-th one the handler knows the outcomes 1 to n, and the entries that existed by then.
 */
import type { Entry } from "../api/types.ts";
import { ms } from "./time.ts";

export interface Moment {
  /** How many outcomes the handler knows. */
  seq: number;
  /** When the newest of them settled. */
  at: number;
  /** Whose outcome it is; nothing before the first. */
  entry: Entry | null;
}

/** The moments of a run, the beginning first. */
export function moments(entries: readonly Entry[], begin: number): Moment[] {
  const settled = entries.filter((entry) => entry.seq !== null && entry.op !== "outcome").sort((a, b) => a.seq! - b.seq!);
  return [{ seq: 0, at: begin, entry: null }, ...settled.map((entry) => ({ seq: entry.seq!, at: ms(entry.settledAt!), entry }))];
}

/** The entries that existed at a moment, without what was not known yet. */
export function asSeen(entries: readonly Entry[], moment: Moment): Entry[] {
  return entries
    .filter((entry) => (entry.seq !== null && entry.seq <= moment.seq) || (entry.op !== "outcome" && ms(entry.createdAt) <= moment.at))
    .map((entry) => (entry.op === "input" || (entry.seq !== null && entry.seq <= moment.seq) ? entry : pending(entry, moment.at)));
}

/** An entry before its outcome. */
function pending(entry: Entry, at: number): Entry {
  const attempts = (entry.attempts ?? []).filter((attempt) => ms(attempt.endedAt) <= at);
  const { ok: _ok, err: _err, ...rest } = entry;
  return { ...rest, timeout: false, seq: null, settledAt: null, status: attempts.length > 0 ? "backoff" : entry.op === "step" ? "runnable" : "waiting", attempts, failures: attempts.length, lastError: attempts.at(-1)?.error ?? null };
}
