/**
 * The interpreter of the conformance corpus: a program of its mini-language becomes a handler that uses the public surface only.
 * The language is defined in tests/conformance/README.md.
 */
import type { Context } from "../function.js";
import { NonRetriableError, RetryAfterError, StepError } from "../errors.js";
import type { EventDraft } from "../event.js";
import { type FunctionRef, functionRef } from "../function.js";
import { objectRef } from "../object.js";
import type { BodyFacts } from "../replay/entry.js";
import type { Run } from "../run.js";
import type { State } from "../state.js";
import type { Step, StepOptions, Waited } from "../step.js";
import type { Json, StandardSchema } from "../types.js";
import { type Update, update } from "../update.js";

/** A statement: one verb, its fields, and perhaps `as`. */
export type Statement = Record<string, any>;
type Block = Statement[];
type Variables = Record<string, unknown>;

/** Ends the branch that a `return` stands in. */
class Return {
  constructor(readonly value: unknown) {}
}

interface Frame {
  readonly step: Step;
  readonly run: Run;
  readonly variables: Variables;
  /** Told which bodies began. */
  readonly began: (entry: string) => void;
  /** Told which bodies were told to stop. */
  readonly stopped: (entry: string) => void;
  readonly awakeables: Map<string, Promise<Waited<Json>>>;
  /** Updates that have come, by the variable that they were bound to. */
  readonly updates: Map<string, Update<unknown, unknown>>;
  /** The state of the object that the program is a handler of. */
  readonly state: State<Record<string, unknown>> | undefined;
}

function lookup(path: string, variables: Variables): unknown {
  let value: any = variables;
  for (const key of path.split(".")) value = value?.[key] ?? null;
  return value;
}

function evaluate(template: any, variables: Variables): any {
  if (Array.isArray(template)) return template.map((item) => evaluate(item, variables));
  if (typeof template !== "object" || template === null) return template;
  const keys = Object.keys(template);
  if (keys.length === 1 && keys[0] === "$") return lookup(template.$, variables);
  return Object.fromEntries(keys.map((key) => [key, evaluate(template[key], variables)]));
}

function thrown(error: Statement): Error {
  const { name, message, code, data, retryable, retryAfter } = error;
  const details = { name, ...(code === undefined ? {} : { code }), ...(data === undefined ? {} : { data }) };
  if (retryable === false) return new NonRetriableError(message, details);
  if (retryAfter !== undefined) return new RetryAfterError(message, retryAfter, details);
  return Object.assign(new Error(message), details);
}

/** An error as programs see it. */
function visible(error: any): Json {
  const { name, message, code, data } = error;
  return { name, message, ...(code === undefined ? {} : { code }), ...(data === undefined ? {} : { data }) };
}

/** What branches came to, as programs see it. */
function settled(ends: PromiseSettledResult<unknown>[]): Json {
  return ends.map((end) => (end.status === "fulfilled" ? { ok: end.value as Json } : { err: visible(end.reason) }));
}

/** Waits, unless it is told to stop: then it throws at once. */
function slow(ms: number, signal: AbortSignal, stopped: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      stopped();
      reject(Object.assign(new Error("told to stop"), { name: "Stopped" }));
    });
  });
}

/** A schema that takes what is of one type of JSON. */
function accepting(type: string | undefined): StandardSchema | undefined {
  if (type === undefined) return undefined;
  const validate = (value: unknown): any => (typeof value === type ? { value } : { issues: [{ message: `is no ${type}` }] });
  return { "~standard": { version: 1, vendor: "corpus", validate } };
}

/** The options of a step, with what undoes it. */
function optionsOf(s: Statement, frame: Frame): StepOptions {
  if (s.undo === undefined) return s.options ?? {};
  const compensate = (result: unknown, facts: BodyFacts): Promise<unknown> => body(s.undo, facts, { ...frame, variables: { ...frame.variables, result } });
  return { ...s.options, compensate, ...(s.undo.retry === undefined ? {} : { compensateRetry: s.undo.retry }) };
}

async function body(s: Statement, facts: BodyFacts, frame: Frame): Promise<unknown> {
  const entry = facts.idempotencyKey.slice(frame.run.id.length + 1);
  frame.began(entry);
  for (const { topic, data, channel } of s.publishes ?? []) facts.publish(topic, evaluate(data, frame.variables), channel === undefined ? {} : { channel });
  for (const said of s.heartbeats ?? []) facts.heartbeat(evaluate(said, frame.variables));
  if (s.slow !== undefined) await slow(s.slow, facts.signal, () => frame.stopped(entry));
  if (s.nested !== undefined) return frame.step.run(s.nested, () => 1);
  if (s.unserializable === true) return { list: [null, new Map([[{}, 1]])] };
  if (s.throw !== undefined && facts.attempt <= (s.times ?? Number.POSITIVE_INFINITY)) throw thrown(s.throw);
  return evaluate(s.ok, { ...frame.variables, body: { attempt: facts.attempt, idempotencyKey: facts.idempotencyKey, details: facts.details ?? null } });
}

const given = (from: Statement, ...names: string[]): any => Object.fromEntries(names.filter((n) => from[n] !== undefined).map((n) => [n, from[n]]));

/** The function, or the handler of an object, that a statement names. */
function target(s: Statement, frame: Frame): FunctionRef<any, any> {
  if (s.key === undefined) return functionRef(s.function);
  const [object, handler] = s.function.split("/");
  return objectRef<any>(object)(evaluate(s.key, frame.variables))[handler] as FunctionRef;
}

/** Runs a branch: a block in which `return` ends the block alone. A branch that is one call gives back that call's own promise. */
function branch(block: Block, frame: Frame): Promise<unknown> {
  const [only] = block;
  if (block.length === 1 && only !== undefined && only.as === undefined && ENTRIES.some((verb) => verb in only)) return statement(only, frame) as Promise<unknown>;
  return sequence(block, frame).then((value) => (value instanceof Return ? value.value : value));
}

async function sequence(block: Block, frame: Frame): Promise<unknown> {
  let value: unknown = null;
  for (const s of block) {
    value = await statement(s, frame);
    if (value instanceof Return) return value;
    if (s.as !== undefined) frame.variables[s.as] = value;
  }
  return value;
}

/** Verbs that are one call of the surface. */
const ENTRIES = ["step", "sleep", "signal", "event", "invoke", "start", "fetch", "send"];

const VERBS: Record<string, (s: Statement, f: Frame) => unknown> = {
  step: (s, f) => f.step.run(s.step, (facts) => body(s, facts, f), optionsOf(s, f)),
  sleep: (s, f) => (s.for === undefined ? f.step.sleepUntil(s.sleep, s.until) : f.step.sleep(s.sleep, s.for)),
  signal: (s, f) => f.step.waitForSignal(s.signal, s.name, given(s, "timeout")),
  event: (s, f) => f.step.waitForEvent(s.event, s.name, given(s, "if", "timeout", "since")),
  update: async (s, f) => {
    const came = await f.step.waitForUpdate(s.update, update(s.name, accepting(s.accepts) as StandardSchema), given(s, "timeout"));
    if (came.timedOut) return { timedOut: true };
    f.updates.set(s.as, came);
    return { timedOut: false, id: came.id, data: came.data };
  },
  reply: (s, f) => {
    const came = f.updates.get(s.reply);
    if (s.err === undefined) came?.reply(evaluate(s.ok, f.variables));
    else came?.reject(thrown(s.err));
    return null;
  },
  addTags: (s, f) => f.run.addTags(...evaluate(s.addTags, f.variables)),
  removeTags: (s, f) => f.run.removeTags(...evaluate(s.removeTags, f.variables)),
  setTags: (s, f) => f.run.setTags(evaluate(s.setTags, f.variables)),
  setAttributes: (s, f) => f.run.setAttributes(evaluate(s.setAttributes, f.variables)),
  removeAttributes: (s, f) => f.run.removeAttributes(...evaluate(s.removeAttributes, f.variables)),
  labels: (_, f) => ({ tags: f.run.tags, attributes: f.run.attributes }),
  status: (s, f) => void f.run.setStatus(evaluate(s.status, f.variables)),
  publish: (s, f) => void f.run.publish(s.publish, evaluate(s.data, f.variables), given(s, "channel")),
  patched: (s, f) => f.run.patched(s.patched),
  deprecatePatch: (s, f) => void f.run.deprecatePatch(s.deprecatePatch),
  continueAsNew: (s, f) => f.run.continueAsNew(evaluate(s.continueAsNew, f.variables)),
  get: (s, f) => f.state?.get(s.get) ?? null,
  set: (s, f) => void f.state?.set(evaluate(s.set, f.variables)),
  clear: (s, f) => void f.state?.clear(...s.clear),
  invoke: (s, f) => f.step.invoke(s.invoke, target(s, f), evaluate(s.input ?? null, f.variables), given(s, "timeout", "parentClose", "tags", "attributes")),
  start: (s, f) => f.step.start(s.start, target(s, f), evaluate(s.input ?? null, f.variables), { detached: true, ...given(s, "tags", "attributes") }),
  fetch: async (s, f) => {
    const answer = await f.step.fetch(s.fetch, { ...evaluate(s.request, f.variables), ...s.options });
    return { status: answer.status, headers: answer.headers, body: answer.body, encoding: answer.encoding };
  },
  send: (s, f) => f.step.send(s.send, evaluate(s.events, f.variables) as EventDraft[]),
  awakeable: (s, f) => {
    const { token, promise } = f.step.awakeable(s.awakeable, given(s, "timeout"));
    f.awakeables.set(s.awakeable, promise);
    return token;
  },
  await: (s, f) => f.awakeables.get(s.await),
  all: (s, f) => f.step.all((s.all as Block[]).map((block) => () => branch(block, f))),
  allSettled: async (s, f) => settled(await f.step.allSettled((s.allSettled as Block[]).map((block) => () => branch(block, f)))),
  race: (s, f) => f.step.race((s.race as Block[]).map((block) => () => branch(block, f))),
  any: (s, f) => f.step.any((s.any as Block[]).map((block) => () => branch(block, f))),
  scope: (s, f) => f.step.scope(s.scope, (step, run) => branch(s.do, { ...f, step, run })),
  shield: (s, f) => f.step.shield(s.shield, (step, run) => branch(s.do, { ...f, step, run })),
  map: (s, f) => {
    const key = s.key === undefined ? {} : { key: (item: any) => item[s.key] };
    const inner = (item: unknown, step: Step, run: Run): Promise<unknown> => branch(s.do, { ...f, step, run, variables: { ...f.variables, [s.item]: item } });
    const [items, options] = [evaluate(s.items, f.variables), { ...key, ...given(s, "concurrency") }];
    if (s.tolerate === undefined) return f.step.map<unknown, unknown>(s.map, items, inner, options);
    return f.step.map<unknown, unknown>(s.map, items, inner, { ...options, toleratedFailures: s.tolerate }).then(settled);
  },
  repeat: async (s, f) => {
    let value: unknown = null;
    for (let i = 0; i < s.repeat; i++) {
      value = await sequence(s.do, f);
      if (value instanceof Return) return value;
    }
    return value;
  },
  try: async (s, f) => {
    try {
      return await sequence(s.try, f);
    } catch (error) {
      f.variables[s.error] = visible(error);
      f.variables[`${s.error} `] = error; // What `rethrow` throws; no program can name it.
      return sequence(s.catch, f);
    }
  },
  if: (s, f) => {
    const condition = evaluate(s.if, f.variables);
    return sequence((condition === false || condition === null ? s.else : s.then) ?? [], f);
  },
  let: (s, f) => evaluate(s.let, f.variables),
  now: (_, f) => f.run.now().toISOString(),
  uuid: (_, f) => f.run.uuid(),
  random: (_, f) => f.run.random(),
  return: (s, f) => new Return(evaluate(s.return, f.variables)),
  fail: (s) => {
    throw thrown(s.fail);
  },
  rethrow: (s, f) => {
    throw f.variables[`${s.rethrow} `];
  },
};

function statement(s: Statement, frame: Frame): unknown {
  // A `signal` statement has a `name`, a `throw` belongs to a step: the first verb in the table's order is the verb.
  const verb = Object.keys(VERBS).find((name) => name in s);
  if (verb === undefined) throw new StepError("", `no verb in ${JSON.stringify(s)}`);
  return VERBS[verb]?.(s, frame);
}

/** The handler that a program stands for. */
export function handlerOf(program: Block, began: (entry: string) => void, stopped: (entry: string) => void = () => undefined): (context: Context<any, any>) => Promise<unknown> {
  return async (context) => {
    const { step, run, input, trigger } = context;
    const { key = null, state } = context as { key?: string; state?: State<Record<string, unknown>> };
    const event = trigger.kind === "event" ? trigger.events[0] : null;
    const variables: Variables = { input, run: { id: run.id, name: run.name, attempt: run.attempt, key, deadline: run.deadline?.toISOString() ?? null }, event: event ?? null, tick: context.tick === undefined ? null : JSON.parse(JSON.stringify(context.tick)) };
    return (await branch([...program], { step, run, variables, began, stopped, awakeables: new Map(), updates: new Map(), state })) ?? null;
  };
}
