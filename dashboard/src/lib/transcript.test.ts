/** What a stream comes to as text: words that are taken back, messages that are more than words, and what a reconnection brings again. */
import { expect, test } from "vitest";
import { hear, KEPT, pieces, SILENCE, type StreamEvent } from "./transcript.ts";

const say = (id: number, data: unknown, more: object = {}): StreamEvent => ({ kind: "message", id, data: { run: "run_a", topic: "tokens", step: "write", attempt: 1, at: "2026-01-01T00:00:00Z", data, ...more } });
const shown = (...events: StreamEvent[]): string[] => pieces(hear(SILENCE, events)).map((piece) => `${piece.cut ? "cut " : ""}${piece.topic} ${piece.attempt}: ${piece.text}`);

test("tokens become text, and everything else stands alone", () => {
  expect(shown(say(1, { stage: 1 }), say(2, "a "), say(3, "b"), say(4, 7), say(5, "c"), say(6, "d", { topic: "log" }))).toEqual(['tokens 1: {"stage":1}', "tokens 1: a b", "tokens 1: 7", "tokens 1: c", "log 1: d"]);
});

test("what an attempt said that came to nothing is crossed out, and nothing else", () => {
  const cut: StreamEvent = { kind: "cut", id: 4, data: { run: "run_a", step: "write", attempt: 1, from: 2 } };
  expect(shown(say(1, "old "), say(2, "wrong "), say(3, "other", { step: "else" }), cut, say(5, "right", { attempt: 2 }))).toEqual(["tokens 1: old ", "cut tokens 1: wrong ", "tokens 1: other", "tokens 2: right"]);
});

test("what was forgotten is said, by the server or by the page itself", () => {
  expect(hear(SILENCE, [{ kind: "gap", id: 9, data: { after: 0, until: 9 } }]).forgotten).toBe(true);
  const long = hear(SILENCE, Array.from({ length: KEPT + 1 }, (_, i) => say(i, "x")));
  expect([long.said.length, long.said[0]!.id, long.forgotten]).toEqual([KEPT, 1, true]);
});
