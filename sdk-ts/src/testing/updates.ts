/**
 * Updates in a test: kept until a wait takes them, answered once, and answered with an error when the run ends without a reply.
 */
import type { Json } from "../types.js";
import type { WireError } from "../wire/error.js";

/** An update that has come. */
interface Pending {
  readonly id: string;
  readonly name: string;
  readonly data: Json;
  taken: boolean;
  answered: boolean;
  readonly resolve: (value: Json) => void;
  readonly reject: (error: Error) => void;
}

/** What the handler rejected an update with. */
export class TestUpdateError extends Error {
  readonly code: string | undefined;
  readonly data: Json | undefined;

  constructor(error: WireError) {
    super(error.message);
    this.name = error.name;
    this.code = error.code;
    this.data = error.data;
  }
}

/** The updates of one run, those of its successors included. */
export class TestUpdates {
  readonly #all: Pending[] = [];

  /** Keeps an update; resolves to what the handler replies. */
  add(name: string, data: Json): Promise<Json> {
    const answer = new Promise<Json>((resolve, reject) => {
      this.#all.push({ id: `up_${this.#all.length + 1}`, name, data, taken: false, answered: false, resolve, reject });
    });
    answer.catch(() => undefined); // A test may look at the run only.
    return answer;
  }

  /** The first update of a name that no wait has taken. */
  take(name: string): { id: string; data: Json } | undefined {
    const found = this.#all.find((update) => update.name === name && !update.taken);
    if (found === undefined) return undefined;
    found.taken = true;
    return { id: found.id, data: found.data };
  }

  /** Takes a reply. The first one counts. */
  reply(id: string, outcome: { ok?: Json; err?: WireError }): void {
    const found = this.#all.find((update) => update.id === id && !update.answered);
    if (found === undefined) return;
    found.answered = true;
    if (outcome.err === undefined) found.resolve(outcome.ok ?? null);
    else found.reject(new TestUpdateError(outcome.err));
  }

  /** The run has ended. */
  end(): void {
    for (const { id } of this.#all) this.reply(id, { err: { name: "RunEnded", message: "the run ended before it replied" } });
  }
}
