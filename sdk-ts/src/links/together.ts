/**
 * What several invocations of one process report at the same moment goes out in one request: while requests are under way, what
 * comes waits for the next one, and what comes in one turn of the event loop goes together.
 *
 * It is for hosts whose requests may share a connection's fate: in a Worker no request may wait for what another one has begun.
 */
import { FLYING_MAX, TOGETHER_CHARS_MAX, TOGETHER_MAX } from "../wire/limits.js";
import type { Exchange, Said, Transport } from "./request.js";

/** A report that waits for a request. */
interface Waiting {
  readonly exchange: Exchange;
  readonly resolve: (said: Said) => void;
  readonly reject: (error: unknown) => void;
}

/** What goes to one address. */
interface Line {
  readonly waiting: Waiting[];
  flying: number;
}

const BEARER = "Bearer ";

/** Gathers reports. One for each instance. */
export class Together {
  readonly #transport: Transport;
  readonly #lines = new Map<string, Line>();

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** A transport of posts, which are also taken together at `address`. */
  to(address: string): Transport {
    return (exchange) => new Promise((resolve, reject) => {
      const stopped = (): void => reject(exchange.signal.reason);
      if (exchange.signal.aborted) return stopped();
      // It may be on its way already: that does no harm, and nobody waits for the reply.
      exchange.signal.addEventListener("abort", stopped, { once: true });
      const done = (): void => exchange.signal.removeEventListener("abort", stopped);
      this.#wait(address, { exchange, resolve: (said) => (done(), resolve(said)), reject: (error) => (done(), reject(error)) });
    });
  }

  #wait(address: string, waiting: Waiting): void {
    let line = this.#lines.get(address);
    if (line === undefined) this.#lines.set(address, (line = { waiting: [], flying: 0 }));
    line.waiting.push(waiting);
    if (line.flying === FLYING_MAX) return;
    line.flying++;
    setImmediate(() => void this.#fly(address, line));
  }

  async #fly(address: string, line: Line): Promise<void> {
    for (let taken = take(line); taken.length > 0; taken = take(line)) {
      const [first] = taken;
      try {
        const replies = taken.length === 1 && first !== undefined ? [await this.#transport(first.exchange)] : await this.#carry(address, taken);
        taken.forEach(({ resolve }, i) => resolve(replies[i] as Said));
      } catch (error) {
        for (const { reject } of taken) reject(error);
      }
    }
    if (--line.flying === 0) this.#lines.delete(address);
  }

  async #carry(address: string, taken: readonly Waiting[]): Promise<readonly Said[]> {
    const reports = taken.map(({ exchange: { headers, body } }) => `{"token":${JSON.stringify(headers.authorization?.slice(BEARER.length))},"report":${body ?? "null"}}`);
    // As long as anybody waits.
    const stop = new AbortController();
    let left = taken.length;
    const less = (): void => void (--left === 0 && stop.abort());
    for (const { exchange } of taken) exchange.signal.addEventListener("abort", less, { once: true });
    try {
      const headers = { "content-type": "application/json" };
      const said = await this.#transport({ url: address, method: "POST", headers, body: `{"reports":[${reports.join(",")}]}`, signal: stop.signal });
      if (said.status !== 200) return taken.map(() => said);
      const { replies } = JSON.parse(said.text) as { replies?: { status: number; body: unknown }[] };
      if (!Array.isArray(replies) || replies.length !== taken.length) throw new Error(`${taken.length} reports were not answered with as many replies`);
      return replies.map(({ status, body }) => ({ status, text: JSON.stringify(body) }));
    } finally {
      for (const { exchange } of taken) exchange.signal.removeEventListener("abort", less);
    }
  }
}

/** What fits into one request, from the front of a line. */
function take({ waiting }: Line): Waiting[] {
  let [count, chars] = [0, 0];
  for (const { exchange } of waiting) {
    chars += exchange.body?.length ?? 0;
    if (count > 0 && (count === TOGETHER_MAX || chars > TOGETHER_CHARS_MAX)) break;
    count++;
  }
  return waiting.splice(0, count);
}
