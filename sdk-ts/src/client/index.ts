/**
 * The client: sends events, starts and calls functions, and talks to runs, over the server's REST API. Use it anywhere but in handlers, where
 * `step.send` and `step.invoke` do the same durably.
 */
import { type Codec, plain } from "../codec.js";
import { durationMs } from "../duration.js";
import { MisuseError } from "../errors.js";
import type { EventDraft } from "../event.js";
import { type LabelOptions, writeLabels } from "../labels.js";
import type { FunctionRef } from "../function.js";
import type { Duration, Json } from "../types.js";
import { writeJson } from "../wire/json.js";
import { ClientError, Http } from "./http.js";
import { type Job, JobHandle } from "./job.js";
import { ScheduleHandle, type ScheduleStatus, schedules } from "./schedule.js";
import { readStream, type StreamEvent, type StreamOptions } from "./stream.js";
import { outcome, POLL_MS, type ResultOptions, RunHandle } from "./run.js";

export { ClientError } from "./http.js";
export { type Backfill, type BackfillPlan, ScheduleHandle, type ScheduleSpec, type ScheduleStatus } from "./schedule.js";
export type { AttributeValue, Attributes, LabelOptions } from "../labels.js";
export { type Job, JobHandle, type JobStatus, type RunFilter } from "./job.js";
export {
  type ForkOptions,
  type ForkPlan,
  type ResultOptions,
  RunFailedError,
  RunHandle,
  RunNotFinishedError,
  type RunStatus,
  UpdateNotAnswered,
  type UpdateOptions,
  UpdateRejected,
} from "./run.js";

export { type StreamCut, type StreamEnd, type StreamEvent, type StreamGap, type StreamMessage, type StreamOptions, Transcript } from "./stream.js";

/** What a subscription token lets its holder read: the messages of a run, or those on a channel. */
export type SubscriptionScope = ({ run: string | RunHandle<any> } | { channel: string }) & {
  /** Of these topics only; of all if left out. */
  topics?: readonly string[];
  /** For how long: an hour if left out, at most a day. */
  ttl?: Duration;
};

/** A token with which a browser reads one stream. */
export interface SubscriptionToken {
  readonly token: string;
  /** Until when it can be used to begin reading. */
  readonly expiresAt: Date;
}

/** Where the server is, and how to talk to it. */
export interface ClientOptions {
  /** The server's address: `BACKSTITCH_URL`, or `http://127.0.0.1:8484`, if left out. */
  url?: string;
  /** Sent with every request, for gateways. */
  headers?: Record<string, string>;
  /** The codec of the app whose functions are called, if it has one. */
  codec?: Codec;
  /** Sends the requests; the platform's own if left out. */
  fetch?: typeof globalThis.fetch;
}

/** Options of a start. */
export interface StartOptions extends LabelOptions {
  /** The run's name, unique per function: a second start with it finds the first run. */
  runId?: string;
  /** Not to begin before this is over. */
  delay?: Duration;
  /** Dedupes starts that have no `runId`. */
  idempotencyKey?: string;
}

/**
 * A client of one server. Requests are repeated when the server was not reached; nothing happens twice for it, since all of them carry an id.
 *
 * ```ts
 * const client = new Client();
 * const run = await client.start(order, { cents: 999 }, { runId: "order-17" });
 * await run.signal(approve, { by: "ann" });
 * const receipt = await run.result({ wait: "30s" });
 * ```
 */
export class Client {
  readonly #http: Http;
  readonly #codec: Codec;

  constructor(options: ClientOptions = {}) {
    const env = (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env ?? {};
    const url = options.url ?? env.BACKSTITCH_URL ?? "http://127.0.0.1:8484";
    if (!/^https?:\/\/[^/]/.test(url)) throw new MisuseError(`failed to create the client: ${JSON.stringify(url)} is not an http address. Set BACKSTITCH_URL or \`url\`, such as "http://127.0.0.1:8484".`);
    this.#http = new Http(url.replace(/\/+$/, ""), options.headers ?? {}, options.fetch ?? ((...args) => globalThis.fetch(...args)));
    this.#codec = options.codec ?? plain;
  }

  /** Sends events; resolves to their ids. `id` dedupes, for one event. */
  async send(events: EventDraft | readonly EventDraft[], options: { id?: string } = {}): Promise<string[]> {
    const drafts = (Array.isArray(events) ? events : [events]) as readonly EventDraft[];
    if (drafts.length === 0) return [];
    if (options.id !== undefined && drafts.length > 1) throw new MisuseError("failed to send: one `id` cannot stand for several events; give each its own, as in orderCreated(data, { id }).");
    const body = drafts.map((draft) => ({
      name: draft.name,
      data: writeJson(`the data of event \`${draft.name}\``, draft.data),
      // An id of our own, so that a repeated request does not send the event twice.
      id: draft.id ?? options.id ?? crypto.randomUUID(),
    }));
    const { body: answer } = await this.#http.send({ method: "POST", path: "/v1/events", body });
    return idsOf(answer);
  }

  /** Starts a function. With a `runId` that is taken, the handle is that of the run that has it. */
  async start<In, Out>(fn: FunctionRef<In, Out>, input: In, options: StartOptions = {}): Promise<RunHandle<Out>> {
    const path = fn.key === undefined ? `${pathOf(fn)}/runs` : `${objectPath(fn)}?mode=send`;
    const { body } = await this.#http.send({ method: "POST", path, body: this.#startBody(input, options) });
    return new RunHandle<Out>(body.id, body.created !== false, this.#http, this.#codec);
  }

  /** Starts a function and waits for its result. Throws as `RunHandle.result` does. */
  async call<In, Out>(fn: FunctionRef<In, Out>, input: In, options: StartOptions & ResultOptions = {}): Promise<Out> {
    const waitMs = options.wait === undefined ? POLL_MS : durationMs(options.wait, "`wait`");
    const begun = Date.now();
    const { status, body } = await this.#http.send({
      method: "POST",
      path: `${fn.key === undefined ? `${pathOf(fn)}/call` : objectPath(fn)}?wait=${Math.min(waitMs, POLL_MS)}ms`,
      body: this.#startBody(input, options),
      signal: options.signal,
    });
    if (status !== 202) return outcome(body.id, body, this.#codec) as Out;
    const left = options.wait === undefined ? {} : { wait: Math.max(0, waitMs - (Date.now() - begun)) };
    return new RunHandle<Out>(body.id, true, this.#http, this.#codec).result({ ...left, ...(options.signal === undefined ? {} : { signal: options.signal }) });
  }

  /** The run of an id. */
  run<Out = Json>(id: string): RunHandle<Out> {
    return new RunHandle<Out>(id, false, this.#http, this.#codec);
  }

  /** The run that was started under a name, or null if the server has none. */
  async find<Out>(fn: FunctionRef<any, Out>, runId: string): Promise<RunHandle<Out> | null> {
    try {
      const { body } = await this.#http.send({ method: "GET", path: `${pathOf(fn)}/runs/${encodeURIComponent(runId)}` });
      return this.run<Out>(body.id);
    } catch (error) {
      if (error instanceof ClientError && error.status === 404) return null;
      throw error;
    }
  }

  /** The state of an object, by name, as any handler of it says: `client.state(cart("user-17").add)`. */
  async state(handler: FunctionRef<any, any>): Promise<Readonly<Record<string, Json>>> {
    const path = objectPath(handler).replace(/[^/]+$/, "state");
    const { body } = await this.#http.send({ method: "GET", path });
    return Object.fromEntries(Object.entries(body?.state ?? {}).map(([name, value]) => [name, this.#codec.decode(value) as Json]));
  }

  /** Does the same with all runs that a filter finds. With `dryRun` it only counts them. */
  async job(job: Job & { dryRun: true }): Promise<number>;
  async job(job: Job): Promise<JobHandle>;
  async job(job: Job & { dryRun?: boolean }): Promise<JobHandle | number> {
    const lists = (["status", "tag", "attribute"] as const).flatMap((name) => (job.filter[name] === undefined ? [] : [[name, [job.filter[name]].flat()]]));
    const filter = { ...job.filter, ...Object.fromEntries(lists) };
    const { body } = await this.#http.send({ method: "POST", path: "/v1/jobs", body: { ...job, filter } });
    return job.dryRun === true ? Number(body.total) : new JobHandle(body.id, this.#http);
  }

  /**
   * Reads what a run publishes, to its end; goes on where it broke off. `Transcript` puts it together.
   *
   * ```ts
   * for await (const event of client.stream<string>(run, { topics: ["tokens"] })) {
   *   if (event.kind === "message") process.stdout.write(event.data);
   * }
   * ```
   */
  stream<T = Json>(run: string | RunHandle<any>, options: StreamOptions = {}): AsyncGenerator<StreamEvent<T>, void, undefined> {
    return readStream<T>(this.#http.source(`/v1/runs/${encodeURIComponent(typeof run === "string" ? run : run.id)}/stream`), options);
  }

  /** Reads what runs publish on a channel that has a name, from now on, or behind the id `after` (0: from the first that is kept). It has no end. */
  streamChannel<T = Json>(channel: string, options: StreamOptions = {}): AsyncGenerator<StreamEvent<T>, void, undefined> {
    return readStream<T>(this.#http.source(`/v1/channels/${encodeURIComponent(channel)}/stream`), options);
  }

  /** Makes a token with which a browser may read one stream, and nothing else. */
  async subscriptionToken(scope: SubscriptionScope): Promise<SubscriptionToken> {
    const { topics, ttl } = scope;
    if (ttl !== undefined) durationMs(ttl, "`ttl`");
    const what = "run" in scope ? { run: typeof scope.run === "string" ? scope.run : scope.run.id } : { channel: scope.channel };
    const { body } = await this.#http.send({ method: "POST", path: "/v1/subscriptions", body: { ...what, topics, ttl } });
    return { token: String(body.token), expiresAt: new Date(body.expiresAt) };
  }

  /** The job of an id. */
  jobOf(id: string): JobHandle {
    return new JobHandle(id, this.#http);
  }

  /** The schedule of an id, `app/schedule`, whether there is one or not. */
  schedule(id: string): ScheduleHandle {
    return new ScheduleHandle(id, this.#http);
  }

  /** All schedules, of one app or of all. */
  async schedules(app?: string): Promise<ScheduleStatus[]> {
    return schedules(this.#http, app);
  }

  /** Settles the wait of an awakeable's token with a value. */
  async resolve(token: string, value: unknown): Promise<void> {
    await this.#http.send({ method: "POST", path: `/v1/awakeables/${encodeURIComponent(token)}`, body: { ok: writeJson("the value", value) } });
  }

  /** Settles the wait of an awakeable's token with an error. */
  async reject(token: string, error: { name: string; message: string }): Promise<void> {
    await this.#http.send({ method: "POST", path: `/v1/awakeables/${encodeURIComponent(token)}`, body: { err: { name: error.name, message: error.message } } });
  }

  #startBody(input: unknown, { runId, delay, idempotencyKey, ...labels }: StartOptions): object {
    if (delay !== undefined) durationMs(delay, "`delay`");
    const key = idempotencyKey ?? (runId === undefined ? crypto.randomUUID() : undefined);
    return { input: writeJson("the input", this.#codec.encode(input)), runId, delay, idempotencyKey: key, ...writeLabels(labels) };
  }
}

function pathOf(fn: FunctionRef<any, any>): string {
  if (fn.app === undefined) throw new MisuseError(`failed to call \`${fn.function}\`: outside of an app its app must be named, as in functionRef("app/${fn.function}").`);
  return `/v1/functions/${encodeURIComponent(fn.app)}/${encodeURIComponent(fn.function)}`;
}

/** Where a handler of an object is called. */
function objectPath(fn: FunctionRef<any, any>): string {
  const [object, handler] = fn.function.split("/");
  if (fn.app === undefined) throw new MisuseError(`failed to call \`${fn.function}\`: outside of an app its app must be named, as in objectRef("app/${object}").`);
  if (fn.key === undefined || object === undefined || handler === undefined) throw new MisuseError(`failed to call \`${fn.function}\`: it is no handler of an object, as in cart("user-17").add.`);
  return `/v1/objects/${[fn.app, object, fn.key, handler].map(encodeURIComponent).join("/")}`;
}

function idsOf(answer: any): string[] {
  const list: unknown = Array.isArray(answer) ? answer : (answer?.events ?? answer?.ids ?? [answer]);
  return (list as any[]).map((item) => (typeof item === "string" ? item : String(item?.id)));
}
