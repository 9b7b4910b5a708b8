/**
 * A stand-in for the services that steps talk to. It lives in the test's process, so it outlives every kill; it knows requests by their key, as
 * real providers do; and it can be told to refuse, or to keep its answer back until the test says so. `act` is what handlers call it with.
 */
import { createServer } from "node:http";

export class Provider {
  /** What was done: one for each key, in order. */
  effects = [];
  /** Every call, also those that changed nothing. */
  calls = [];
  #refusals = new Map();
  #held = new Map();
  #server;

  static async open() {
    const provider = new Provider();
    provider.#server = createServer((request, response) => void provider.#take(new URL(request.url, "http://provider"), request.headers, response));
    await new Promise((resolve) => provider.#server.listen(0, "127.0.0.1", resolve));
    provider.url = `http://127.0.0.1:${provider.#server.address().port}`;
    return provider;
  }

  async close() {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Forgets everything. */
  reset() {
    this.effects = [];
    this.calls = [];
    this.#refusals.clear();
    this.#held.clear();
  }

  /** What was done, by name. */
  get done() {
    return this.effects.map(({ what }) => what);
  }

  /** How often it was asked to do something, whatever came of it. */
  asked(what) {
    return this.calls.filter((call) => call.what === what).length;
  }

  /** Refuses to do something, so many times or until `allow`. */
  refuse(what, times = Number.POSITIVE_INFINITY) {
    this.#refusals.set(what, times);
  }

  allow(what) {
    this.#refusals.delete(what);
  }

  /** Does something, and answers no caller before `release`. Resolves when the first has come. */
  hold(what) {
    let came;
    let release;
    const reached = new Promise((resolve) => (came = resolve));
    const free = new Promise((resolve) => (release = resolve));
    this.#held.set(what, { came, free, release });
    return reached;
  }

  release(what) {
    this.#held.get(what)?.release();
    this.#held.delete(what);
  }

  async #take(url, headers, response) {
    const { what, key = headers["idempotency-key"] } = Object.fromEntries(url.searchParams);
    this.calls.push({ what, key });
    const refusals = this.#refusals.get(what) ?? 0;
    if (refusals > 0) {
      this.#refusals.set(what, refusals - 1);
      response.writeHead(503).end();
      return;
    }
    let effect = this.effects.find((known) => known.key === key);
    if (effect === undefined) this.effects.push((effect = { what, key, id: `${what} #${this.effects.length + 1}` }));
    const held = this.#held.get(what);
    held?.came();
    await held?.free;
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ id: effect.id }));
  }
}

/** Has the provider do something, once for each key. */
export async function act(what, key, signal) {
  const response = await fetch(`${process.env.PROVIDER}/?${new URLSearchParams({ what, key })}`, { signal });
  if (!response.ok) throw Object.assign(new Error(`the provider does not ${what}`), { name: "Refused" });
  return response.json();
}
