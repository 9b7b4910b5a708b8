/**
 * Journals that do not fit into a request: the older entries are fetched before the replay, large outcomes when they are delivered.
 * See docs/reference/protocol.md, section 10.
 */
import { type Invocation, type JournalEntry, readEntry } from "../wire/invocation.js";
import { PAGES_MAX, UNREACHABLE_MS } from "../wire/limits.js";
import type { KeptJournals } from "./kept.js";
import { ask, type Caller } from "./request.js";

interface Page {
  readonly journal: JournalEntry[];
  readonly before: number | null;
  /** Bytes, or nearly so: characters of what came. */
  readonly size: number;
}

/** The rest of an invocation's journal, at `links.journal`. */
export class RemoteJournal {
  readonly #url: string;
  readonly #caller: Caller;
  readonly #kept: KeptJournals;

  constructor(url: string, caller: Caller, kept: KeptJournals) {
    this.#url = url;
    this.#caller = caller;
    this.#kept = kept;
  }

  /** The invocation with all its entries: those that were fetched before, what has come since, and its own. Throws if a page cannot be had. */
  async complete(invocation: Invocation): Promise<Invocation> {
    const first = Math.min(...invocation.journal.map((entry) => entry.seq ?? Number.POSITIVE_INFINITY));
    // Without a settled entry in the body there is nothing that the rest could be older than.
    if (!Number.isFinite(first) || first <= 1) return invocation;
    const key = `${this.#url} ${invocation.run.id}`;
    const known = this.#kept.get(key);
    const until = known?.until ?? 0;
    const pages: JournalEntry[][] = [];
    let [before, bytes] = [first, known?.bytes ?? 0];
    while (before > until + 1) {
      const page = await this.#get(`before=${before}`);
      pages.unshift(page.journal.filter(({ seq }) => (seq ?? 0) > until));
      bytes += page.size;
      if (page.before === null) break;
      if (page.before >= before || pages.length > PAGES_MAX) throw new Error(`the journal's pages do not come to an end: ${page.before} follows ${before}`);
      before = page.before;
    }
    const entries = [...(known?.entries ?? []), ...pages.flat()];
    if (pages.length > 0) this.#kept.put(key, { entries, until: first - 1, bytes });
    return { ...invocation, journal: [...entries.filter(({ seq }) => (seq ?? 0) < first), ...invocation.journal] };
  }

  /** One entry, whole. */
  async entry(id: string): Promise<JournalEntry> {
    const { journal } = await this.#get(`id=${encodeURIComponent(id)}`);
    const [entry] = journal;
    if (entry === undefined || entry.id !== id || entry.ref === true) throw new Error(`the server has no outcome for \`${id}\``);
    return entry;
  }

  async #get(query: string): Promise<Page> {
    const url = `${this.#url}${this.#url.includes("?") ? "&" : "?"}${query}`;
    const { status, text } = await ask(this.#caller, { url, forMs: UNREACHABLE_MS });
    if (status !== 200) throw new Error(`${url} answered ${status}: ${text.slice(0, 500)}`);
    const page = JSON.parse(text) as { journal?: unknown; before?: unknown };
    if (!Array.isArray(page.journal)) throw new Error(`${url} answered without a \`journal\``);
    return { journal: page.journal.map((entry, i) => readEntry(entry, `journal[${i}]`)), before: typeof page.before === "number" ? page.before : null, size: text.length };
  }
}
