/**
 * What is published: checked and written at the call, gathered until it goes out.
 */
import { MisuseError } from "../errors.js";
import type { PublishOp } from "../wire/answer.js";
import { bounded, RawJson, writeJson } from "../wire/json.js";
import { MESSAGE_BYTES_MAX, NAME_BYTES_MAX, PUBLISH_CHARS, PUBLISH_COUNT_MAX } from "../wire/limits.js";

/** Where a message is read. */
export interface PublishOptions {
  /** A channel that has a name, which several runs may share; the run's own stream if left out. */
  channel?: string;
}

/** Publishes a message. */
export type Publish = (topic: string, data: unknown, options?: PublishOptions) => void;

/** Publishes each of a sequence of messages as it comes, no faster than they go out. Resolves to all of them. */
export type Pipe = <T>(topic: string, source: AsyncIterable<T> | Iterable<T> | ReadableStream<T>, options?: PublishOptions) => Promise<T[]>;

/** A message that was checked and written. */
export interface Said {
  readonly channel?: string;
  readonly topic: string;
  readonly data: RawJson;
}

function name(what: string, value: unknown): string {
  const fits = typeof value === "string" && value !== "" && !value.startsWith("$") && !/\p{Cc}/u.test(value) && new TextEncoder().encode(value).length <= NAME_BYTES_MAX;
  if (!fits) throw new MisuseError(`failed to publish: the ${what} is ${JSON.stringify(value)}; it is a text of 1 to ${NAME_BYTES_MAX} bytes without control characters that does not begin with \`$\`.`);
  return value as string;
}

/** Checks and writes a message. Throws `MisuseError`, or `UnserializableError`. */
export function said(topic: string, data: unknown, options: PublishOptions = {}): Said {
  const { channel } = options;
  const checked = name("topic", topic);
  // With the brackets of a list of one.
  const written = bounded(`the message on \`${topic}\``, writeJson(`the message on \`${topic}\``, data), MESSAGE_BYTES_MAX - 2, "Publish it in parts, or store it elsewhere and publish where.");
  return { ...(channel === undefined ? {} : { channel: name("channel", channel) }), topic: checked, data: written };
}

/** The op of one message. */
export function publishOp(id: string, attempt: number | undefined, { channel, topic, data }: Said, index: number): PublishOp {
  return { op: "publish", id, ...(attempt === undefined ? {} : { attempt }), ...(channel === undefined ? {} : { channel }), topic, index, count: 1, data: new RawJson(`[${data.text}]`) };
}

/** Adds a message to an op that waits, if it is the next of the same place and there is room. */
export function gather(last: PublishOp, next: PublishOp): boolean {
  const same = last.id === next.id && last.attempt === next.attempt && last.channel === next.channel && last.topic === next.topic && last.index + last.count === next.index;
  if (!same || last.count >= PUBLISH_COUNT_MAX || last.data.text.length + next.data.text.length > PUBLISH_CHARS) return false;
  last.data = new RawJson(`${last.data.text.slice(0, -1)},${next.data.text.slice(1)}`);
  last.count += next.count;
  return true;
}

/** Publishes what comes, one after the other. `room` resolves when what waits to go out is little enough. */
export async function pipe<T>(publish: Publish, room: () => Promise<void>, signal: AbortSignal, topic: string, source: AsyncIterable<T> | Iterable<T> | ReadableStream<T>, options?: PublishOptions): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items(source)) {
    signal.throwIfAborted();
    publish(topic, item, options);
    all.push(item);
    await room();
  }
  return all;
}

function items<T>(source: AsyncIterable<T> | Iterable<T> | ReadableStream<T>): AsyncIterable<T> | Iterable<T> {
  if (Symbol.asyncIterator in source || Symbol.iterator in source) return source as AsyncIterable<T> | Iterable<T>;
  if (typeof (source as ReadableStream<T> | undefined)?.getReader === "function") return chunks(source as ReadableStream<T>);
  throw new MisuseError("failed to pipe: the source is neither iterable nor a ReadableStream.");
}

/** A stream as an iterable, for platforms where it is none. */
async function* chunks<T>(source: ReadableStream<T>): AsyncIterable<T> {
  const reader = source.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.releaseLock();
  }
}
