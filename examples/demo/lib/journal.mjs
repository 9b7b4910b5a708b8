/**
 * Runs, as the REST API shows them: found by name, followed while they go on, and told as sentences.
 */
import { setTimeout as pause } from "node:timers/promises";

const FOLLOW_MS = 60;

/** What the server answers to a GET. Undefined where it is not there, or does not know. */
export async function get(url) {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5_000) });
    return response.ok ? await response.json() : undefined;
  } catch {
    return undefined;
  }
}

/** Sends JSON. Throws what the server says against it. */
export async function send(method, url, body) {
  const response = await fetch(url, { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${text}`);
  return text === "" ? null : JSON.parse(text);
}

/** Follows the run of a name: `tell` gets a sentence for everything that is new in its journal. */
export class Follower {
  #runUrl;
  #url;
  #tell;
  #told = new Set();
  #ended = false;
  #waiters = [];
  /** The journal as last seen. */
  journal;

  constructor(server, fn, name, tell) {
    this.#runUrl = (run) => `${server}/v1/runs/${run.id}/journal`;
    this.#url = `${server}/v1/functions/${fn}/runs/${name}`;
    this.#tell = tell;
    this.finished = this.#follow();
  }

  /** Waits until `condition` holds of the journal. */
  until(condition) {
    return new Promise((resolve) => {
      this.#waiters.push({ condition, resolve });
      this.#wake();
    });
  }

  /** The entry of an id, as last seen. */
  entry(id) {
    return this.journal?.entries.find((entry) => entry.id === id);
  }

  stop() {
    this.#ended = true;
  }

  async #follow() {
    let run;
    while (!this.#ended) {
      run ??= await get(this.#url);
      const journal = run && (await get(this.#runUrl(run)));
      if (journal !== undefined) {
        this.journal = journal;
        for (const [key, sentence] of sentences(journal)) {
          if (!this.#told.has(key)) this.#tell(sentence);
          this.#told.add(key);
        }
        this.#wake();
        if (journal.run.endedAt !== null) return;
      }
      await pause(FOLLOW_MS);
    }
  }

  #wake() {
    if (this.journal === undefined) return;
    this.#waiters = this.#waiters.filter(({ condition, resolve }) => {
      const holds = condition(this.journal);
      if (holds) resolve();
      return !holds;
    });
  }
}

/** Whether a failed invocation is one that got no answer: its handler died, or the network did. */
export function isLost({ error }) {
  return error.name === "LostInFlight";
}

/** Everything that a journal tells, each with a key by which it is told once. */
function sentences({ run, entries, attempts }) {
  const all = [];
  for (const { number, error } of attempts.filter(isLost)) all.push([`lost ${number} ${error.message}`, `the invocation was lost (${error.message}); the run is invoked again`]);
  for (const entry of entries) {
    if (entry.op === "input") all.push(["started", `run ${run.name} is in the journal as ${run.id}`]);
    else if (entry.op === "outcome") all.push(["outcome", entry.err === undefined ? "the run has completed" : `the run has failed: ${entry.err.name}: ${entry.err.message}`]);
    else all.push(...entrySentences(entry));
  }
  return all;
}

function entrySentences(entry) {
  const { id, op, status, seq, attempts = [], params } = entry;
  const all = attempts.map(({ number, error, endedAt }) => [`${id} ${number}`, `${id}: attempt ${number} failed with ${error.name}: ${error.message}${again(entry, number, endedAt)}`]);
  if (op === "sleep") all.push([`${id} open`, `${id}: the run sleeps${params.for === undefined ? "" : ` for ${params.for}`}; no process is needed for it`]);
  if (op === "waitSignal") all.push([`${id} open`, `${id}: the run waits for the signal ${params.signal}, at most ${params.timeout}`]);
  if (status === "settled") all.push([`${id} settled`, `${id}: ${settlement(entry)} (result ${seq} of the journal)`]);
  return all;
}

/** When a step is tried again, if this attempt was its last one so far. */
function again({ status, failures, dueAt }, number, endedAt) {
  return status === "backoff" && number === failures ? `; again in ${((Date.parse(dueAt) - Date.parse(endedAt)) / 1000).toFixed(1)} s` : "";
}

function settlement({ op, ok, err, timeout }) {
  if (timeout) return "nothing came in time";
  if (err !== undefined) return `failed for good with ${err.name}`;
  return op === "sleep" ? "over" : op === "waitSignal" ? `came: ${JSON.stringify(ok)}` : "done";
}
