/**
 * A run in a test: a miniature of the server, with a clock that is skipped. It speaks the real protocol with the real
 * replay, so a handler that passes here is replayed in the same way by a server.
 */
import { appOf } from "../app.js";
import { durationMs } from "../duration.js";
import { MisuseError, StepError } from "../errors.js";
import type { EventDraft } from "../event.js";
import { execute, type ExecuteOptions } from "../execute.js";
import type { FunctionDefinition } from "../function.js";
import { type Labels, writeLabels } from "../labels.js";
import type { StepBody } from "../replay/bodies.js";
import type { Abandoned } from "../replay/replay.js";
import type { SignalType } from "../signal.js";
import type { Duration, Json, Jsonify } from "../types.js";
import type { UpdateType } from "../update.js";
import { printAnswer } from "../wire/answer.js";
import { toWireError, type WireError } from "../wire/error.js";
import { awakeableToken } from "../wire/ids.js";
import { readInvocation, type Trigger, type WireEvent } from "../wire/invocation.js";
import { writeJson } from "../wire/json.js";
import { BODY_BYTES_MAX } from "../wire/limits.js";
import { TestCheckpoints } from "./checkpoints.js";
import { fetched } from "./fetches.js";
import { passes } from "./filter.js";
import { Journal, nextAttemptMs, type Outcome, type TestEntry, tooLate } from "./journal.js";
import { failingBody, failureHandlerOf, injectedBody, type TestRunOptions } from "./options.js";
import { type TestMessage, TestStream } from "./stream.js";
import { TestUpdates } from "./updates.js";

/** Where a run stands. */
export type TestRunStatus = "running" | "completed" | "failed" | "cancelled";

/** A run that failed, was cancelled, or cannot go on. */
export class TestRunError extends Error {
  override readonly name = "TestRunError";

  constructor(
    message: string,
    /** The error that the run ended with, if it ended. */
    readonly error?: WireError,
  ) {
    super(message);
  }
}

/** Invocations without any progress after which a test gives up: a run that turns in circles. */
const IDLE_INVOCATIONS_MAX = 20;
/** How often a compensation is tried that says nothing else. */
const UNDO_ATTEMPTS = 10;
const NEVER = Number.POSITIVE_INFINITY;
const SECRET = "00112233445566778899aabbccddeeff";
const EPOCH = "2026-01-01T00:00:00.000Z";
const RUN_ID = /^run_[0-9a-hjkmnp-tv-z]{26}$/;
const tail = (n: number): string => `01kdvqx000${String(n).padStart(16, "0")}`;

/** A run of one function, driven by a test. Make it with `testRun`. */
export class TestRun<Out = Json> {
  /** Every answer the server took, in order. */
  readonly answers: any[] = [];
  /** Events that the run has sent. */
  readonly sent: EventDraft[] = [];
  /** Detached children that the run has started. */
  readonly started: { id: string; function: string; input: Json }[] = [];
  /** The runs that it went on in (`run.continueAsNew`), in order. Everything else here is about the last one. */
  readonly continued: { id: string; input: Json }[] = [];
  /** What the server was told of in each answer and report that it took: ids of entries, or the op. */
  readonly told: string[][] = [];

  #fn: FunctionDefinition<any, Out>;
  readonly #options: TestRunOptions;
  readonly #updates = new TestUpdates();
  readonly #stream = new TestStream();
  readonly #key: string | undefined;
  #id: string;
  #journal = new Journal();
  #startedAt: number;
  #trigger: Trigger;
  #input: Json;
  #state: Record<string, Json>;
  #stateAtFirst: Record<string, Json>;
  #value: Json = null;
  #labels: Labels;
  #labelsAtFirst: Labels;
  /** The compensation that the run is held for. */
  #held: string | undefined;
  readonly #executions = new Map<string, number>();
  readonly #crashed = new Set<string>();
  readonly #signals: { name: string; data: Json }[] = [];
  readonly #events: WireEvent[] = [];
  readonly #early = new Map<string, Outcome>();
  #nowMs: number;
  #status: TestRunStatus = "running";
  #outcome: { ok: Json } | { err: WireError } | undefined;
  #attempt = 1;
  #seen: number | undefined;
  #ready = true;
  #retryAt: number | undefined;
  #awaiting: string[][] | undefined;
  #idle = 0;
  #counter = 0;
  #invocations = 0;

  constructor(fn: FunctionDefinition<any, Out>, options: TestRunOptions) {
    this.#fn = options.failure === undefined ? fn : failureHandlerOf(fn);
    this.#options = options;
    this.#id = options.id ?? `run_${tail(0)}`;
    if (!RUN_ID.test(this.#id)) throw new MisuseError(`failed to prepare the run ${JSON.stringify(this.id)}: ids of runs are run_ and 26 characters of 0-9 and a-z without i, l, o, u.`);
    this.#nowMs = this.#startedAt = new Date(options.now ?? EPOCH).getTime();
    const at = this.now.toISOString();
    const { event, failure, tick } = options;
    const json = (value: unknown): Json => writeJson("the test's input", value).value() as Json;
    this.#labels = this.#labelsAtFirst = { tags: [], attributes: {}, ...writeLabels(options) };
    this.#trigger = failure !== undefined ? { kind: "failure" } : event === undefined ? { kind: "call" } : { kind: "event", events: [{ id: event.id ?? `evt_${tail(0)}`, name: event.name, data: json(event.data), at }] };
    if (tick !== undefined) {
      const iso = (time: Date | string): string => new Date(time).toISOString();
      this.#trigger = { kind: "schedule", schedule: `${fn.app}/${fn.function}`, at: iso(tick.at), previous: tick.previous === undefined ? null : iso(tick.previous) };
    }
    this.#input = event === undefined ? json(appOf(fn).codec.encode(failure ?? options.input)) : json(event.data);
    this.#key = fn.mode === undefined ? undefined : (options.key ?? fn.key ?? "key");
    const coded = Object.entries(options.state ?? {}).map(([name, value]) => [name, json(appOf(fn).codec.encode(value))]);
    this.#stateAtFirst = Object.fromEntries(coded);
    this.#state = { ...this.#stateAtFirst };
  }

  /** The run's id; after `run.continueAsNew` that of the one that goes on. */
  get id(): string {
    return this.#id;
  }

  /** What the run shows of itself: its last `run.setStatus`. */
  get value(): Json {
    return this.#value;
  }

  /** What the run has published, as a reader has it in the end: nothing of attempts that came to nothing. */
  get messages(): readonly TestMessage[] {
    return this.#stream.messages;
  }

  /** The tags that the run is found by. */
  get tags(): readonly string[] {
    return this.#labels.tags;
  }

  /** The attributes that the run is found by. */
  get attributes(): Labels["attributes"] {
    return this.#labels.attributes;
  }

  /** The object's state as it is now. */
  get state(): Readonly<Record<string, Json>> {
    return this.#state;
  }

  /** The test's clock. */
  get now(): Date {
    return new Date(this.#nowMs);
  }

  /** Where the run stands. */
  get status(): TestRunStatus {
    return this.#status;
  }

  /** The entries, in the order of their creation. */
  get journal(): readonly TestEntry[] {
    return [...this.#journal.entries.values()];
  }

  /** An entry by its id. Throws if the run has none of it. */
  entry(id: string): TestEntry {
    const entry = this.#journal.entries.get(id);
    if (entry === undefined) throw new TestRunError(`the run has no entry \`${id}\`. It has: ${this.journal.map((e) => e.id).join(", ") || "none"}`);
    return entry;
  }

  /** How often the body of a step began. */
  executions(id: string): number {
    return this.#executions.get(id) ?? 0;
  }

  /** The token of an open awakeable. */
  token(id: string): string {
    return awakeableToken(this.id, SECRET, this.entry(id).id);
  }

  /** Runs to the end, skipping time. Throws `TestRunError` if the run fails, or waits for something that never comes by itself. */
  async result(): Promise<Out> {
    await this.#drive(() => false, true);
    if (this.#held !== undefined) throw new TestRunError(`the run is held: its compensation \`${this.#held}\` has failed for the last time. Settle it, then ask for the result.`, this.entry(this.#held).error);
    if (this.#outcome === undefined) throw new TestRunError(`the run cannot go on by itself: it waits for ${this.#openEntries()}. Settle that, then ask for the result.`);
    if ("ok" in this.#outcome) return appOf(this.#fn).codec.decode(this.#outcome.ok) as Out;
    const { err } = this.#outcome;
    throw new TestRunError(`the run ${this.#status === "cancelled" ? "was cancelled" : "failed"}: ${err.name}: ${err.message}`, err);
  }

  /** Runs, skipping time, until an entry is open or settled. */
  async until(id: string): Promise<TestEntry> {
    await this.#drive(() => this.#journal.entries.has(id), true);
    return this.entry(id);
  }

  /** Runs as far as it goes without time passing. */
  async idle(): Promise<void> {
    await this.#drive(() => false, false);
  }

  /** Lets time pass, and runs what falls due. */
  async advance(duration: Duration): Promise<void> {
    const until = this.#nowMs + durationMs(duration);
    await this.idle();
    for (let at = this.#nextAt(); at !== undefined && at <= until; at = this.#nextAt()) {
      this.#passTo(at);
      await this.idle();
    }
    this.#nowMs = Math.max(this.#nowMs, until);
  }

  /** Sends a signal. Early ones are kept. */
  signal<In>(signal: SignalType<In, any> | string, data?: In): void {
    const name = typeof signal === "string" ? signal : signal.signal;
    this.#signals.push({ name, data: writeJson(`the payload of signal \`${name}\``, data).value() as Json });
    for (const entry of this.journal) if (entry.status === "open") this.#takeSignal(entry);
  }

  /** Sends an update, kept until the handler waits for it. Resolves to what it replies, while the run is driven; rejects with what it rejects with. */
  update<In, Result>(update: UpdateType<In, any, Result>, data?: In): Promise<Jsonify<Result>>;
  update(update: string, data?: unknown): Promise<Json>;
  update(update: UpdateType<any, any, any> | string, data?: unknown): Promise<any> {
    const name = typeof update === "string" ? update : update.update;
    const answer = this.#updates.add(name, writeJson(`the data of update \`${name}\``, data).value() as Json);
    for (const entry of this.journal) if (entry.status === "open") this.#takeSignal(entry);
    return answer;
  }

  /** Goes on with other code, as after a deployment; the journal stays. */
  deploy(fn: FunctionDefinition<any, Out>): void {
    this.#fn = fn;
    this.#ready = true;
  }

  /** Sends an event that the run may wait for, or that cancels it. */
  event(draft: EventDraft): void {
    const data = writeJson(`the data of event \`${draft.name}\``, draft.data).value() as Json;
    if (this.#isCancelledBy(draft.name, data)) this.cancel();
    this.#events.push({ id: draft.id ?? this.#nextId("evt"), name: draft.name, data, at: this.now.toISOString() });
    for (const entry of this.journal) if (entry.status === "open" && entry.op === "waitEvent") this.#takeEvent(entry, this.#events.length - 1);
  }

  /** Settles an awakeable by its token, as its holder would. */
  resolve(token: string, value: unknown): void {
    this.#settleToken(token, { ok: writeJson("the value", value).value() as Json });
  }

  /** Settles an awakeable by its token with an error. */
  reject(token: string, error: { name: string; message: string }): void {
    this.#settleToken(token, { err: { name: error.name, message: error.message } });
  }

  /** Settles any open entry directly: a child, a wait, a step that is in back-off. */
  settle(id: string, outcome: { ok: unknown } | { err: { name: string; message: string; data?: Json } } | { timeout: true }): void {
    const written = "ok" in outcome ? { ok: writeJson(`the outcome of \`${id}\``, outcome.ok).value() as Json } : outcome;
    if (this.#held === id) this.#held = undefined;
    if (!this.#settle(this.entry(id), written)) throw new TestRunError(`the entry \`${id}\` has settled already: ${this.entry(id).status}`);
  }

  /** Cancels the run: an entry in its journal, delivered in its turn. */
  cancel(): void {
    if (this.#status === "running" && !this.#journal.entries.has("$cancel")) this.#settle(this.#journal.create("$cancel", "cancel", "$cancel", {}), { ok: null });
    this.#ready = true;
  }

  async #drive(reached: () => boolean, skipTime: boolean): Promise<void> {
    while (this.#status === "running" && this.#held === undefined && !reached()) {
      if (this.#ready && this.#retryAt === undefined) await this.#invoke();
      else {
        const at = skipTime ? this.#nextAt() : undefined;
        if (at === undefined) return;
        this.#passTo(at);
      }
    }
  }

  #nextAt(): number | undefined {
    const next = Math.min(this.#retryAt ?? NEVER, this.#journal.nextDue()?.dueAt ?? NEVER, this.#failed ? NEVER : (this.#deadline ?? NEVER));
    return next === NEVER ? undefined : next;
  }

  #passTo(at: number): void {
    this.#nowMs = Math.max(this.#nowMs, at);
    if (this.#retryAt !== undefined && this.#retryAt <= this.#nowMs) this.#retryAt = undefined;
    for (let due = this.#journal.nextDue(); due?.dueAt !== undefined && due.dueAt <= this.#nowMs; due = this.#journal.nextDue()) {
      if (due.op === "step") {
        delete due.dueAt;
        if (due.closeAt !== undefined && due.closeAt <= this.#nowMs) this.#settle(due, { err: tooLate(due) });
        this.#ready = true;
      } else this.#settle(due, due.outcome ?? (due.op === "sleep" ? { ok: null } : { timeout: true }));
    }
    if (!this.#failed && this.#deadline !== undefined && this.#deadline <= this.#nowMs) this.#failForGood({ name: "Timeout", message: "the run took longer than its `timeouts.run`" });
  }

  /** When the run fails if it has not ended. */
  get #deadline(): number | undefined {
    const lasts = this.#fn.options.timeouts?.run;
    return lasts === undefined ? undefined : this.#startedAt + durationMs(lasts);
  }

  get #failed(): boolean {
    return this.#journal.entries.has("$failure");
  }

  async #invoke(): Promise<void> {
    this.#ready = false;
    this.#awaiting = undefined;
    const body = this.#body();
    const crash = new AbortController();
    const invocation = readInvocation(JSON.stringify(body));
    const stage = (id: string, own: StepBody): StepBody => this.#stage(id, own, crash);
    const lost = (error: Abandoned): undefined => {
      if (!crash.signal.aborted) throw error;
      return undefined;
    };
    const before = this.#journal.seq + this.#journal.entries.size;
    const answer = await execute(appOf(this.#fn), this.#fn as FunctionDefinition, invocation, { signal: crash.signal, stage, ...this.#talk(crash) }).catch(lost);
    const printed = answer === undefined ? undefined : JSON.parse(printAnswer(answer, BODY_BYTES_MAX));
    if (printed === undefined || this.#loses(printed.ops)) {
      this.#stream.hush();
      this.#attempt++;
      this.#ready = true;
      return;
    }
    this.answers.push(printed);
    await this.#apply(printed, before);
    this.#stream.hush();
  }

  /** How this invocation talks to the server, and where its handler logs. */
  #talk(crash: AbortController): ExecuteOptions {
    const { log, mode } = this.#options;
    const logs = log === undefined ? {} : { log };
    if (mode !== "checkpoint") return logs;
    const loses = (ops: any[]): boolean => {
      const lost = this.#loses(ops);
      if (lost) crash.abort();
      return lost;
    };
    return { ...logs, checkpointer: new TestCheckpoints({ journal: this.#journal, nowMs: () => this.#nowMs, apply: (op) => this.#applyOp(op), loses }) };
  }

  #body(): object {
    const { id } = this;
    const run = { id, app: this.#fn.app, function: this.#fn.function, name: this.#options.runId ?? null, attempt: this.#attempt, startedAt: new Date(this.#startedAt).toISOString(), deadline: this.#deadline === undefined ? null : new Date(this.#deadline).toISOString(), key: this.#key ?? null, secret: SECRET, published: this.#stream.published, ...(this.#seen === undefined ? {} : { seen: this.#seen }) };
    const state = this.#key === undefined ? {} : { state: this.#stateAtFirst };
    return { run, trigger: { ...this.#trigger, labels: this.#labelsAtFirst }, input: this.#input, ...state, journal: this.#journal.wire(this.#nowMs), links: { checkpoint: null, journal: null }, token: `inv_1.${(this.#invocations++).toString(16)}.${id.slice(4)}` };
  }

  #stage(id: string, own: StepBody, crash: AbortController): StepBody {
    if (this.#options.crash !== "everywhere" && this.#options.crash?.before?.includes(id) && !this.#crashed.has(`before ${id}`)) {
      this.#crashed.add(`before ${id}`);
      return ({ signal }) => {
        crash.abort();
        // It ends with its invocation, so that its time-out does not outlive the test.
        return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      };
    }
    this.#executions.set(id, this.executions(id) + 1);
    return failingBody(this.#options.failures, id, injectedBody(this.#options.steps, id, appOf(this.#fn).codec) ?? own);
  }

  /** Whether the handler's process dies before the server has this answer or report. Each is lost once at most. */
  #loses(ops: any[]): boolean {
    const { crash } = this.#options;
    // What only says how things stand is no progress: to lose it would end the same attempt again and again.
    if (ops.length > 0 && ops.every((op) => op.op === "status" || op.op === "labels" || op.op === "heartbeat" || op.op === "publish")) return false;
    const ids = ops.map((op) => op.id ?? op.op);
    const here = `place ${this.told.length}`;
    const place = crash === "everywhere" || crash?.at === this.told.length ? here : ids.find((id) => crash?.after?.includes(id) && !this.#crashed.has(id));
    if (crash === undefined || place === undefined || this.#crashed.has(place)) {
      this.told.push(ids);
      return false;
    }
    this.#crashed.add(place);
    return true;
  }

  /** Applies an answer. `before` measures the journal when the invocation began. */
  async #apply(answer: any, before: number): Promise<void> {
    this.#seen = answer.seen;
    const journal = this.#journal;
    for (const op of answer.ops) await this.#applyOp(op);
    if (journal !== this.#journal) return;
    if (this.#status !== "running" || this.#retryAt !== undefined || this.#held !== undefined) return;
    if (answer.ops.at(-1)?.op === "fail") return; // For good, and there is something to undo: it is ready.
    if (this.#journal.seq + this.#journal.entries.size > before) [this.#attempt, this.#idle] = [1, 0];
    else if (++this.#idle > IDLE_INVOCATIONS_MAX) throw new TestRunError(`the run was invoked ${this.#idle} times without progress; it waits for ${this.#openEntries()}`);
    const open = this.journal.some((entry) => entry.status === "open");
    if (answer.ops.length === 0 && !open) throw new TestRunError("the handler answered nothing and waits for nothing: it awaits a promise that is no entry of its journal");
    this.#ready = answer.ops.some((op: any) => op.op === "yield");
    this.#awaiting = answer.awaiting;
    if (this.#journal.seq > answer.seen) this.#wake();
  }

  async #applyOp(op: any): Promise<void> {
    if (op.op === "mismatch") throw new TestRunError(`the code contradicts the journal at \`${op.id}\`: the journal has a ${op.journal}, the code asks for a ${op.code}`);
    if (op.op === "done") return this.#finish("completed", { ok: op.ok });
    if (op.op === "fail") return this.#fail(op.err);
    if (op.op === "yield") return;
    if (op.op === "continueAsNew") return this.#continue(op.input);
    if (op.op === "status") return void (this.#value = op.value);
    if (op.op === "labels") return void (this.#labels = { tags: op.tags, attributes: op.attributes });
    if (op.op === "reply") return this.#updates.reply(op.update, op);
    if (op.op === "publish") return this.#stream.hear(op, this.#journal.entries.get(op.id), this.#invocations);
    const entry = this.#journal.create(op.id, op.op === "heartbeat" ? "step" : op.op, op.name ?? op.id, op.params);
    if (op.params?.scheduleToClose !== undefined) entry.closeAt ??= this.#nowMs + durationMs(op.params.scheduleToClose);
    if (entry.status !== "open") return;
    if (op.op === "heartbeat") {
      if (op.attempt === entry.attempts + 1) entry.details = op.details;
    } else if (op.op === "marker") this.#settle(entry, { ok: null });
    else if (op.op === "state") this.#applyState(entry, op.params);
    else if (op.op === "step") this.#applyStep(entry, op);
    else if (op.op === "sleep") this.#due(entry, op.params.until === undefined ? this.#nowMs + durationMs(op.params.for) : Date.parse(op.params.until));
    else if (op.op === "send") this.#applySend(entry, op.params.events);
    else if (op.op === "invoke") await this.#applyInvoke(entry, op.params);
    else if (op.op === "fetch") await this.#applyFetch(entry, op.params);
    else {
      if (op.params.timeout !== undefined) this.#due(entry, this.#nowMs + durationMs(op.params.timeout));
      if (op.op === "waitSignal") this.#takeSignal(entry);
      else this.#events.some((_, i) => op.params.since !== "now" && this.#takeEvent(entry, i));
    }
  }

  #applyStep(entry: TestEntry, op: any): void {
    entry.attempts = op.attempt;
    if ("ok" in op) this.#stream.keep(op.id, op.attempt, this.#invocations);
    else this.#stream.cut(op.id);
    if ("ok" in op) return void this.#settle(entry, { ok: op.ok });
    const undoing = entry.id.startsWith("$undo/");
    const pause = nextAttemptMs(undoing ? { attempts: UNDO_ATTEMPTS, ...op.params.retry } : op.params.retry, op.attempt, op.err);
    if (pause === null && !undoing) return void this.#settle(entry, { err: op.err });
    entry.error = op.err;
    if (pause === null) [this.#held, entry.dueAt] = [entry.id, NEVER];
    else this.#due(entry, Math.min(this.#nowMs + pause, entry.closeAt ?? NEVER));
  }

  #applyState(entry: TestEntry, { set = {}, clear = [] }: { set?: Record<string, Json>; clear?: string[] }): void {
    this.#state = Object.fromEntries(Object.entries({ ...this.#state, ...set }).filter(([name]) => !clear.includes(name)));
    this.#settle(entry, { ok: null });
  }

  /** Goes on in a new run. Early signals and unanswered updates go with it. */
  #continue(input: Json): void {
    this.#id = this.#nextId("run");
    this.continued.push({ id: this.#id, input });
    [this.#journal, this.#input, this.#startedAt, this.#trigger] = [new Journal(), input, this.#nowMs, { kind: "call" }];
    [this.#stateAtFirst, this.#labelsAtFirst] = [this.#state, this.#labels];
    this.#stream.restart();
    [this.#attempt, this.#idle, this.#seen, this.#awaiting, this.#ready] = [1, 0, undefined, undefined, true];
  }

  #applySend(entry: TestEntry, events: EventDraft[]): void {
    const ids = events.map((draft) => draft.id ?? this.#nextId("evt"));
    this.#settle(entry, { ok: { ids } });
    events.forEach((draft, i) => {
      this.sent.push(draft);
      this.event({ ...draft, id: ids[i] as string });
    });
  }

  async #applyInvoke(entry: TestEntry, params: any): Promise<void> {
    const runId = this.#nextId("run");
    const target = params.app === undefined ? params.function : `${params.app}/${params.function}`;
    if (params.detached === true) {
      this.started.push({ id: runId, function: target, input: params.input });
      return void this.#settle(entry, { ok: { ids: [runId] } });
    }
    if (params.timeout !== undefined) this.#due(entry, this.#nowMs + durationMs(params.timeout));
    const child = this.#options.children?.[target];
    if (child === undefined) return;
    const { codec } = appOf(this.#fn);
    try {
      const result = await this.#childResult(child, codec.decode(params.input));
      this.#settle(entry, { ok: writeJson(`the result of \`${target}\``, codec.encode(result)).value() as Json });
    } catch (thrown) {
      const error = toWireError(thrown, true);
      this.#settle(entry, { err: { name: "ChildFailed", message: `${runId} failed: ${error.name}: ${error.message}`, data: { runId, error } as unknown as Json } });
    }
  }

  async #childResult(child: unknown, input: unknown): Promise<unknown> {
    if (typeof child === "function") return child(input);
    if (typeof child !== "object" || child === null || !("handler" in child && "options" in child)) return child;
    const { mode, children, steps, failures, fetches } = this.#options;
    const given = Object.fromEntries(Object.entries({ mode, children, steps, failures, fetches }).filter(([, value]) => value !== undefined));
    const run = new TestRun(child as FunctionDefinition, { ...given, input, now: this.now, id: this.#nextId("run") });
    return run.result().catch((error) => {
      throw error instanceof TestRunError && error.error !== undefined ? new StepError(run.id, error.error.message, error.error as never) : error;
    });
  }

  #isCancelledBy(name: string, data: Json): boolean {
    const first = this.#trigger.kind === "event" ? this.#trigger.events[0] : undefined;
    const by = this.#fn.options.cancelOn ?? [];
    return by.some(({ event, if: filter }) => (typeof event === "string" ? event : event.event) === name && passes(filter, { event: first, async: { name, data } }));
  }

  /** Calls at once, as often as it takes; what comes of it settles when the pauses are over. */
  async #applyFetch(entry: TestEntry, params: any): Promise<void> {
    const { outcome, attempts, pausesMs } = await fetched(`${this.id}/${entry.id}`, params, this.#options.fetches?.[entry.id]);
    entry.attempts = attempts;
    if (pausesMs === 0) return void this.#settle(entry, outcome);
    entry.outcome = outcome;
    this.#due(entry, this.#nowMs + pausesMs);
  }

  #fail(err: WireError): void {
    const cancelled = err.name === "CancelledError" && this.#journal.entries.has("$cancel");
    if (cancelled || this.#failed) return this.#finish(cancelled && !this.#failed ? "cancelled" : "failed", { err });
    const pause = nextAttemptMs(this.#fn.options.retry, this.#attempt, err);
    if (pause === null) return this.#failForGood(err);
    this.#attempt++;
    this.#ready = true;
    this.#retryAt = this.#nowMs + pause;
  }

  /** Ends the run as failed, once what was done is undone. */
  #failForGood(err: WireError): void {
    const undoable = this.journal.some((entry) => entry.op === "step" && entry.status === "ok" && entry.params?.compensate === true);
    if (!undoable) return this.#finish("failed", { err });
    this.#settle(this.#journal.create("$failure", "failure", "$failure", {}), { err });
    [this.#attempt, this.#retryAt, this.#ready] = [1, undefined, true];
  }

  #finish(status: TestRunStatus, outcome: { ok: Json } | { err: WireError }): void {
    this.#updates.end();
    this.#status = status;
    this.#outcome = outcome;
  }

  #due(entry: TestEntry, at: number): void {
    entry.dueAt = at;
    if (at <= this.#nowMs && entry.op === "sleep") this.#settle(entry, { ok: null });
  }

  #settle(entry: TestEntry, outcome: Outcome): boolean {
    const settled = this.#journal.settle(entry, outcome, this.#nowMs);
    if (settled) this.#wake();
    return settled;
  }

  /** Makes the run ready, unless it said that it needs more than what has settled. */
  #wake(): void {
    const status = (id: string): string | undefined => this.#journal.entries.get(id)?.status;
    const enough = (group: string[]): boolean => group.some((id) => status(id) === "err") || group.every((id) => status(id) !== "open");
    const cancelled = this.#journal.entries.has("$cancel");
    if (this.#awaiting === undefined || cancelled || this.#awaiting.some(enough)) this.#ready = true;
  }

  #takeSignal(entry: TestEntry): void {
    if (entry.op !== "waitSignal") return;
    if (entry.params.awakeable === true) {
      const early = this.#early.get(this.token(entry.id));
      if (early !== undefined) this.#settle(entry, early);
      return;
    }
    if (entry.params.update === true) {
      const update = this.#updates.take(entry.params.signal);
      if (update !== undefined) this.#settle(entry, { ok: update });
      return;
    }
    const at = this.#signals.findIndex((s) => s.name === entry.params.signal);
    const [taken] = at === -1 ? [] : this.#signals.splice(at, 1);
    if (taken !== undefined) this.#settle(entry, { ok: taken.data });
  }

  #takeEvent(entry: TestEntry, index: number): boolean {
    const candidate = this.#events[index];
    const first = this.#trigger.kind === "event" ? this.#trigger.events[0] : undefined;
    if (candidate === undefined || candidate.name !== entry.params.event || !passes(entry.params.if, { event: first, async: candidate })) return false;
    return this.#settle(entry, { ok: candidate as unknown as Json });
  }

  #settleToken(token: string, outcome: Outcome): void {
    const entry = this.journal.find((e) => e.params?.awakeable === true && this.token(e.id) === token);
    if (entry !== undefined) this.#settle(entry, outcome);
    else if (token.startsWith(`awk_${this.id.slice(4)}.`)) this.#early.set(token, outcome);
    else throw new MisuseError(`failed to settle an awakeable: ${token} is no token of this run.`);
  }

  #openEntries(): string {
    const open = this.journal.filter((e) => e.status === "open").map((e) => `\`${e.id}\` (${e.op}${e.params?.signal ? ` ${e.params.signal}` : ""}${e.params?.event ? ` ${e.params.event}` : ""})`);
    return open.join(", ") || "nothing that the journal knows";
  }

  #nextId(kind: string): string {
    return `${kind}_${tail(++this.#counter)}`;
  }
}
