/**
 * The test kit: runs a function in process, without a server, with a clock that is skipped.
 *
 * ```ts
 * const run = testRun(order, { event: orderCreated({ id: "17", cents: 999 }), steps: { charge: { id: "ch_1" } }, crash: "everywhere" });
 * await run.until("approval");
 * run.signal(approve, { by: "ann" });
 * assert.equal(await run.result(), "shipped");
 * assert.equal(run.entry("cool-off").status, "ok");
 * ```
 */
import type { FunctionDefinition } from "../function.js";
import { TestRun } from "./run.js";
import type { TestRunOptions } from "./options.js";

export { TestRun, TestRunError, type TestRunStatus } from "./run.js";
export type { TestMessage } from "./stream.js";
export { TestUpdateError } from "./updates.js";
export type { CrashPoints, FailingAttempts, Injected, TestRunOptions } from "./options.js";
export { crashEverywhere, type CrashReport, type Finding, type Given, NotCrashSafe, type Prepared } from "./everywhere.js";
export type { InjectedFetch, TestAnswer, TestFetch } from "./fetches.js";
export { type ClockState, DevClock, devClock, effect } from "./dev.js";
export type { TestEntry } from "./journal.js";

/** Prepares a run of a function. Nothing happens before it is driven: `result`, `until`, `idle`, `advance`. */
export function testRun<In, Out>(fn: FunctionDefinition<In, Out>, options: TestRunOptions & { input?: In } = {}): TestRun<Out> {
  return new TestRun<Out>(fn, options);
}
