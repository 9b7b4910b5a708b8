/**
 * Many branches at once: all of them, the first, as many as may fail. Order comes from the replay, which hands over one outcome at a time;
 * here it is only noted which branch ended, so a replay decides like the first time.
 *
 * Branches are functions, so that it is known which of them are one entry and nothing else: their group tells the server not to wake the run
 * before it can go on. It cancels nothing: a branch that nobody waits for any more goes on.
 */
import { AnyFailed, CancelledError, type FailedBranch, MapFailed, MisuseError } from "./errors.js";
import type { Group } from "./replay/entry.js";
import type { Replay } from "./replay/replay.js";
import { isFinal } from "./wire/error.js";
import { FAILURE_MESSAGE_CHARS_MAX, FAILURES_LISTED_MAX } from "./wire/limits.js";

/** A part of the handler that runs beside others. */
export type Branch = () => unknown;

type End = PromiseSettledResult<unknown>;

/** Calls a branch; what it throws at once is a rejection, and the promise of an entry stays the very same. */
export function call<T>(branch: () => T | Promise<T>): Promise<T> {
  try {
    const result = branch();
    const promise = result instanceof Promise ? result : Promise.resolve(result);
    promise.catch(() => undefined);
    return promise;
  } catch (error) {
    const refused = Promise.reject(error);
    refused.catch(() => undefined);
    return refused;
  }
}

/** Results in the branches' order; the first error goes out at once, and nothing begins after it. */
export function all(replay: Replay, branches: readonly Branch[], concurrency = Number.POSITIVE_INFINITY): Promise<unknown[]> {
  const results: unknown[] = new Array(branches.length);
  let left = branches.length;
  return kept((resolve, reject) => {
    if (left === 0) resolve(results);
    begin(replay, branches, concurrency, (index, end) => {
      if (end.status === "rejected") {
        reject(end.reason);
        return false;
      }
      results[index] = end.value;
      if (--left === 0) resolve(results);
      return true;
    });
  });
}

/** How a fan-out that may fail in part is bounded. */
export interface Bounds {
  readonly concurrency: number;
  readonly tolerated: number;
  /** Names the items in the error. */
  readonly keys: readonly string[];
}

/**
 * What each branch came to, in their order, if no more than `tolerated` failed. With one more, nothing begins any more; when what runs has
 * ended, it rejects with `MapFailed`. A cancellation is no failure: it is passed on in the same way.
 */
export function settledWithin(replay: Replay, branches: readonly Branch[], { concurrency, tolerated, keys }: Bounds): Promise<End[]> {
  const ends: End[] = new Array(branches.length);
  let begun = Math.min(concurrency, branches.length);
  let [over, failures] = [0, 0];
  let cancelled: CancelledError | undefined;
  return kept((resolve, reject) => {
    if (branches.length === 0) resolve(ends);
    begin(replay, branches, concurrency, (index, end) => {
      ends[index] = end;
      over++;
      if (end.status === "rejected") {
        failures++;
        if (end.reason instanceof CancelledError) cancelled ??= end.reason;
      }
      const goesOn = cancelled === undefined && failures <= tolerated;
      if (goesOn && begun < branches.length) begun++;
      else if (over === begun) {
        if (cancelled !== undefined) reject(cancelled);
        else if (failures > tolerated) reject(mapFailed(ends, keys, failures, tolerated));
        else resolve(ends);
      }
      return goesOn;
    });
  });
}

/** What ends first, by value or by error. */
export function race(branches: readonly Branch[]): Promise<unknown> {
  if (branches.length === 0) throw new MisuseError("failed to race: there are no branches, so none would ever win.");
  return kept((resolve, reject) => {
    for (const branch of branches) call(branch).then(resolve, reject);
  });
}

/** The first value; `AnyFailed` when there will be none. */
export function any(branches: readonly Branch[]): Promise<unknown> {
  if (branches.length === 0) throw new MisuseError("failed to wait for any: there are no branches, so none could succeed.");
  const errors: unknown[] = new Array(branches.length);
  let left = branches.length;
  return kept((resolve, reject) => {
    branches.forEach((branch, index) => {
      call(branch).then(resolve, (error: unknown) => {
        errors[index] = error;
        if (--left === 0) reject(errors.find((one) => one instanceof CancelledError) ?? anyFailed(errors));
      });
    });
  });
}

/** How many of so many items may fail, as it was written: a count, or a percentage, of which the part of an item is left out. */
export function toleratedOf(wanted: number | string, items: number, id: string): number {
  const percent = typeof wanted === "string" ? /^(\d{1,3}(?:\.\d+)?)%$/.exec(wanted)?.[1] : undefined;
  if (percent !== undefined && Number(percent) <= 100) return Math.floor((items * Number(percent)) / 100);
  if (typeof wanted === "number" && Number.isInteger(wanted) && wanted >= 0) return wanted;
  throw new MisuseError(`failed to create \`${id}\`: \`toleratedFailures\` is ${JSON.stringify(wanted)}, not a whole number of at least 0 or a percentage such as "10%".`);
}

/** A promise that may be left alone: a branch that nobody awaits any more must not bring down the process. */
function kept<T>(executor: ConstructorParameters<typeof Promise<T>>[0]): Promise<T> {
  const promise = new Promise<T>(executor);
  promise.catch(() => undefined);
  return promise;
}

/** Begins branches in order, at most `concurrency` at once. `ended` says whether another may begin in the place of the one that did. */
function begin(replay: Replay, branches: readonly Branch[], concurrency: number, ended: (index: number, end: End) => boolean): void {
  const group: Group = { waiting: branches.length };
  let next = 0;
  let stopped = false;
  const startNext = (): void => {
    const index = next++;
    const branch = branches[index];
    if (branch === undefined || stopped) return;
    group.waiting--;
    const before = replay.entriesCreated;
    const promise = call(branch);
    const entry = replay.entryOf(promise);
    // One that was there before may be awaited elsewhere, too.
    if (entry !== undefined && !entry.delivered && entry.ordinal >= before) entry.group = group;
    const end = (end: End): void => {
      if (ended(index, end)) startNext();
      else {
        stopped = true;
        group.waiting = 0;
      }
    };
    promise.then(
      (value) => end({ status: "fulfilled", value }),
      (reason: unknown) => end({ status: "rejected", reason }),
    );
  };
  for (let i = 0; i < Math.min(concurrency, branches.length); i++) startNext();
}

function listed(error: unknown): FailedBranch["error"] {
  const { name = "Error", message = String(error), code } = (error ?? {}) as { name?: string; message?: string; code?: unknown };
  return { name: String(name), message: String(message).slice(0, FAILURE_MESSAGE_CHARS_MAX), ...(typeof code === "string" ? { code } : {}) };
}

function mapFailed(ends: readonly (End | undefined)[], keys: readonly string[], failures: number, tolerated: number): MapFailed {
  const rejected = [...ends.keys()].filter((index) => ends[index]?.status === "rejected");
  const errors = rejected.map((index) => (ends[index] as PromiseRejectedResult).reason as unknown);
  const failed = rejected.slice(0, FAILURES_LISTED_MAX).map((index, i) => ({ key: keys[index] as string, index, error: listed(errors[i]) }));
  const final = errors.filter((error) => isFinal(error, false)).length;
  return new MapFailed({ items: ends.length, failures, tolerated, failed }, errors, final <= tolerated);
}

function anyFailed(errors: readonly unknown[]): AnyFailed {
  const failed = errors.slice(0, FAILURES_LISTED_MAX).map((error, index) => ({ index, error: listed(error) }));
  return new AnyFailed({ failures: errors.length, failed }, errors, errors.some((error) => !isFinal(error, false)));
}
