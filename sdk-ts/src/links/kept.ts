/**
 * What this process has fetched of journals that do not fit into a request: the next invocation of such a run fetches only what
 * has settled since. Settled entries never change, so nothing kept here is ever old. It keeps a bounded number of bytes and lets
 * go of the run that has not been seen for longest.
 */
import type { JournalEntry } from "../wire/invocation.js";
import { KEPT_BYTES_MAX } from "../wire/limits.js";

/** The oldest entries of one run's journal. */
export interface Kept {
  /** Every settled entry up to `until`, by `seq`. */
  readonly entries: readonly JournalEntry[];
  readonly until: number;
  /** Bytes of the pages that they came in. */
  readonly bytes: number;
}

/** The journals that one process keeps, by run. */
export class KeptJournals {
  readonly #runs = new Map<string, Kept>();
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax = KEPT_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  /** What is kept of a run; it counts as seen. */
  get(key: string): Kept | undefined {
    const kept = this.#runs.get(key);
    if (kept === undefined) return undefined;
    this.#runs.delete(key);
    this.#runs.set(key, kept);
    return kept;
  }

  /** Keeps this in the place of what was there. What alone is too much is not kept. */
  put(key: string, kept: Kept): void {
    this.#drop(key);
    if (kept.bytes > this.#bytesMax) return;
    this.#runs.set(key, kept);
    this.#bytes += kept.bytes;
    for (const oldest of this.#runs.keys()) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    this.#bytes -= this.#runs.get(key)?.bytes ?? 0;
    this.#runs.delete(key);
  }
}
