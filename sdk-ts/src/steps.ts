/**
 * Makes the durable calls of `step.ts`: checks arguments, numbers ids, writes parameters, reads outcomes. What happens with an entry is
 * the replay's business.
 */
import { checkedDuration, durationMs } from "./duration.js";
import { MisuseError, StepError } from "./errors.js";
import { type EventDraft, type EventType, pointInTime, type ReceivedEvent } from "./event.js";
import { checkFetch, type FetchOptions, fetchRequest, FetchResponse, type FetchValue } from "./fetch.js";
import { type LabelOptions, writeLabels } from "./labels.js";
import type { FunctionRef, RetryOptions } from "./function.js";
import type { Codec } from "./codec.js";
import type { BodyFacts, Call } from "./replay/entry.js";
import type { Replay } from "./replay/replay.js";
import { UNDO } from "./replay/undo.js";
import { factsIn, type Run } from "./run.js";
import { parseWith } from "./schema.js";
import type { SignalType } from "./signal.js";
import type { InvokeOptions, Step, StepOptions, TolerantMapOptions, Waited, WaitForEventOptions, WaitOptions } from "./step.js";
import { all, any, type Branch, call, race, settledWithin, toleratedOf } from "./together.js";
import type { Duration, StandardSchema } from "./types.js";
import type { Update, Updated, UpdateType } from "./update.js";
import type { EntryKind } from "./wire/answer.js";
import { fromWireError, toWireError, type WireError } from "./wire/error.js";
import { awakeableToken, join, segment } from "./wire/ids.js";
import { ATTEMPTS_MAX, FACTOR_MAX } from "./wire/limits.js";
import type { JournalEntry, RunFacts } from "./wire/invocation.js";
import { writeJson } from "./wire/json.js";

/** What all scopes of one invocation share. */
export interface StepsHost {
  readonly replay: Replay;
  readonly facts: RunFacts;
  readonly codec: Codec;
}

type Params = Record<string, unknown>;

/** The outcome's value; throws its error. */
function valueOf(outcome: JournalEntry): unknown {
  if (outcome.err !== undefined) throw fromWireError(outcome.id, outcome.err);
  return outcome.ok;
}

/** Checks a retry policy and puts its fields in the protocol's order. Throws `MisuseError`. */
export function retryParams(retry: RetryOptions | undefined, what: string): Params | undefined {
  if (retry === undefined) return undefined;
  const { attempts, initialInterval, factor, maxInterval, jitter, nonRetryable } = retry;
  const refuse = (field: string, wanted: string): MisuseError =>
    new MisuseError(`failed to read ${what}: \`${field}\` is ${String(retry[field as keyof RetryOptions])}, not ${wanted}.`);
  if (attempts !== undefined && !(Number.isInteger(attempts) && attempts >= 1 && attempts <= ATTEMPTS_MAX)) throw refuse("attempts", `an integer from 1 to ${ATTEMPTS_MAX}`);
  if (factor !== undefined && !(factor >= 1 && factor <= FACTOR_MAX)) throw refuse("factor", `a number from 1 to ${FACTOR_MAX}`);
  if (jitter !== undefined && !(jitter >= 0 && jitter <= 1)) throw refuse("jitter", "a number from 0 to 1");
  if (initialInterval !== undefined) durationMs(initialInterval, `\`initialInterval\` of ${what}`);
  if (maxInterval !== undefined) durationMs(maxInterval, `\`maxInterval\` of ${what}`);
  return { attempts, initialInterval, factor, maxInterval, jitter, nonRetryable };
}

const timeoutParam = (timeout: Duration | undefined, id: string): Duration | undefined =>
  timeout === undefined ? undefined : checkedDuration(timeout, `the time-out of \`${id}\``);

/** The durable calls in one scope. */
export class Steps implements Step {
  readonly #host: StepsHost;
  readonly #path: string;
  readonly #entries = new Map<string, number>();
  readonly #scopes = new Map<string, number>();
  /** The run's facts with this scope's chance. */
  readonly facts: Run;

  constructor(host: StepsHost, path: string) {
    this.#host = host;
    this.#path = path;
    this.facts = factsIn(path, host.facts, host.replay, host.codec);
  }

  run<T>(id: string, body: (facts: BodyFacts) => T | Promise<T>, options: StepOptions = {}): Promise<any> {
    if (typeof body !== "function") throw new MisuseError(`failed to create step \`${id}\`: its body is ${typeof body}, not a function. Write step.run("${id}", () => …).`);
    const { codec } = this.#host;
    const span = (value: Duration | undefined, what: string): number | undefined => (value === undefined ? undefined : durationMs(value, `${what} of step \`${id}\``));
    const { timeout, heartbeat, scheduleToClose, scheduleToStart, compensate, compensateRetry } = options;
    const [timeoutMs, heartbeatMs] = [span(timeout, "the time-out"), span(heartbeat, "`heartbeat`")];
    span(scheduleToClose, "`scheduleToClose`");
    span(scheduleToStart, "`scheduleToStart`");
    const retry = retryParams(options.retry, `the retry policy of step \`${id}\``);
    const params = { retry, timeout, heartbeat, scheduleToClose, scheduleToStart, compensate: compensate === undefined ? undefined : true };
    const coded = (facts: BodyFacts): BodyFacts => ({ ...facts, heartbeat: (details) => facts.heartbeat(codec.encode(details)) });
    return this.#create("step", id, params, (outcome) => codec.decode(valueOf(outcome)), {
      body: async (facts) => writeJson(`the result of step \`${id}\``, codec.encode(await body(coded(facts)))),
      readDetails: (details) => codec.decode(details) as never,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
      ...(compensate === undefined ? {} : { undo: this.#undo(id, compensate, compensateRetry, coded) }),
    });
  }

  #undo(id: string, compensate: NonNullable<StepOptions["compensate"]>, retry: StepOptions["compensateRetry"], coded: (facts: BodyFacts) => BodyFacts): Call<unknown>["undo"] {
    if (typeof compensate !== "function") throw new MisuseError(`failed to create step \`${id}\`: \`compensate\` is ${typeof compensate}, not a function.`);
    const { codec } = this.#host;
    return {
      retry: retryParams(retry, `\`compensateRetry\` of step \`${id}\``),
      body: async (outcome, facts) => writeJson(`the result of the compensation of \`${id}\``, codec.encode(await compensate(codec.decode(outcome.ok), coded(facts)))),
    };
  }

  sleep(id: string, duration: Duration): Promise<void> {
    return this.#create("sleep", id, { for: checkedDuration(duration, `the length of sleep \`${id}\``) }, (o) => void valueOf(o));
  }

  sleepUntil(id: string, time: Date | string): Promise<void> {
    return this.#create("sleep", id, { until: pointInTime(time, `the end of sleep \`${id}\``) }, (o) => void valueOf(o));
  }

  waitForSignal(id: string, signal: SignalType<any, any> | string, options: WaitOptions = {}): Promise<Waited<any>> {
    const name = typeof signal === "string" ? signal : signal.signal;
    const schema = typeof signal === "string" ? undefined : signal.schema;
    if (!name) throw new MisuseError(`failed to create the wait \`${id}\`: the signal's name is empty.`);
    return this.#wait("waitSignal", id, { signal: name, timeout: timeoutParam(options.timeout, id) }, schema, `the payload of signal \`${name}\``);
  }

  async waitForUpdate(id: string, update: UpdateType<any, any, any>, options: WaitOptions = {}): Promise<Updated<any, any>> {
    const name = update?.update;
    if (!name) throw new MisuseError(`failed to create the wait \`${id}\`: pass an update, as made by update("name").`);
    const { replay } = this.#host;
    let timeout = timeoutParam(options.timeout, id);
    const until = timeout === undefined ? undefined : Date.parse(replay.lastDeliveredAt) + durationMs(timeout);
    for (;;) {
      const params = { signal: name, update: true, timeout };
      const came = await this.#create("waitSignal", id, params, (outcome) => (outcome.timeout === true ? null : valueOf(outcome)));
      if (came === null) return { timedOut: true };
      const { id: updateId, data } = came as { id: string; data: unknown };
      const reject = (error: unknown): void => replay.reply({ op: "reply", update: updateId, err: answerable(error) });
      try {
        const parsed = await parseWith(update.schema, `the data of update \`${name}\``, data);
        const reply = (result: unknown): void => replay.reply({ op: "reply", update: updateId, ok: writeJson(`the answer to update \`${name}\``, result) });
        return { timedOut: false, id: updateId, data: parsed, reply, reject } satisfies Update<any, any>;
      } catch (error) {
        reject(error);
        if (until !== undefined) timeout = Math.max(0, until - Date.parse(replay.lastDeliveredAt));
      }
    }
  }

  waitForEvent(id: string, event: EventType<any, any, any> | string, options: WaitForEventOptions = {}): Promise<Waited<any>> {
    const name = typeof event === "string" ? event : event.event;
    const schema = typeof event === "string" ? undefined : event.schema;
    if (!name) throw new MisuseError(`failed to create the wait \`${id}\`: the event's name is empty.`);
    const params = { event: name, if: options.if, timeout: timeoutParam(options.timeout, id), since: options.since };
    const read = (outcome: JournalEntry): unknown => {
      if (outcome.timeout === true) return { timedOut: true };
      const received = valueOf(outcome) as ReceivedEvent;
      const waited = (data: unknown): unknown => ({ timedOut: false, data: { ...received, data } });
      return chain(parseWith(schema, `the data of event \`${name}\``, received.data), waited);
    };
    return this.#create("waitEvent", id, params, read);
  }

  awakeable(id: string, options: WaitOptions = {}): { token: string; promise: Promise<Waited<any>> } {
    const { facts } = this.#host;
    let wireId = "";
    const promise = this.#wait("waitSignal", id, { awakeable: true, timeout: timeoutParam(options.timeout, id) }, undefined, "", (w) => {
      wireId = w;
    });
    return { token: awakeableToken(facts.id, facts.secret, wireId), promise };
  }

  invoke(id: string, fn: FunctionRef<any, any>, input: unknown, options: InvokeOptions = {}): Promise<any> {
    const { codec } = this.#host;
    const timeout = timeoutParam(options.timeout, id);
    const { parentClose } = options;
    if (parentClose !== undefined && !["cancel", "abandon", "wait"].includes(parentClose)) {
      throw new MisuseError(`failed to create the child \`${id}\`: \`parentClose\` is ${JSON.stringify(parentClose)}, not "cancel", "abandon" or "wait".`);
    }
    const read = (outcome: JournalEntry): unknown => {
      if (outcome.timeout === true) throw new StepError(outcome.id, `child \`${id}\` did not end within ${String(timeout)}`, { name: "Timeout" });
      return codec.decode(valueOf(outcome));
    };
    return this.#create("invoke", id, { ...this.#target(id, fn, input), timeout, parentClose, ...writeLabels(options) }, read, parentClose === "wait" ? { holdsEnd: true } : {});
  }

  start(id: string, fn: FunctionRef<any, any>, input: unknown, options: { detached: true } & LabelOptions): Promise<string> {
    if (options?.detached !== true) throw new MisuseError(`failed to start \`${id}\`: pass { detached: true }, or use step.invoke to wait for the child.`);
    return this.#create("invoke", id, { ...this.#target(id, fn, input), detached: true, ...writeLabels(options) }, (o) => (valueOf(o) as { ids: string[] }).ids[0]);
  }

  fetch(id: string, options: FetchOptions): Promise<FetchResponse> {
    const { timeout, scheduleToClose, retryOn } = options;
    checkFetch(id, options);
    const retry = retryParams(options.retry, `the retry policy of the call \`${id}\``);
    const params = { request: fetchRequest(id, options), retry, timeout, scheduleToClose, retryOn };
    return this.#create("fetch", id, params, (o) => new FetchResponse(id, valueOf(o) as FetchValue));
  }

  send(id: string, events: EventDraft | readonly EventDraft[]): Promise<string[]> {
    const drafts = (Array.isArray(events) ? events : [events]) as readonly EventDraft[];
    if (drafts.length === 0) throw new MisuseError(`failed to create \`${id}\`: there is no event to send.`);
    const written = drafts.map(({ name, data, id }) => ({ name, data: data === undefined ? null : data, id }));
    return this.#create("send", id, { events: written }, (o) => (valueOf(o) as { ids: string[] }).ids);
  }

  scope<T>(id: string, part: (step: Step, run: Run) => T | Promise<T>): Promise<T> {
    const inner = this.#inner(id);
    return call(() => part(inner, inner.facts));
  }

  shield<T>(id: string, part: (step: Step, run: Run) => T | Promise<T>): Promise<T> {
    const inner = this.#inner(id);
    const end = this.#host.replay.shield();
    const promise = call(() => part(inner, inner.facts));
    promise.then(end, end);
    return promise;
  }

  map<T, R>(id: string, items: readonly T[], branch: (item: T, step: Step, run: Run, index: number) => R | Promise<R>, options: Partial<TolerantMapOptions<T>> = {}): Promise<any> {
    const { key, concurrency = Number.POSITIVE_INFINITY, toleratedFailures } = options;
    if (!(concurrency >= 1)) throw new MisuseError(`failed to create \`${id}\`: \`concurrency\` is ${concurrency}, not a number of at least 1.`);
    const tolerated = toleratedFailures === undefined ? undefined : toleratedOf(toleratedFailures, items.length, id);
    const keys = items.map((item, index) => String(key === undefined ? index : key(item, index)));
    const doubled = doubledIn(keys);
    if (doubled !== undefined) throw new MisuseError(`failed to create \`${id}\`: two items have the key ${JSON.stringify(doubled)}, so their entries could not be told apart.`);
    const outer = this.#inner(id);
    const branches = items.map((item, index) => () => {
      const inner = outer.#inner(keys[index] as string);
      return branch(item, inner, inner.facts, index);
    });
    const { replay } = this.#host;
    return tolerated === undefined ? (all(replay, branches, concurrency) as Promise<R[]>) : settledWithin(replay, branches, { concurrency, tolerated, keys });
  }

  all(branches: readonly Branch[]): Promise<any> {
    return all(this.#host.replay, branches);
  }

  allSettled(branches: readonly Branch[]): Promise<any> {
    return settledWithin(this.#host.replay, branches, { concurrency: Number.POSITIVE_INFINITY, tolerated: branches.length, keys: [] });
  }

  race(branches: readonly Branch[]): Promise<any> {
    return race(branches);
  }

  any(branches: readonly Branch[]): Promise<any> {
    return any(branches);
  }

  #wait(op: EntryKind, id: string, params: Params, schema: StandardSchema | undefined, what: string, onId?: (id: string) => void): Promise<Waited<any>> {
    const read = (outcome: JournalEntry): unknown => {
      if (outcome.timeout === true) return { timedOut: true };
      return chain(parseWith(schema, what, valueOf(outcome)), (data) => ({ timedOut: false, data }));
    };
    return this.#create(op, id, params, read, {}, onId);
  }

  #target(id: string, fn: FunctionRef, input: unknown): Params {
    if (typeof fn?.function !== "string") throw new MisuseError(`failed to create the child \`${id}\`: pass a function of this app, or functionRef("app/function").`);
    const written = this.#host.codec.encode(input);
    return { app: fn.app === this.#host.facts.app ? undefined : fn.app, function: fn.function, key: fn.key, input: written === undefined ? null : written };
  }

  #inner(id: string): Steps {
    const repeat = this.#scopes.get(id) ?? 0;
    const inner = new Steps(this.#host, join(this.#path, segment(id, repeat)));
    this.#scopes.set(id, repeat + 1);
    return inner;
  }

  #create(
    op: EntryKind,
    name: string,
    params: Params,
    read: (outcome: JournalEntry) => unknown,
    more: Partial<Call<unknown>> = {},
    onId?: (id: string) => void,
  ): Promise<any> {
    const repeat = this.#entries.get(name) ?? 0;
    const id = join(this.#path, segment(name, repeat));
    if (more.undo !== undefined) join(UNDO.slice(0, -1), id); // Its compensation needs an id, too.
    const written = writeJson(`the parameters of \`${name}\``, params);
    this.#entries.set(name, repeat + 1);
    onId?.(id);
    return this.#host.replay.create({ op, id, name, params: written, read, ...more });
  }
}

/** What the sender of an update is told of an error. */
function answerable(error: unknown): WireError {
  const { name, message, code, data } = toWireError(error, false);
  return { name, message, ...(code === undefined ? {} : { code }), ...(data === undefined ? {} : { data }) };
}

/** The first key that is there twice. */
function doubledIn(keys: readonly string[]): string | undefined {
  if (new Set(keys).size === keys.length) return undefined;
  return keys.find((key, index) => keys.indexOf(key) < index);
}

function chain<T, U>(value: T | Promise<T>, then: (value: T) => U): U | Promise<U> {
  return value instanceof Promise ? value.then(then) : then(value);
}
