/**
 * Crashes at every point: runs a function again and again, each time with one place at which the process dies, and compares what came of it
 * with what comes of it undisturbed. What differs is not safe.
 *
 * It cannot know what two undisturbed runs do not have in common, such as the time in a result: that is left out of the comparison.
 */
import { writeJson } from "../wire/json.js";
import type { TestRunOptions } from "./options.js";
import { type TestRun, TestRunError } from "./run.js";

/** How a run is to be made: pass it on to `testRun`. */
export type Given = Required<Pick<TestRunOptions, "mode" | "crash">>;

/** A run, made anew each time together with all that it touches. */
export interface Prepared<Out = any> {
  run: TestRun<Out>;
  /** Takes the run to its end, with the signals and events that it waits for; `run.result()` if left out. */
  drive?: (run: TestRun<Out>) => Promise<unknown>;
  /** What the run has done to the world, by its fakes: compared with what it does undisturbed. */
  effects?: () => unknown;
}

/** What was tried. */
export interface CrashReport {
  /** How many runs there were. */
  readonly runs: number;
  /** Where the process died, each in a run of its own. */
  readonly places: readonly string[];
}

/** A place at which a crash makes a difference. */
export interface Finding {
  /** Where the process died, such as `respond: lost answer 2 (charge)`. */
  readonly place: string;
  /** What differs, a line each. */
  readonly differs: readonly string[];
}

/** A function comes to something else when its process dies. */
export class NotCrashSafe extends Error {
  override readonly name = "NotCrashSafe";

  constructor(readonly findings: readonly Finding[]) {
    const lines = findings.slice(0, 10).map(({ place, differs }) => `${place}\n${differs.map((line) => `    ${line}`).join("\n")}`);
    super(`the function is not crash-safe at ${findings.length} places:\n${lines.join("\n")}${findings.length > lines.length ? "\n…" : ""}`);
  }
}

/** Places of one run that are tried. */
const PLACES_MAX = 1_000;

type Account = Map<string, string>;

/**
 * Runs a function once for each answer and each report that can be lost, and once for each step before whose body the process can die, in
 * both modes. Throws `NotCrashSafe` where the result, the journal or the effects are not what they are undisturbed.
 *
 * ```ts
 * await crashEverywhere((given) => {
 *   const bank = new FakeBank();
 *   const run = testRun(shop(bank).order, { ...given, event: orderCreated({ id: "17", cents: 999 }) });
 *   return { run, effects: () => bank.charges };
 * });
 * ```
 */
export async function crashEverywhere(prepare: (given: Given) => Prepared | Promise<Prepared>): Promise<CrashReport> {
  const places: string[] = [];
  const findings: Finding[] = [];
  let runs = 0;
  const once = async (given: Given): Promise<{ run: TestRun; account: Account }> => {
    runs++;
    return account(await prepare(given));
  };
  for (const mode of ["respond", "checkpoint"] as const) {
    const [first, second] = [await once({ mode, crash: {} }), await once({ mode, crash: {} })];
    const unsteady = new Set(differences(first.account, second.account).map(([what]) => what));
    const odd = [...unsteady].filter((what) => first.account.has(what) !== second.account.has(what));
    if (odd.length > 0) findings.push({ place: `${mode}: undisturbed, twice`, differs: odd.map((what) => `${what} is in one run and not in the other`) });
    const compare = async (place: string, crash: Given["crash"]): Promise<void> => {
      places.push(`${mode}: ${place}`);
      const { account } = await once({ mode, crash });
      const differs = differences(first.account, account).filter(([what]) => !unsteady.has(what));
      if (differs.length > 0) findings.push({ place: `${mode}: ${place}`, differs: differs.map(([what, was, is]) => `${what}: ${was ?? "nothing"} undisturbed, ${is ?? "nothing"} now`) });
    };
    for (const [at, told] of first.run.told.slice(0, PLACES_MAX).entries()) await compare(`lost ${mode === "respond" ? "answer" : "report"} ${at + 1} (${told.join(", ") || "nothing"})`, { at });
    const steps = first.run.journal.filter((entry) => entry.op === "step").map((entry) => entry.id);
    for (const id of steps.slice(0, PLACES_MAX)) await compare(`died before \`${id}\``, { before: [id] });
  }
  if (findings.length > 0) throw new NotCrashSafe(findings);
  return { runs, places };
}

/** What a run came to, by what it is about. */
async function account({ run, drive = (one) => one.result(), effects }: Prepared): Promise<{ run: TestRun; account: Account }> {
  const result = await drive(run).then(
    (ok) => ({ ok }),
    (error: Error) => ({ err: error instanceof TestRunError ? (error.error?.name ?? error.message) : `${error.name}: ${error.message}` }),
  );
  const lines: Account = new Map();
  const say = (what: string, value: unknown): void => void lines.set(what, writeJson(what, value).text);
  say("the status", run.status);
  say("the result", result);
  for (const { id, op, params, status, value, error } of run.journal) say(`the entry \`${id}\``, { op, params, status, value, error: error?.name });
  say("what it sent", run.sent);
  say("what it started", run.started);
  say("the state", run.state);
  if (effects !== undefined) say("the effects", await effects());
  return { run, account: lines };
}

function differences(was: Account, is: Account): [what: string, was: string | undefined, is: string | undefined][] {
  const all = new Set([...was.keys(), ...is.keys()]);
  return [...all].filter((what) => was.get(what) !== is.get(what)).map((what) => [what, was.get(what), is.get(what)]);
}
