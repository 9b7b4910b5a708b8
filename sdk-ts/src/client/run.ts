/**
 * One run, for whoever started it or knows its id: its result, its state, and what can be done with it.
 */
import type { Codec } from "../codec.js";
import { durationMs } from "../duration.js";
import type { SignalType } from "../signal.js";
import type { Duration, Json, Jsonify } from "../types.js";
import type { UpdateType } from "../update.js";
import { writeJson } from "../wire/json.js";
import type { ClientResponse, Http } from "./http.js";
import { readStream, type StreamEvent, type StreamOptions } from "./stream.js";

/** Options of waiting for a result. */
export interface ResultOptions {
  /** How long to wait in all; as long as it takes if left out. */
  wait?: Duration;
  /** Stops waiting. */
  signal?: AbortSignal;
}

/** What a server says about a run. */
export interface RunStatus {
  readonly id: string;
  readonly status: string;
  /** What the run shows of itself: its last `run.setStatus`; null before that. */
  readonly value?: Json;
  readonly [field: string]: Json | undefined;
}

/** The run ended without a result. */
export class RunFailedError extends Error {
  readonly runId: string;
  /** `failed` or `cancelled`. */
  readonly status: string;
  readonly code: string | undefined;
  readonly data: Json | undefined;

  constructor(runId: string, status: string, error: { name?: string; message?: string; code?: string; data?: Json } | undefined) {
    super(error?.message ?? `the run ${runId} was ${status}`);
    this.name = error?.name ?? "RunFailedError";
    this.runId = runId;
    this.status = status;
    this.code = error?.code;
    this.data = error?.data;
  }
}

/** The run has not ended in the time that its result was waited for. It goes on. */
export class RunNotFinishedError extends Error {
  override readonly name = "RunNotFinishedError";

  constructor(
    readonly runId: string,
    readonly status: string,
    wait: Duration,
  ) {
    super(`the run ${runId} has not ended within ${String(wait)}: it is ${status}. Ask again with handle.result(), or see why with \`backstitch explain ${runId}\`.`);
  }
}

/** An update was rejected, by the handler or by the update's schema; or its run ended without a reply, and `name` is `RunEnded`. */
export class UpdateRejected extends Error {
  readonly runId: string;
  readonly code: string | undefined;
  readonly data: Json | undefined;

  constructor(runId: string, error: { name?: string; message?: string; code?: string; data?: Json }) {
    super(error.message ?? "the update was rejected");
    this.name = error.name ?? "UpdateRejected";
    this.runId = runId;
    this.code = error.code;
    this.data = error.data;
  }
}

/** An update was not answered in the time that its reply was waited for. It is durable: send it again with the same `id` to wait on. */
export class UpdateNotAnswered extends Error {
  override readonly name = "UpdateNotAnswered";

  constructor(
    readonly runId: string,
    readonly updateId: string,
    wait: Duration,
  ) {
    super(`the update ${updateId} of the run ${runId} was not answered within ${String(wait)}. See why with \`backstitch explain ${runId}\`.`);
  }
}

/** Options of an update. */
export interface UpdateOptions {
  /** Dedupes: a second update with this id changes nothing and gets the first one's reply. */
  id?: string;
  /** How long to wait for the reply; as long as it takes if left out. */
  wait?: Duration;
  /** Stops waiting. */
  signal?: AbortSignal;
}

/** From where a run is made again, and what is other. */
export interface ForkOptions {
  /** The first entry that is done again; what settled before it is kept. */
  at?: string;
  /** Other outcomes of entries that are kept, by their ids. */
  edits?: Record<string, { ok: unknown } | { err: { name: string; message: string } }>;
  /** Another input. */
  input?: unknown;
}

/** What a fork would keep, and what it would do again: ids of entries. */
export interface ForkPlan {
  readonly copied: readonly string[];
  readonly again: readonly string[];
}

/** The longest that one request waits, in milliseconds: proxies cut what is silent for longer. */
export const POLL_MS = 30_000;
/** For how long whoever waits for a result puts up with a server that is away, in milliseconds: a restart, a deployment. */
const OUTAGE_MS = 60_000;

/** A run, for whoever started it or knows its id. */
export class RunHandle<Out = Json> {
  readonly #http: Http;
  readonly #codec: Codec;

  constructor(
    readonly id: string,
    /** Whether this start created the run, or found one of its name. */
    readonly created: boolean,
    http: Http,
    codec: Codec,
  ) {
    this.#http = http;
    this.#codec = codec;
  }

  /**
   * Waits for the result, also through a minute in which the server is away. Throws `RunFailedError` if the run failed or was cancelled,
   * `RunNotFinishedError` if `wait` is over.
   */
  async result(options: ResultOptions = {}): Promise<Out> {
    const until = options.wait === undefined ? Number.POSITIVE_INFINITY : Date.now() + durationMs(options.wait, "`wait`");
    for (;;) {
      const waitMs = Math.max(0, Math.min(POLL_MS, until - Date.now()));
      const path = `/v1/runs/${this.id}/result?wait=${waitMs}ms`;
      const { status, body } = await this.#http.send({ method: "GET", path, signal: options.signal, outageMs: Math.min(OUTAGE_MS, until - Date.now()) });
      if (status !== 202) return outcome(this.id, body, this.#codec) as Out;
      if (Date.now() >= until) throw new RunNotFinishedError(this.id, String(body?.status), options.wait ?? 0);
    }
  }

  /** Sends a signal to the run. Early signals are kept. */
  async signal<In>(signal: SignalType<In, any> | string, data?: In, options: { id?: string } = {}): Promise<void> {
    const name = typeof signal === "string" ? signal : signal.signal;
    const body = { data: writeJson(`the payload of signal \`${name}\``, data), id: options.id ?? crypto.randomUUID() };
    await this.#http.send({ method: "POST", path: `/v1/runs/${this.id}/signals/${encodeURIComponent(name)}`, body });
  }

  /**
   * Sends an update and waits for the handler's reply. Throws `UpdateRejected` if it is rejected, or if the run ends without a reply,
   * `UpdateNotAnswered` if `wait` is over.
   */
  async update<In, Result>(update: UpdateType<In, any, Result>, data: In, options?: UpdateOptions): Promise<Jsonify<Result>>;
  async update(update: string, data?: unknown, options?: UpdateOptions): Promise<Json>;
  async update(update: UpdateType<any, any, any> | string, data?: unknown, options: UpdateOptions = {}): Promise<any> {
    const name = typeof update === "string" ? update : update.update;
    const id = options.id ?? crypto.randomUUID();
    const until = options.wait === undefined ? Number.POSITIVE_INFINITY : Date.now() + durationMs(options.wait, "`wait`");
    const send = (method: "GET" | "POST", last: string, body?: object): Promise<ClientResponse> => {
      const path = `/v1/runs/${this.id}/updates/${encodeURIComponent(last)}?wait=${Math.max(0, Math.min(POLL_MS, until - Date.now()))}ms`;
      return this.#http.send({ method, path, body, signal: options.signal, outageMs: Math.min(OUTAGE_MS, until - Date.now()) });
    };
    let { status, body } = await send("POST", name, { data: writeJson(`the data of update \`${name}\``, data), id });
    while (status === 202) {
      if (Date.now() >= until) throw new UpdateNotAnswered(this.id, id, options.wait ?? 0);
      ({ status, body } = await send("GET", body?.id ?? id));
    }
    if (body?.err !== undefined) throw new UpdateRejected(this.id, body.err);
    return body?.ok ?? null;
  }

  /** Reads what the run publishes, to its end. As `client.stream` does. */
  stream<T = Json>(options: StreamOptions = {}): AsyncGenerator<StreamEvent<T>, void, undefined> {
    return readStream<T>(this.#http.source(`/v1/runs/${this.id}/stream`), options);
  }

  /** Asks the run to stop; its handler may put things right first, and what it has done is undone. */
  async cancel(): Promise<void> {
    await this.#act("cancel");
  }

  /** Ends the run at once, as cancelled: its handler is not asked, and nothing is undone. */
  async kill(): Promise<void> {
    await this.#act("kill");
  }

  /** Holds the run until somebody resumes it. */
  async pause(): Promise<void> {
    await this.#act("pause");
  }

  /** Lets a run go on that was paused, or that is held for a reason that is gone. */
  async resume(): Promise<void> {
    await this.#act("resume");
  }

  /**
   * Moves a run to another deployment of its app: to one with this id, or to the current one. If it is held because of what its old one
   * is, it goes on.
   */
  async move(to = "current"): Promise<void> {
    await this.#http.send({ method: "POST", path: `/v1/runs/${this.id}/move`, body: { to } });
  }

  /**
   * Starts a run that goes on from a point of this one: what was done before that point is not done again. Without options the run is
   * made again as a whole. This run stays as it is.
   */
  async fork(options: ForkOptions & { dryRun: true }): Promise<ForkPlan>;
  async fork(options?: ForkOptions): Promise<RunHandle<Out>>;
  async fork({ at, edits, input, dryRun }: ForkOptions & { dryRun?: boolean } = {}): Promise<RunHandle<Out> | ForkPlan> {
    const edited = Object.entries(edits ?? {}).map(([id, edit]) => [id, "ok" in edit ? { ok: writeJson(`the outcome of \`${id}\``, this.#codec.encode(edit.ok)) } : edit]);
    const body = {
      at,
      ...(edits === undefined ? {} : { edits: Object.fromEntries(edited) }),
      ...(input === undefined ? {} : { input: writeJson("the input", this.#codec.encode(input)) }),
    };
    return this.#again("fork", body, dryRun === true);
  }

  /** Starts a run that failed or was cancelled again, from its first failure. */
  async retry(options: { dryRun: true }): Promise<ForkPlan>;
  async retry(): Promise<RunHandle<Out>>;
  async retry(options: { dryRun?: boolean } = {}): Promise<RunHandle<Out> | ForkPlan> {
    return this.#again("retry", {}, options.dryRun === true);
  }

  /** What the server says about the run, with what the run shows of itself. Of a run that went on in new ones it is the newest's. */
  async status(): Promise<RunStatus> {
    const read = async (path: string): Promise<RunStatus> => (await this.#http.send({ method: "GET", path: `/v1/runs/${path}` })).body as RunStatus;
    const own = await read(this.id);
    return own.status === "continued" ? read((await read(`${this.id}/status`)).id) : own;
  }

  async #act(act: string): Promise<void> {
    await this.#http.send({ method: "POST", path: `/v1/runs/${this.id}/${act}`, body: {} });
  }

  async #again(act: string, body: object, dryRun: boolean): Promise<RunHandle<Out> | ForkPlan> {
    // A key of our own, so that a repeated request does not start a second run.
    const headers = dryRun ? {} : { "idempotency-key": crypto.randomUUID() };
    const path = `/v1/runs/${this.id}/${act}`;
    const { body: said } = await this.#http.send({ method: "POST", path, body: dryRun ? { ...body, dryRun } : body, headers });
    return dryRun ? (said as ForkPlan) : new RunHandle<Out>(said.id, said.created !== false, this.#http, this.#codec);
  }
}

/** The result that a server tells. Throws `RunFailedError`. */
export function outcome(runId: string, body: any, codec: Codec): unknown {
  if (body?.status === "completed") return codec.decode(body.ok ?? null);
  throw new RunFailedError(body?.id ?? runId, String(body?.status), body?.err);
}
