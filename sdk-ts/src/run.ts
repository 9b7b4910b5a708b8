/**
 * Facts of a run: equal in each of its invocations, so a handler may branch on them.
 */
import type { Codec } from "./codec.js";
import { type Attributes, checkAttributes, checkTags } from "./labels.js";
import type { Call } from "./replay/entry.js";
import { type PublishOptions, said } from "./replay/published.js";
import type { Replay } from "./replay/replay.js";
import { chanceNumber, chanceUuid, join, segment } from "./wire/ids.js";
import type { RunFacts } from "./wire/invocation.js";
import { RawJson, writeJson, writeNote } from "./wire/json.js";

const NO_PARAMS = new RawJson("{}");

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
  /** When the run fails if it has not ended by then (`timeouts.run`); `undefined` if it may take as long as it does. */
  readonly deadline: Date | undefined;
  /** The time of the last outcome that was delivered; before any, of the run's start. */
  now(): Date;
  /** A number from 0 up to but not including 1. */
  random(): number;
  /** A UUID. */
  uuid(): string;
  /**
   * Shows how things stand to whoever asks for the run's status, at once and without waking the handler. Any JSON, at most 64 KiB; the
   * newest counts.
   *
   * ```ts
   * run.setStatus({ phase: "awaiting approval", since: run.now() });
   * ```
   */
  setStatus(value: unknown): void;
  /** The tags that the run is found by: those that it was started with, and what the handler has made of them. */
  readonly tags: readonly string[];
  /** The attributes that the run is found by: those that it was started with, and what the handler has made of them. */
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  /**
   * Adds tags, by which people find the run: at most 32 of at most 128 bytes. They are seen with the handler's next report.
   *
   * ```ts
   * run.addTags("needs-review", `customer-${order.customerId}`);
   * ```
   */
  addTags(...tags: readonly string[]): void;
  /** Takes tags away. */
  removeTags(...tags: readonly string[]): void;
  /** Has these tags and no others. */
  setTags(tags: readonly string[]): void;
  /**
   * Sets attributes, by which people find the run: texts, numbers, booleans and dates by name, at most 32. The others stay. They are
   * seen with the handler's next report.
   *
   * ```ts
   * run.setAttributes({ total: order.total, due: order.dueAt });
   * ```
   */
  setAttributes(attributes: Attributes): void;
  /** Takes attributes away. */
  removeAttributes(...names: readonly string[]): void;
  /**
   * Publishes a message to whoever reads the run's stream: once, however often the handler is replayed. Inside of a step use the `publish`
   * that its body is given. Any JSON, at most 64 KiB.
   *
   * ```ts
   * run.publish("stage", { name: "searching" });
   * ```
   */
  publish(topic: string, data: unknown, options?: PublishOptions): void;
  /**
   * Whether the code goes the new way, for changing a function while it has runs: true for runs that come here after the change, and
   * from then on; false for those that have been here with the old code. The answer is kept in the journal.
   *
   * ```ts
   * if (run.patched("check-fraud")) await step.run("fraud", () => checkFraud(order));
   * ```
   */
  patched(id: string): boolean;
  /** Keeps the id of a patch taken when the old way is gone from the code: runs that remember it go on. */
  deprecatePatch(id: string): void;
  /**
   * Ends this run and goes on in a new one with an empty journal: for functions that never end. Name, object, waiting updates and early
   * signals go over to it, and so does whoever waits for the result. Nothing after the call is reached.
   *
   * ```ts
   * if (turns === 1000) return run.continueAsNew({ ...input, balance });
   * ```
   */
  continueAsNew(input: unknown): Promise<never>;
}

/** The facts as seen in one scope: chance is counted there. */
export function factsIn(scope: string, facts: RunFacts, replay: Replay, codec: Codec): Run {
  let counter = 0;
  let spoken = 0;
  const setTags = (name: string, tags: readonly string[]): void => replay.setLabels(name, { ...replay.labels, tags: checkTags(tags) });
  const setAttributes = (name: string, all: Attributes): void => replay.setLabels(name, { ...replay.labels, attributes: checkAttributes(all) });
  return {
    id: facts.id,
    name: facts.name,
    attempt: facts.attempt,
    startedAt: new Date(facts.startedAt),
    deadline: facts.deadline === undefined ? undefined : new Date(facts.deadline),
    now: () => new Date(replay.lastDeliveredAt),
    random: () => chanceNumber(facts.seed ?? facts.id, scope, counter++),
    uuid: () => chanceUuid(facts.seed ?? facts.id, scope, counter++),
    publish: (topic, data, options) => replay.publish(scope === "" ? "$publish" : `${scope}/$publish`, spoken++, said(topic, data, options)),
    setStatus: (value) => replay.setStatus(writeNote("the status of the run", value)),
    get tags() {
      return replay.labels.tags;
    },
    get attributes() {
      return replay.labels.attributes;
    },
    addTags: (...tags) => setTags("run.addTags", [...replay.labels.tags, ...tags]),
    removeTags: (...tags) => setTags("run.removeTags", replay.labels.tags.filter((tag) => !tags.includes(tag))),
    setTags: (tags) => setTags("run.setTags", tags),
    setAttributes: (attributes) => {
      const set = Object.entries(attributes).filter(([, value]) => value !== undefined);
      setAttributes("run.setAttributes", { ...replay.labels.attributes, ...Object.fromEntries(set) });
    },
    removeAttributes: (...names) => {
      const kept = Object.entries(replay.labels.attributes).filter(([name]) => !names.includes(name));
      setAttributes("run.removeAttributes", Object.fromEntries(kept));
    },
    patched: (id) => replay.patched(patchCall(id)),
    deprecatePatch: (id) => void patchCall(id),
    continueAsNew: (input) => replay.continueAsNew(writeJson("the input to continue with", codec.encode(input))),
  };
}

/** The marker of a patch: one for the whole run, whichever scope asks. */
function patchCall(id: string): Call<void> {
  return { op: "marker", id: join("patched", segment(id, 0)), name: id, params: NO_PARAMS, read: () => undefined };
}
