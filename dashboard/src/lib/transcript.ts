/**
 * What a run has said while it works, as a reader shows it: tokens become text, and what an attempt said that came to nothing is crossed out
 * and not forgotten, since somebody who looks for a mistake wants to see just that. Pure.
 */
import type { Json } from "../api/types.ts";
import { line } from "./digits.ts";

/** One message, as it came. */
export interface Said {
  id: number;
  run: string;
  topic: string;
  step: string | null;
  attempt: number | null;
  data: Json;
  at: string;
  cut: boolean;
}

/** Messages that follow one another and belong together. */
export interface Piece {
  /** The id of its first message. */
  id: number;
  topic: string;
  step: string | null;
  attempt: number | null;
  text: string;
  count: number;
  at: string;
  cut: boolean;
}

export interface Transcript {
  said: readonly Said[];
  /** Messages that are not shown: the server or this page has forgotten them. */
  forgotten: boolean;
}

export const SILENCE: Transcript = { said: [], forgotten: false };

/** Messages that are kept; older ones leave. */
export const KEPT = 5_000;

export interface StreamEvent {
  kind: string;
  id: number;
  data: unknown;
}

/** A transcript with what came after it. */
export function hear(before: Transcript, events: readonly StreamEvent[]): Transcript {
  let said = [...before.said];
  let forgotten = before.forgotten;
  for (const { kind, id, data } of events) {
    const body = (typeof data === "object" && data !== null ? data : {}) as { run?: string; topic?: string; step?: string; attempt?: number; data?: Json; at?: string; from?: number };
    const run = body.run ?? "";
    if (kind === "message") said.push({ id, run, topic: body.topic ?? "", step: body.step ?? null, attempt: body.attempt ?? null, data: body.data ?? null, at: body.at ?? "", cut: false });
    else if (kind === "cut") said = said.map((one) => (one.run === run && one.step === body.step && one.id >= (body.from ?? 0) && one.id <= id ? { ...one, cut: true } : one));
    else if (kind === "gap") forgotten = true;
  }
  return said.length > KEPT ? { said: said.slice(-KEPT), forgotten: true } : { said, forgotten };
}

/** The pieces of a transcript: texts of one speaker on one topic run together, anything else stands alone. */
export function pieces(transcript: Transcript): Piece[] {
  const found: Piece[] = [];
  let text = false;
  for (const { id, run: _run, data, ...one } of transcript.said) {
    const last = found.at(-1);
    const isText = typeof data === "string";
    const goesOn = last && text && isText && last.topic === one.topic && last.step === one.step && last.attempt === one.attempt && last.cut === one.cut;
    if (goesOn) {
      last.text += data;
      last.count += 1;
    } else found.push({ id, ...one, text: isText ? data : line(data), count: 1 });
    text = isText;
  }
  return found;
}
