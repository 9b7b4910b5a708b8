/**
 * The answer: what a handler did, as ops, and how they are printed within the size that the host allows.
 * See docs/reference/protocol.md, sections 4 and 10.
 */
import type { WireError } from "./error.js";
import { RawJson } from "./json.js";

/** What kinds of entries a handler can create. */
export type EntryKind = "step" | "sleep" | "waitSignal" | "waitEvent" | "invoke" | "fetch" | "send" | "marker" | "state";

/** An op that creates or settles an entry. */
export interface EntryOp {
  op: EntryKind;
  id: string;
  name?: string;
  params: RawJson;
  ok?: RawJson;
  err?: WireError;
  attempt?: number;
  startedAt?: string;
  endedAt?: string;
}

/** What the run shows of itself. Makes no entry; the last one wins. */
export interface StatusOp {
  op: "status";
  value: RawJson;
}

/** What people find the run by: all of it. Makes no entry; the last one wins. */
export interface LabelsOp {
  op: "labels";
  tags: readonly string[];
  attributes: Readonly<Record<string, string | number | boolean>>;
}

/** A sign of life of a step whose body runs, with how far it has come. Settles nothing. */
export interface HeartbeatOp {
  op: "heartbeat";
  id: string;
  name: string;
  params: RawJson;
  attempt: number;
  details: RawJson;
}

/** What the sender of an update gets. Makes no entry; the first one wins. */
export interface ReplyOp {
  op: "reply";
  update: string;
  ok?: RawJson;
  err?: WireError;
}

/** Messages that one place of the code has published, one after the other. Makes no entry. */
export interface PublishOp {
  op: "publish";
  /** The step whose body said them; of the handler outside of bodies `$publish`, with its scopes before it. */
  id: string;
  attempt?: number;
  channel?: string;
  topic: string;
  /** The ordinal of the first at its place. */
  index: number;
  /** How many they are; not sent. */
  count: number;
  /** All of them, as a list. */
  data: RawJson;
}

/** An op that may go out while the handler works. */
export type ReportOp = EntryOp | StatusOp | LabelsOp | HeartbeatOp | ReplyOp | PublishOp;

/** An op that ends the run. */
export type TerminalOp = { op: "done"; ok: RawJson } | { op: "fail"; err: WireError } | { op: "continueAsNew"; input: RawJson };

/** Ends the invocation, not the run: something was held back. */
export type YieldOp = { op: "yield" };

/** The code contradicts the journal. */
export interface MismatchOp {
  op: "mismatch";
  id: string;
  journal: string;
  code: string;
}

/** Anything in an answer. */
export type Op = ReportOp | TerminalOp | YieldOp | MismatchOp;

/** What goes back to the server. */
export interface Answer {
  token: string;
  seen: number;
  ops: Op[];
  awaiting?: string[][];
}

/** An op as JSON. Payloads are copied as they were written. */
export function printOp(op: Op): string {
  const fields = Object.entries(op).filter(([key, value]) => value !== undefined && !(key === "count" && op.op === "publish"));
  return `{${fields.map(([key, value]) => `"${key}":${value instanceof RawJson ? value.text : JSON.stringify(value)}`).join(",")}}`;
}

const encoder = new TextEncoder();

function tooLarge(what: string, bytes: number, bytesMax: number): WireError {
  return {
    name: "TooLarge",
    message: `${what} takes ${bytes} bytes, but a response of this host holds ${bytesMax}. Store it elsewhere and return a reference.`,
    retryable: false,
  };
}

/** What an op says of its value when that is too large. */
function nameOf(op: Op): string {
  if (op.op === "done") return "the result of the function";
  if (op.op === "continueAsNew") return "the input to continue with";
  return "id" in op ? `\`${op.id}\` (${op.op})` : "the error of the function";
}

/** Replaces an op that can never be sent by an error that can; what is only for people to look at is left out. */
function shrink(op: Op, bytes: number, bytesMax: number): Op | undefined {
  if (op.op === "status" || op.op === "labels" || op.op === "heartbeat" || op.op === "publish") return undefined;
  if (op.op === "reply") return { op: "reply", update: op.update, err: tooLarge("the reply to the update", bytes, bytesMax) };
  if (op.op === "step") {
    const { ok: _, ...rest } = op;
    return { ...rest, err: tooLarge(`the result of step \`${op.id}\``, bytes, bytesMax) };
  }
  return { op: "fail", err: tooLarge(nameOf(op), bytes, bytesMax) };
}

/** As many of the ops as fit, printed; one that can never fit is replaced. */
function fitting(ops: readonly Op[], room: number, bytesMax: number): string[] {
  const printed: string[] = [];
  let used = 0;
  for (const op of ops) {
    let text = printOp(op);
    let bytes = encoder.encode(text).length;
    let last = false;
    if (bytes > room) {
      const small = shrink(op, bytes, bytesMax);
      if (small === undefined) continue;
      last = small.op === "fail";
      text = printOp(small);
      bytes = encoder.encode(text).length;
    }
    if (used + bytes > room && printed.length > 0) break;
    printed.push(text);
    used += bytes + 1;
    if (last) break;
  }
  return printed;
}

/**
 * Prints an answer. What does not fit is replaced or left for the next invocation, as the protocol says. `final` prints it for
 * `links.checkpoint` instead, where the token is the bearer's.
 */
export function printAnswer(answer: Answer, bytesMax: number, final = false): string {
  const head = `{${final ? `"final":true` : `"token":${JSON.stringify(answer.token)}`},"seen":${answer.seen},"ops":[`;
  const tail = answer.awaiting === undefined ? "]}" : `],"awaiting":${JSON.stringify(answer.awaiting)}}`;
  const whole = head + answer.ops.map(printOp).join(",") + tail;
  // A UTF-16 unit takes at most three bytes, so nearly every answer is known to fit without counting.
  if (whole.length * 3 <= bytesMax || encoder.encode(whole).length <= bytesMax) return whole;
  // Awaiting is only a hint: without it there is more room for what counts.
  // So is what was only said on the way.
  const counts = answer.ops.filter((op) => op.op !== "publish");
  return `${head}${fitting(counts, bytesMax - head.length - 2, bytesMax).join(",")}]}`;
}
