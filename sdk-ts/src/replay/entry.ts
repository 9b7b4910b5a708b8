/**
 * Entries as the replay holds them: created by a call, settled by the journal, delivered in their turn.
 */
import type { Json } from "../types.js";
import type { EntryKind } from "../wire/answer.js";
import type { JournalEntry } from "../wire/invocation.js";
import type { RawJson } from "../wire/json.js";
import type { RunningBody } from "./bodies.js";
import type { Pipe, Publish } from "./published.js";

/** What a step's body is given besides its own closure. */
export interface BodyFacts {
  /** Which attempt this is, from 1. */
  readonly attempt: number;
  /** `<run>/<entry>`: the same over all attempts, and of this step alone. Hand it to whoever must not do a thing twice. */
  readonly idempotencyKey: string;
  /** Aborts when the step's time-out is over or the invocation ends, for whatever reason. */
  readonly signal: AbortSignal;
  /** When the step's time-out is over, if it has one. */
  readonly deadline: Date | undefined;
  /** What the last heartbeat of an attempt before this one said; `undefined` on the first, and if there was none. */
  readonly details: Json | undefined;
  /**
   * Says that the body is alive, and how far it has come: the next attempt gets it as `details`. Call it as often as you like;
   * at most one a second is sent. At most 64 KiB.
   */
  heartbeat(details?: unknown): void;
  /**
   * Publishes a message to whoever reads the run's stream, at once. What an attempt has published that comes to nothing is cut: a reader
   * ends with what the successful one said. Any JSON, at most 64 KiB.
   *
   * ```ts
   * await step.run("report", async ({ publish }) => {
   *   for (const page of pages) publish("progress", { page });
   * });
   * ```
   */
  publish: Publish;
  /**
   * Publishes each of a sequence of messages as it comes: the tokens of a model, the lines of a file. Pauses while the server is behind.
   *
   * ```ts
   * const tokens = await step.run("answer", ({ pipe }) => pipe("tokens", model.stream(prompt)));
   * ```
   */
  pipe: Pipe;
}

/** What undoes a step that has succeeded. */
export interface Undo {
  /** Runs it, given the step's outcome. It resolves to the written result. */
  readonly body: (outcome: JournalEntry, facts: BodyFacts) => Promise<RawJson>;
  readonly retry: object | undefined;
}

/** What a call asks for. */
export interface Call<T> {
  readonly op: EntryKind;
  readonly id: string;
  readonly name: string;
  readonly params: RawJson;
  /** Turns the journal's outcome into what the handler gets; throws what it is to be rejected with. */
  readonly read: (outcome: JournalEntry) => T | Promise<T>;
  /** The body of a step, with its time-out. It resolves to the written result. */
  readonly body?: (facts: BodyFacts) => Promise<RawJson>;
  readonly timeoutMs?: number;
  /** How long a body may go without a heartbeat. */
  readonly heartbeatMs?: number;
  /** Reads what the last heartbeat said. */
  readonly readDetails?: (details: Json) => Json;
  /** What undoes the step when the run fails or is cancelled. */
  readonly undo?: Undo | undefined;
  /** The run does not end before this child has. */
  readonly holdsEnd?: true;
}

/** A set of branches that are all awaited together: see `awaiting` in the protocol. */
export interface Group {
  /** Branches that were not started yet, because of a bound on how many run at once. */
  waiting: number;
}

/** One entry in this invocation. */
export class Entry {
  readonly promise: Promise<unknown>;
  resolve!: (value: unknown) => void;
  reject!: (reason: unknown) => void;
  /** Settled for the handler: its outcome, or a cancellation, was handed over. */
  delivered = false;
  group: Group | undefined;
  /** The step's body, while it runs. */
  body: RunningBody | undefined;
  /** Not begun, since a cancellation is on its way. */
  withheld = false;
  /** The attempt that has begun last in this invocation, or 0. */
  attempt = 0;
  /** When the code created it, in milliseconds since 1970: what is not in the journal yet counts from here. */
  readonly createdAt = Date.now();

  constructor(
    readonly call: Call<unknown>,
    /** What the journal says of it by now. */
    public known: JournalEntry | undefined,
    /** How many entries the code had created before it. */
    readonly ordinal: number,
  ) {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // A branch that nobody awaits any more must not bring down the process.
    this.promise.catch(() => undefined);
  }

  /** The ordinal of its settlement, or infinity while it has none. */
  get seq(): number {
    return this.known?.seq ?? Number.POSITIVE_INFINITY;
  }

  /** Whether the journal says that nothing may be done but wait. */
  get pending(): boolean {
    return this.known?.pending === true;
  }
}
