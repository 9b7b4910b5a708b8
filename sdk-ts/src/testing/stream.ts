/**
 * What a run in a test publishes, taken by the rules of the server: everything once, and nothing of attempts that came to nothing.
 */
import type { Json } from "../types.js";

/** A message that was published. */
export interface TestMessage {
  readonly topic: string;
  readonly data: Json;
  /** The channel, if it has a name. */
  readonly channel?: string;
  /** The step whose body said it, and in which attempt. */
  readonly step?: string;
  readonly attempt?: number;
}

/** The op, as far as it matters here. */
interface Publish {
  readonly id: string;
  readonly attempt?: number;
  readonly channel?: string;
  readonly topic: string;
  readonly index: number;
  readonly data: readonly Json[];
}

/** Who speaks at one place of the code: which attempt, in which invocation, and how many messages there were. */
interface Speaker {
  readonly attempt: number | undefined;
  readonly invocation: number | undefined;
  next: number;
}

export class TestStream {
  #messages: (TestMessage & { readonly source: string })[] = [];
  readonly #speakers = new Map<string, Speaker>();

  /** What a reader has heard in the end. */
  get messages(): readonly TestMessage[] {
    return this.#messages.map(({ source: _, ...message }) => message);
  }

  /** How many messages the handler has published outside of bodies, by the place in its code. */
  get published(): Record<string, number> {
    return Object.fromEntries([...this.#speakers].filter(([, { attempt }]) => attempt === undefined).map(([source, { next }]) => [source, next]));
  }

  /** Takes an op, if what it says counts: of the body of a step, if its attempt is the one to be reported next. */
  hear(op: Publish, step: { readonly status: string; readonly attempts: number } | undefined, invocation: number): void {
    const counts = op.attempt === undefined || (step === undefined ? op.attempt === 1 : step.status === "open" && op.attempt === step.attempts + 1);
    if (counts) this.#take(op, invocation);
  }

  #take(op: Publish, invocation: number): void {
    const speaks = { attempt: op.attempt, invocation: op.attempt === undefined ? undefined : invocation };
    let speaker = this.#speakers.get(op.id);
    if (speaker !== undefined && (speaker.attempt !== speaks.attempt || speaker.invocation !== speaks.invocation)) {
      this.cut(op.id);
      speaker = undefined;
    }
    const next = speaker?.next ?? 0;
    for (const data of op.data.slice(Math.max(0, next - op.index))) {
      const by = op.attempt === undefined ? {} : { step: op.id, attempt: op.attempt };
      this.#messages.push({ topic: op.topic, data, ...(op.channel === undefined ? {} : { channel: op.channel }), ...by, source: op.id });
    }
    this.#speakers.set(op.id, { ...speaks, next: Math.max(next, op.index + op.data.length) });
  }

  /** A step has succeeded: what this attempt has said in this invocation stays. */
  keep(id: string, attempt: number, invocation: number): void {
    const speaker = this.#speakers.get(id);
    if (speaker !== undefined && (speaker.attempt !== attempt || speaker.invocation !== invocation)) this.cut(id);
    this.#speakers.delete(id);
  }

  /** Nothing came of what a step has said. */
  cut(id: string): void {
    if (this.#speakers.get(id)?.attempt === undefined) return;
    this.#messages = this.#messages.filter((message) => message.source !== id);
    this.#speakers.delete(id);
  }

  /** An invocation is over: its bodies are silent. */
  hush(): void {
    for (const id of [...this.#speakers.keys()]) this.cut(id);
  }

  /** The run went on in a new one, which counts anew. */
  restart(): void {
    this.hush();
    this.#speakers.clear();
  }
}
