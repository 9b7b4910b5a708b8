/**
 * Schedules: what starts runs of a function at times. Those that an app declares are paused and filled up like the others; what they do is said in its code.
 */
import type { CronTrigger, FunctionRef, IntervalTrigger } from "../function.js";
import { MisuseError } from "../errors.js";
import { writeJson } from "../wire/json.js";
import type { Http } from "./http.js";
import { JobHandle } from "./job.js";

/** When, and how: as in the trigger of a function. */
export type ScheduleSpec = Omit<CronTrigger, "id"> | Omit<IntervalTrigger, "id">;

/** Where a schedule stands. */
export interface ScheduleStatus {
  /** `app/schedule`. */
  readonly id: string;
  readonly app: string;
  readonly function: string;
  /** Who made it: the app's `manifest`, or the `api`. */
  readonly source: string;
  readonly paused: { readonly since: string; readonly note?: string } | null;
  /** The logical time of its next tick. */
  readonly next: string | null;
  readonly nextTicks?: readonly string[];
  /** What it waits for now, in a sentence. */
  readonly explanation: string;
  readonly started: { readonly count: number; readonly last: string | null };
  readonly skipped: { readonly count: number; readonly last: string | null };
  readonly missed: { readonly count: number; readonly last: string | null };
  readonly [field: string]: unknown;
}

/** Which times are to have a run. */
export interface Backfill {
  /** At or after this time. */
  from: Date | string;
  /** Before this time; not later than now. */
  until: Date | string;
  /** How many runs there are at a time; 1 if left out. */
  concurrency?: number;
  /** What becomes of times that have a run: `none` (if left out) leaves them alone, `failed` makes those again that failed, `all` all that have ended. */
  reprocess?: "none" | "failed" | "all";
}

/** What a backfill would do. */
export interface BackfillPlan {
  /** Times of the schedule in the range. */
  readonly total: number;
  /** Those of them that would get a run. */
  readonly runs: number;
  /** The first of those. */
  readonly ticks: readonly string[];
}

/** One schedule, by its id, `app/schedule`. */
export class ScheduleHandle {
  readonly #http: Http;
  readonly #path: string;

  constructor(
    readonly id: string,
    http: Http,
  ) {
    const [app, schedule, ...rest] = id.split("/");
    if (!app || !schedule || rest.length > 0) throw new MisuseError(`failed to find the schedule ${JSON.stringify(id)}: write app/schedule, such as "shop/nightly".`);
    this.#path = `/v1/schedules/${encodeURIComponent(app)}/${encodeURIComponent(schedule)}`;
    this.#http = http;
  }

  /** Makes it, or changes it. */
  async put(fn: FunctionRef<any, any>, spec: ScheduleSpec): Promise<ScheduleStatus> {
    if (spec.input !== undefined) writeJson("the schedule's input", spec.input);
    return (await this.#http.send({ method: "PUT", path: this.#path, body: { function: fn.function, ...spec } })).body as ScheduleStatus;
  }

  /** Where it stands. */
  async status(): Promise<ScheduleStatus> {
    return (await this.#http.send({ method: "GET", path: this.#path })).body as ScheduleStatus;
  }

  /** Holds it: it starts nothing until it is resumed. */
  async pause(note?: string): Promise<ScheduleStatus> {
    return (await this.#http.send({ method: "POST", path: `${this.#path}/pause`, body: { note } })).body as ScheduleStatus;
  }

  /** Lets it go on. */
  async resume(): Promise<ScheduleStatus> {
    return (await this.#http.send({ method: "POST", path: `${this.#path}/resume` })).body as ScheduleStatus;
  }

  /** Starts the runs of a range of times, in the background. With `dryRun` it only says which. */
  async backfill(range: Backfill & { dryRun: true }): Promise<BackfillPlan>;
  async backfill(range: Backfill): Promise<JobHandle>;
  async backfill(range: Backfill & { dryRun?: boolean }): Promise<JobHandle | BackfillPlan> {
    const iso = (time: Date | string): string => (typeof time === "string" ? time : time.toISOString());
    const body = { ...range, from: iso(range.from), until: iso(range.until) };
    const { body: answer } = await this.#http.send({ method: "POST", path: `${this.#path}/backfill`, body });
    return range.dryRun === true ? (answer as BackfillPlan) : new JobHandle(answer.id, this.#http);
  }

  /** The id of the run of a logical time: of the newest, if it was made again. Throws `ClientError` with the reason if it has none. */
  async runAt(time: Date | string): Promise<string> {
    const at = typeof time === "string" ? time : time.toISOString();
    return String((await this.#http.send({ method: "GET", path: `${this.#path}/runs/${encodeURIComponent(at)}` })).body.id);
  }

  /** Starts a run now; resolves to its id. If the answer is lost it is not asked for again. */
  async trigger(): Promise<string> {
    return String((await this.#http.send({ method: "POST", path: `${this.#path}/trigger`, once: true })).body.id);
  }

  /** Removes it. Its runs stay. */
  async delete(): Promise<void> {
    await this.#http.send({ method: "DELETE", path: this.#path });
  }
}

/** All schedules, of one app or of all. */
export async function schedules(http: Http, app: string | undefined): Promise<ScheduleStatus[]> {
  const found: ScheduleStatus[] = [];
  let cursor: string | null = null;
  do {
    const query = new URLSearchParams({ limit: "200", ...(app === undefined ? {} : { app }), ...(cursor === null ? {} : { cursor }) });
    const { body } = await http.send({ method: "GET", path: `/v1/schedules?${query}` });
    found.push(...(body.items as ScheduleStatus[]));
    cursor = body.next as string | null;
  } while (cursor !== null);
  return found;
}
