/**
 * Checkpoints: what a handler reports while its invocation is open, and what the server says to it.
 * See docs/reference/protocol.md, section 9.
 */
import { durationMs } from "../duration.js";
import { printOp, type ReportOp } from "./answer.js";
import type { Json } from "../types.js";
import type { WireError } from "./error.js";
import { type JournalEntry, readEntry } from "./invocation.js";

/** A report. Without ops it is a beat, which only asks for news. */
export interface CheckpointRequest {
  /** Numbers the reports that bring ops, from 1. */
  readonly n: number;
  /** The greatest `seq` that is known here. */
  readonly seen: number;
  readonly ops: readonly ReportOp[];
  /** How long the reply may wait for something to tell, in milliseconds. */
  readonly waitMs?: number;
}

/** A step that is to run again. */
export interface Retry {
  readonly id: string;
  readonly attempt: number;
  /** Milliseconds from now. */
  readonly dueIn: number;
  readonly error?: WireError;
  /** What the last heartbeat said. */
  readonly details?: Json;
}

/** What the server says. An entry of `settled` without an outcome settled with what the request reported of it. */
export interface CheckpointReply {
  readonly settled: readonly JournalEntry[];
  readonly retry: readonly Retry[];
  /** The server is about to stop. */
  readonly drain: boolean;
}

/** Whether a settled entry says what it settled with. */
export function hasOutcome(entry: JournalEntry): boolean {
  return "ok" in entry || "err" in entry || entry.timeout === true || entry.ref === true;
}

/** The body of a report. */
export function printCheckpoint({ n, seen, ops, waitMs }: CheckpointRequest): string {
  return `{"n":${n},"seen":${seen},"ops":[${ops.map(printOp).join(",")}]${waitMs === undefined ? "" : `,"wait":${waitMs}`}}`;
}

function readRetry(value: unknown): Retry {
  const { id, attempt, dueIn, error, details } = value as Record<string, unknown>;
  if (typeof id !== "string" || !Number.isInteger(attempt)) throw new Error("an item of `retry` has no id or no attempt");
  return { id, attempt: attempt as number, dueIn: durationMs(dueIn as number), ...(error === undefined ? {} : { error: error as WireError }), ...(details === undefined ? {} : { details: details as Json }) };
}

/** Reads a reply. Throws an `Error` that says what is wrong with it. */
export function readReply(text: string): CheckpointReply {
  const reply = JSON.parse(text) as { settled?: unknown; retry?: unknown; stop?: unknown } | null;
  if (!Array.isArray(reply?.settled)) throw new Error("`settled` is not a list");
  const settled = reply.settled.map((entry, i) => readEntry(entry, `settled[${i}]`, true));
  return { settled, retry: Array.isArray(reply.retry) ? reply.retry.map(readRetry) : [], drain: reply.stop === "drain" };
}
