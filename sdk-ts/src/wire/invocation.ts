/**
 * The invocation: the body that the server posts, read once, at the edge, into typed data. See docs/reference/protocol.md, section 2.
 */
import type { Labels } from "../labels.js";
import type { Json } from "../types.js";
import type { WireError } from "./error.js";

/** An event as the server hands it out. */
export interface WireEvent {
  id: string;
  name: string;
  data: Json;
  /** When the server accepted it: RFC 3339. */
  at: string;
}

/** What started the run. */
export type Trigger =
  | { kind: "event"; events: WireEvent[] }
  | { kind: "call" }
  | { kind: "invoke"; parent: { run: string; entry: string } }
  | { kind: "failure" }
  | { kind: "schedule"; schedule: string; at: string; previous: string | null };

/** The facts of the run that is invoked. */
export interface RunFacts {
  id: string;
  app: string;
  function: string;
  name: string | null;
  attempt: number;
  startedAt: string;
  secret: string;
  /** What chance follows from in the place of the run's id: a fork goes the way of the run that it copied. */
  seed?: string;
  seen?: number;
  /** How many messages the handler has published outside of bodies, by the place in its code. */
  published?: Readonly<Record<string, number>>;
  /** When the run fails if it has not ended. */
  deadline?: string;
  /** The key of the object that it belongs to. */
  key?: string;
}

/** An entry of the journal. Exactly one of `ok`, `err`, `timeout`, `ref`, `pending`, `run` is there. */
export interface JournalEntry {
  id: string;
  op: string;
  name?: string;
  digest?: string;
  seq?: number;
  at?: string;
  ok?: Json;
  err?: WireError;
  timeout?: true;
  /** The outcome is behind `links.journal`. */
  ref?: true;
  pending?: true;
  run?: { attempt: number; error?: WireError; details?: Json };
}

/** One call of the server on behalf of a run. */
export interface Invocation {
  run: RunFacts;
  trigger: Trigger;
  /** What the run was started to be found by. */
  labels: Labels;
  input: Json;
  journal: JournalEntry[];
  /** The object's state as of the run's first invocation; absent for functions. */
  state?: Readonly<Record<string, Json>>;
  links: Links;
  token: string;
}

/** Addresses at the server, or null where there is none. */
export interface Links {
  checkpoint: string | null;
  /** Where reports of several invocations may go in one request. */
  reports: string | null;
  journal: string | null;
}

/** The body is not an invocation; the message says what is wrong with it. */
export class InvocationError extends Error {
  override readonly name = "InvocationError";
}

type Fields = Record<string, unknown>;

function fields(value: unknown, where: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new InvocationError(`\`${where}\` is not an object`);
  return value as Fields;
}

function text(from: Fields, key: string, where: string): string {
  const value = from[key];
  if (typeof value !== "string" || value === "") throw new InvocationError(`\`${where}.${key}\` is not a text`);
  return value;
}

function count(value: unknown, where: string): number {
  if (!Number.isInteger(value) || (value as number) < 1) throw new InvocationError(`\`${where}\` is not an integer of at least 1`);
  return value as number;
}

function readRun(value: unknown): RunFacts {
  const run = fields(value, "run");
  return {
    id: text(run, "id", "run"),
    app: text(run, "app", "run"),
    function: text(run, "function", "run"),
    name: typeof run.name === "string" ? run.name : null,
    attempt: count(run.attempt, "run.attempt"),
    startedAt: text(run, "startedAt", "run"),
    secret: typeof run.secret === "string" ? run.secret : "",
    ...(typeof run.seed === "string" ? { seed: run.seed } : {}),
    ...(typeof run.seen === "number" ? { seen: run.seen } : {}),
    ...(run.published === undefined ? {} : { published: fields(run.published, "run.published") as Record<string, number> }),
    ...(typeof run.deadline === "string" ? { deadline: run.deadline } : {}),
    ...(typeof run.key === "string" ? { key: run.key } : {}),
  };
}

function readTrigger(value: unknown): Trigger {
  const trigger = fields(value, "trigger");
  const kind = text(trigger, "kind", "trigger");
  if (kind === "event" && !(Array.isArray(trigger.events) && trigger.events.length > 0)) throw new InvocationError("`trigger.events` is not a list of events");
  if (kind === "invoke") fields(trigger.parent, "trigger.parent");
  if (kind === "schedule") {
    for (const name of ["schedule", "at"]) text(trigger, name, "trigger");
    if (Number.isNaN(Date.parse(trigger.at as string))) throw new InvocationError("`trigger.at` is not a time");
  }
  return trigger as unknown as Trigger;
}

function readLabels(value: unknown): Labels {
  const { tags, attributes } = value === undefined ? ({} as Fields) : fields(value, "trigger.labels");
  return {
    tags: Array.isArray(tags) ? tags : [],
    attributes: attributes === undefined ? {} : (fields(attributes, "trigger.labels.attributes") as Labels["attributes"]),
  };
}

/** Reads an entry. `bare` allows a settled one without outcome, as replies have it. Throws `InvocationError`. */
export function readEntry(value: unknown, where: string, bare = false): JournalEntry {
  const entry = fields(value, where);
  text(entry, "id", where);
  text(entry, "op", where);
  const settled = "ok" in entry || "err" in entry || entry.timeout === true || entry.ref === true;
  if (settled || bare) {
    count(entry.seq, `${where}.seq`);
    text(entry, "at", where);
  } else if (entry.run !== undefined) {
    count(fields(entry.run, `${where}.run`).attempt, `${where}.run.attempt`);
  } else if (entry.pending !== true) {
    throw new InvocationError(`\`${where}\` has none of ok, err, timeout, ref, pending, run`);
  }
  return entry as unknown as JournalEntry;
}

/** Reads the body of an invocation. Throws `InvocationError`. */
export function readInvocation(body: string): Invocation {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch (error) {
    throw new InvocationError(`the body is not JSON: ${(error as Error).message}`);
  }
  const all = fields(parsed, "the body");
  if (!Array.isArray(all.journal)) throw new InvocationError("`journal` is not a list");
  const links = typeof all.links === "object" && all.links !== null ? (all.links as Fields) : {};
  const address = (link: unknown): string | null => (typeof link === "string" && link !== "" ? link : null);
  return {
    run: readRun(all.run),
    trigger: readTrigger(all.trigger),
    labels: readLabels((all.trigger as Fields).labels),
    input: (all.input ?? null) as Json,
    journal: all.journal.map((entry, i) => readEntry(entry, `journal[${i}]`)),
    ...(all.state === undefined ? {} : { state: fields(all.state, "state") as Record<string, Json> }),
    links: { checkpoint: address(links.checkpoint), reports: address(links.reports), journal: address(links.journal) },
    token: text(all, "token", "the body"),
  };
}
