/**
 * State: what a handler of an object reads and writes. Reads are answered from the state that the run began with and from its own
 * writes; each write is an entry of the journal, so a replay writes the same again without doing it twice.
 */
import type { Codec } from "./codec.js";
import { MisuseError } from "./errors.js";
import type { Replay } from "./replay/replay.js";
import type { Json, Jsonify } from "./types.js";
import { bounded, type RawJson, writeJson } from "./wire/json.js";
import { STATE_VALUE_BYTES_MAX } from "./wire/limits.js";

/** The state of an object, for reading. */
export interface ReadState<S extends object> {
  /** A value; `undefined` if there is none of that name. A copy: changing it changes nothing. */
  get<K extends keyof S & string>(name: K): Jsonify<S[K]> | undefined;
  /** The names that have a value. */
  names(): string[];
}

/** The state of an object. A value may have 256 KiB, all of one key together 1 MiB. */
export interface State<S extends object> extends ReadState<S> {
  /** Writes a value. */
  set<K extends keyof S & string>(name: K, value: S[K]): void;
  /** Writes several values in one go. */
  set(values: Partial<S>): void;
  /** Takes values away; all of them if none is named. */
  clear(...names: (keyof S & string)[]): void;
}

/** The state in one invocation. */
export class RunState implements State<Record<string, unknown>> {
  readonly #values: Map<string, string>;
  readonly #replay: Replay;
  readonly #codec: Codec;
  readonly #writable: boolean;
  #writes = 0;

  constructor(state: Readonly<Record<string, Json>>, replay: Replay, codec: Codec, writable: boolean) {
    this.#values = new Map(Object.entries(state).map(([name, value]) => [name, JSON.stringify(value)]));
    this.#replay = replay;
    this.#codec = codec;
    this.#writable = writable;
  }

  get(name: string): any {
    const text = this.#values.get(name);
    return text === undefined ? undefined : this.#codec.decode(JSON.parse(text));
  }

  names(): string[] {
    return [...this.#values.keys()];
  }

  set(first: string | Record<string, unknown>, value?: unknown): void {
    const values = typeof first === "string" ? { [first]: value } : first;
    const written = Object.entries(values).map(([name, one]) => [name, this.#written(name, one)] as const);
    if (written.length > 0) this.#write({ set: Object.fromEntries(written) });
    for (const [name, { text }] of written) this.#values.set(name, text);
  }

  clear(...names: string[]): void {
    const clear = (names.length === 0 ? this.names() : names).filter((name) => this.#values.has(name));
    if (clear.length > 0) this.#write({ clear });
    for (const name of clear) this.#values.delete(name);
  }

  #written(name: string, value: unknown): RawJson {
    const what = `the value of \`${name}\``;
    return bounded(what, writeJson(what, this.#codec.encode(value)), STATE_VALUE_BYTES_MAX, "Split it over several names, or store it elsewhere.");
  }

  /** Each write of the code is an entry, numbered in the order of the calls. */
  #write(params: object): void {
    if (!this.#writable) throw new MisuseError("failed to write state: a shared handler only reads. Define it with exclusive(…), or call an exclusive handler of this key.");
    const id = this.#writes === 0 ? "$state" : `$state:${this.#writes}`;
    this.#replay.note({ op: "state", id, name: id, params: writeJson("the state", params), read: () => undefined });
    this.#writes++;
  }
}
