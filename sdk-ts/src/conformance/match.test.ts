/**
 * Matching of answers against the corpus, as tests/conformance/README.md defines it.
 */
import assert from "node:assert/strict";
import { durationMs } from "../duration.js";

type Fields = Record<string, any>;

const DURATIONS = new Set(["for", "timeout", "retryAfter", "initialInterval", "maxInterval", "heartbeat", "scheduleToClose", "scheduleToStart"]);
const TIMES = new Set(["until", "at"]);
const STAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** Params in a form in which equal meanings are equal values. */
function meaning(value: any, key = ""): any {
  if (Array.isArray(value)) return value.map((item) => meaning(item));
  if (typeof value === "object" && value !== null) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, k === "data" || k === "input" || k === "set" ? v : meaning(v, k)]));
  if (DURATIONS.has(key)) return durationMs(value);
  return TIMES.has(key) ? Date.parse(value) : value;
}

function sameError(actual: Fields, expected: Fields, where: string): void {
  for (const [key, value] of Object.entries(expected)) assert.deepEqual(meaning(actual[key], key), meaning(value, key), `${where}.err.${key}`);
  for (const key of ["code", "data", "retryAfter"]) assert.ok(key in expected || !(key in actual), `${where}.err has an unexpected ${key}`);
}

function sameOp(actual: Fields, expected: Fields, where: string): void {
  const { err, startedAt, endedAt, params, ...rest } = actual;
  const { err: expectedErr, params: expectedParams, ...expectedRest } = expected;
  assert.deepEqual(rest, expectedRest, where);
  assert.deepEqual(meaning(params ?? {}), meaning(expectedParams ?? {}), `${where}.params`);
  if (expectedErr === undefined) assert.equal(err, undefined, `${where}.err`);
  else sameError(err ?? {}, expectedErr, where);
  if (expected.op === "step") {
    assert.match(startedAt ?? "", STAMP, `${where}.startedAt`);
    assert.match(endedAt ?? "", STAMP, `${where}.endedAt`);
  }
}

const ENDS = ["done", "fail", "yield", "continueAsNew"];

/** What tells an op from the others of one answer. */
function idOf(op: Fields): string {
  if (ENDS.includes(op.op)) return "(end)";
  if (op.op === "status" || op.op === "labels") return `(${op.op})`;
  if (op.op === "reply") return `reply ${op.update}`;
  if (op.op === "publish") return `publish ${op.id} ${op.topic} ${op.index}`;
  return op.op === "heartbeat" ? `heartbeat ${op.id}` : (op.id as string);
}

const asSets = (groups: string[][]): string => JSON.stringify(groups.map((g) => [...g].sort()).sort());

/** Asserts that an answer is what a transcript expects. */
export function assertAnswer(actual: Fields, expected: Fields, token: string, ordered: string[] = []): void {
  assert.equal(actual.token, token);
  assertOps(actual, expected, ordered);
  // This SDK gives groups wherever the corpus does, so that the rule is tested and not only tolerated.
  const trivial = (groups: string[][] | undefined): boolean => groups === undefined || groups.every((g) => g.length === 1);
  if (trivial(expected.awaiting)) assert.ok(trivial(actual.awaiting), `awaiting: ${JSON.stringify(actual.awaiting)}`);
  else assert.equal(asSets(actual.awaiting ?? []), asSets(expected.awaiting), "awaiting");
}

/** Asserts that a report, or an answer without its token, is what a transcript expects. */
export function assertOps(actual: Fields, expected: Fields, ordered: string[] = []): void {
  assert.equal(actual.seen, expected.seen, "seen");
  const ids = actual.ops.map(idOf) as string[];
  assert.deepEqual([...ids].sort(), expected.ops.map(idOf).sort(), `ops: ${JSON.stringify(actual.ops)}`);
  for (const op of expected.ops) sameOp(actual.ops[ids.indexOf(idOf(op))], op, idOf(op));
  const end = ids.indexOf("(end)");
  assert.ok(end === -1 || end === ids.length - 1, "a terminal op stands last");
  const before = (a: string, b: string): boolean => !ids.includes(a) || !ids.includes(b) || ids.indexOf(a) < ids.indexOf(b);
  for (const id of ids) assert.ok(before(`heartbeat ${id}`, id), "a heartbeat stands before its step");
  for (const [at, op] of (actual.ops as Fields[]).entries()) assert.ok(op.op !== "publish" || !ids.includes(op.id) || at < ids.indexOf(op.id), "what a step has said stands before its report");
  assert.deepEqual(ids.filter((id) => ordered.includes(id)), ordered, "order");
}
