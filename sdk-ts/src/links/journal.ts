/**
 * Journals that do not fit into a request: the older entries are fetched before the replay, large outcomes when they are delivered.
 * See docs/reference/protocol.md, section 10.
 */
import { type Invocation, type JournalEntry, readEntry } from "../wire/invocation.js";
import { PAGES_MAX, UNREACHABLE_MS } from "../wire/limits.js";
import { ask, type Caller } from "./request.js";

interface Page {
  readonly journal: JournalEntry[];
  readonly before: number | null;
}

/** The rest of an invocation's journal, at `links.journal`. */
export class RemoteJournal {
  readonly #url: string;
  readonly #caller: Caller;

  constructor(url: string, caller: Caller) {
    this.#url = url;
    this.#caller = caller;
  }

  /** The invocation with all its entries. Throws if a page cannot be had. */
  async complete(invocation: Invocation): Promise<Invocation> {
    const pages: JournalEntry[][] = [invocation.journal];
    let before = Math.min(...invocation.journal.map((entry) => entry.seq ?? Number.POSITIVE_INFINITY));
    // Without a settled entry in the body there is nothing that the rest could be older than.
    while (Number.isFinite(before) && before > 1) {
      const page = await this.#get(`before=${before}`);
      pages.unshift(page.journal);
      if (page.before === null) break;
      if (page.before >= before || pages.length > PAGES_MAX) throw new Error(`the journal's pages do not come to an end: ${page.before} follows ${before}`);
      before = page.before;
    }
    return { ...invocation, journal: pages.flat() };
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
    return { journal: page.journal.map((entry, i) => readEntry(entry, `journal[${i}]`)), before: typeof page.before === "number" ? page.before : null };
  }
}
