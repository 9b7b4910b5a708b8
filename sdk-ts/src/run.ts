/**
 * Facts of a run: equal in each of its invocations, so a handler may branch on them.
 */
import type { Replay } from "./replay/replay.js";
import { chanceNumber, chanceUuid } from "./wire/ids.js";
import type { RunFacts } from "./wire/invocation.js";

/**
 * Facts of the run, safe to use outside of steps: a replay sees the same.
 *
 * ```ts
 * const orderId = run.uuid();            // not crypto.randomUUID(), which is another one after a crash
 * const late = run.now() > dueDate;      // not new Date()
 * ```
 */
export interface Run {
  /** The run's id, `run_…`. */
  readonly id: string;
  /** The name that its starter gave it, or null. */
  readonly name: string | null;
  /** Which invocation since the last progress this is, from 1. The one fact that differs between replays. */
  readonly attempt: number;
  /** When the run was started. */
  readonly startedAt: Date;
  /** The time of the last outcome that was delivered; before any, of the run's start. */
  now(): Date;
  /** A number from 0 up to but not including 1. */
  random(): number;
  /** A UUID. */
  uuid(): string;
}

/** The facts as seen in one scope: chance is counted there. */
export function factsIn(scope: string, facts: RunFacts, replay: Replay): Run {
  let counter = 0;
  return {
    id: facts.id,
    name: facts.name,
    attempt: facts.attempt,
    startedAt: new Date(facts.startedAt),
    now: () => new Date(replay.lastDeliveredAt),
    random: () => chanceNumber(facts.id, scope, counter++),
    uuid: () => chanceUuid(facts.id, scope, counter++),
  };
}
