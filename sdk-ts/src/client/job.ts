/**
 * Jobs: one act on many runs, done by the server in the background.
 */
import { durationMs } from "../duration.js";
import type { Duration, Json } from "../types.js";
import type { ForkOptions } from "./run.js";
import type { Http } from "./http.js";

/** Which runs. What is left out does not matter; times are RFC 3339. */
export interface RunFilter {
  status?: string | readonly string[];
  app?: string;
  function?: string;
  /** The deployment that they are pinned to. */
  deployment?: string;
  /** The run that they go on from. */
  previous?: string;
  /** The schedule that they are for a time of, as `app/schedule`. */
  schedule?: string;
  /** The run that waits for them. */
  parent?: string;
  /** The first run of their family. */
  root?: string;
  /** The event that started them. */
  event?: string;
  /** What started them. */
  trigger?: string;
  /** The key of their object. */
  key?: string;
  /** What their name begins with. */
  name?: string;
  /** Tags: they have all of these. */
  tag?: string | readonly string[];
  /** Tests of attributes, such as `total:gte:100`: they pass all of these. */
  attribute?: string | readonly string[];
  /** A text in their id, function, name, key, tags or attributes. */
  text?: string;
  /** The name of the error that they failed with, or are tried again for. */
  error?: string;
  /** A message like that of their error: the same but for words with digits in them, for which `…` may stand. */
  message?: string;
  since?: string;
  until?: string;
}

/** What is to be done, and with which runs. */
export interface Job {
  action: "cancel" | "kill" | "pause" | "resume" | "retry" | "fork" | "move";
  filter: RunFilter;
  /** Of a fork; of a move: a deployment's id, or `current`. */
  options?: ForkOptions | { to: string };
}

/** How far a job is. */
export interface JobStatus {
  readonly id: string;
  /** `running`, then `done`, or `stopped` by somebody. */
  readonly status: string;
  /** How many runs it has dealt with, with how many that failed, and how many there are. */
  readonly done: number;
  readonly failed: number;
  readonly total: number;
  readonly [field: string]: Json;
}

/** Between two looks at a job, in milliseconds. */
const LOOK_MS = 500;

/** A job, for whoever started it or knows its id. */
export class JobHandle {
  readonly #http: Http;

  constructor(
    readonly id: string,
    http: Http,
  ) {
    this.#http = http;
  }

  /** How far it is. */
  async status(): Promise<JobStatus> {
    return (await this.#http.send({ method: "GET", path: this.#path })).body as JobStatus;
  }

  /** Stops it. What it has done stays done. */
  async stop(): Promise<void> {
    await this.#http.send({ method: "DELETE", path: this.#path });
  }

  /** Waits until it has ended, or `wait` is over; resolves to how far it is. */
  async ended(options: { wait?: Duration } = {}): Promise<JobStatus> {
    const until = options.wait === undefined ? Number.POSITIVE_INFINITY : Date.now() + durationMs(options.wait, "`wait`");
    for (;;) {
      const status = await this.status();
      if (status.status !== "running" || Date.now() >= until) return status;
      await new Promise((resolve) => setTimeout(resolve, Math.min(LOOK_MS, Math.max(0, until - Date.now()))));
    }
  }

  get #path(): string {
    return `/v1/jobs/${encodeURIComponent(this.id)}`;
  }
}
