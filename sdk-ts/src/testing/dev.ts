/**
 * Tests against a server that `backstitch dev` runs: its clock can be skipped, and it counts what was done to the world.
 */
import { Http } from "../client/http.js";
import { durationMs } from "../duration.js";
import { MisuseError } from "../errors.js";
import type { Duration } from "../types.js";

const env = (): Record<string, string | undefined> => (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env ?? {};

function server(url: string | undefined): Http {
  const address = url ?? env().BACKSTITCH_URL ?? "http://127.0.0.1:8484";
  return new Http(address.replace(/\/+$/, ""), {}, (...args) => globalThis.fetch(...args));
}

/** Where a development server's clock stands. */
export interface ClockState {
  /** The server's time. */
  readonly now: Date;
  /** How far it is ahead of the machine's, in milliseconds. */
  readonly skippedMs: number;
  /** When the next sleep, time-out or pause is over; null if nothing waits for a time. */
  readonly next: Date | null;
  /** Whether all that fell due is through; false while a handler is at work. */
  readonly quiet: boolean;
}

/** The clock of a development server. */
export class DevClock {
  readonly #http: Http;

  constructor(url?: string) {
    this.#http = server(url);
  }

  /** Where it stands. */
  async state(): Promise<ClockState> {
    return read((await this.#http.send({ method: "GET", path: "/dev/clock" })).body);
  }

  /** Lets so much time pass. What falls due on the way is done in its order. */
  async advance(duration: Duration): Promise<ClockState> {
    return this.#move({ by: durationMs(duration, "how far to advance") });
  }

  /** Skips to the next timer. Throws `ClientError` if there is none. */
  async next(): Promise<ClockState> {
    return this.#move({ to: "next" });
  }

  /** Skips to a time; time never runs backwards. */
  async skipTo(time: Date | string): Promise<ClockState> {
    const to = new Date(time);
    if (Number.isNaN(to.getTime())) throw new MisuseError(`failed to skip to ${JSON.stringify(time)}: it is no time.`);
    return this.#move({ to: to.toISOString() });
  }

  async #move(body: object): Promise<ClockState> {
    return read((await this.#http.send({ method: "POST", path: "/dev/clock/advance", body })).body);
  }
}

function read({ now, skippedMs, next, quiet }: any): ClockState {
  return { now: new Date(now), skippedMs, next: next === null || next === undefined ? null : new Date(next), quiet };
}

/**
 * The clock of the server at an address, `BACKSTITCH_URL` if left out, which `backstitch dev` runs.
 *
 * ```ts
 * const run = await client.start(subscription, { plan: "basic" });
 * await devClock().advance("30d");
 * assert.equal(await run.status(), "renewed");
 * ```
 */
export function devClock(url?: string): DevClock {
  return new DevClock(url);
}

/**
 * Says that something was done to the world: for fakes, and for code that runs under `backstitch dev --chaos`, which counts. Effects of one
 * name and key are one, as a provider with idempotency keys sees them; without a key each call is one. Does nothing elsewhere.
 *
 * ```ts
 * await step.run("charge", async ({ idempotencyKey }) => {
 *   await effect("charge", { key: idempotencyKey });
 *   return bank.charge(cents, idempotencyKey);
 * });
 * ```
 */
export async function effect(name: string, { key }: { key?: string } = {}): Promise<void> {
  if (!env().BACKSTITCH_CHAOS) return;
  await server(undefined).send({ method: "POST", path: "/dev/effects", body: { name, ...(key === undefined ? {} : { key }) } });
}
