/**
 * The protocol's schema against the conformance corpus: every body that a case shows has the shape that the schema gives. With a
 * validator of the few keywords that the schema uses; a keyword that it does not know fails the test.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";

const root = new URL("../../../", import.meta.url);
const json = (path: string): any => JSON.parse(readFileSync(new URL(path, root), "utf8"));
const { $defs } = json("docs/reference/protocol.schema.json");

/** Words of `needs` whose shapes the schema does not have yet. */
const LATER: string[] = [];

type Check = (rule: any, value: any, schema: any, path: string) => string | null;

const typeOf = (value: unknown): string => (value === null ? "null" : Array.isArray(value) ? "array" : typeof value);
const isType = (value: unknown, type: string): boolean => (type === "integer" ? Number.isInteger(value) : typeOf(value) === type);
const fits = (schema: any, value: any): boolean => invalid(schema, value, "$") === null;
const say = (ok: boolean, path: string, what: string): string | null => (ok ? null : `${path}: ${what}`);

function each(list: any[], path: string, schema: any): string | null {
  for (const [i, item] of list.entries()) {
    const reason = invalid(schema, item, `${path}[${i}]`);
    if (reason !== null) return reason;
  }
  return null;
}

/** What each keyword of the schema demands: null, or what is wrong. */
const KEYWORDS: Record<string, Check> = {
  $ref: (rule, value, _, path) => invalid($defs[rule.replace("#/$defs/", "")] ?? assert.fail(`no definition ${rule}`), value, path),
  type: (rule, value, _, path) => say([rule].flat().some((type: string) => isType(value, type)), path, `is not ${rule}`),
  const: (rule, value, _, path) => say(value === rule, path, `is not ${JSON.stringify(rule)}`),
  enum: (rule, value, _, path) => say(rule.includes(value), path, `is none of ${rule}`),
  required: (rule, value, _, path) => say(typeOf(value) !== "object" || rule.every((key: string) => key in value), path, `lacks one of ${rule}`),
  properties: (rule, value, _, path) => {
    if (typeOf(value) !== "object") return null;
    for (const key of Object.keys(rule)) {
      const reason = key in value ? invalid(rule[key], value[key], `${path}.${key}`) : null;
      if (reason !== null) return reason;
    }
    return null;
  },
  items: (rule, value, _, path) => (Array.isArray(value) ? each(value, path, rule) : null),
  minItems: (rule, value, _, path) => say(!Array.isArray(value) || value.length >= rule, path, "is too short"),
  maxItems: (rule, value, _, path) => say(!Array.isArray(value) || value.length <= rule, path, "is too long"),
  minLength: (rule, value, _, path) => say(typeof value !== "string" || value.length >= rule, path, "is too short"),
  maxLength: (rule, value, _, path) => say(typeof value !== "string" || value.length <= rule, path, "is too long"),
  pattern: (rule, value, _, path) => say(typeof value !== "string" || new RegExp(rule).test(value), path, `does not match ${rule}`),
  minimum: (rule, value, _, path) => say(typeof value !== "number" || value >= rule, path, "is too small"),
  maximum: (rule, value, _, path) => say(typeof value !== "number" || value <= rule, path, "is too large"),
  exclusiveMinimum: (rule, value, _, path) => say(typeof value !== "number" || value > rule, path, "is too small"),
  not: (rule, value, _, path) => say(!fits(rule, value), path, "is what it must not be"),
  anyOf: (rule, value, _, path) => say(rule.some((one: any) => fits(one, value)), path, "fits no alternative"),
  oneOf: (rule, value, _, path) => say(rule.filter((one: any) => fits(one, value)).length === 1, path, "does not fit exactly one alternative"),
  description: () => null,
};

/** Why a value does not have the shape, or null if it has. */
function invalid(schema: any, value: any, path: string): string | null {
  for (const [keyword, rule] of Object.entries(schema)) {
    const check = KEYWORDS[keyword] ?? assert.fail(`the schema uses \`${keyword}\`, which this test does not know`);
    const reason = check(rule, value, schema, path);
    if (reason !== null) return reason;
  }
  return null;
}

/** Ops as they are on the wire: cases leave out times, and messages of an SDK's own wording. */
function complete(ops: any[]): any[] {
  const at = "2026-03-01T12:00:00.000Z";
  return ops.map((op) => {
    const err = op.err === undefined ? {} : { err: { message: "its own words", ...op.err } };
    return op.op === "step" ? { ...op, startedAt: at, endedAt: at, ...err } : { ...op, ...err };
  });
}

describe("schema", () => {
  const defaults = json("tests/conformance/defaults.json");
  const shapes: Record<string, number> = {};
  const fitting = (shape: string, value: unknown, where: string): void => {
    assert.equal(invalid($defs[shape], value, "$"), null, `${where}: ${shape}`);
    shapes[shape] = (shapes[shape] ?? 0) + 1;
  };
  for (const file of readdirSync(new URL("tests/conformance/cases/", root)).sort()) {
    test(file, (t) => {
      const lacking = json(`tests/conformance/cases/${file}`).needs?.find((need: string) => LATER.includes(need));
      if (lacking !== undefined) return t.skip(`the schema has no shapes for \`${lacking}\` yet`);
      for (const t of json(`tests/conformance/cases/${file}`).transcripts) {
        fitting("invocation", { ...defaults, ...t.invocation, run: { ...defaults.run, ...t.invocation.run } }, t.when);
        if (t.answer !== null) {
          const answer = { ...t.answer, ops: complete(t.answer.ops) };
          fitting("answer", { token: defaults.token, ...answer }, t.when);
          fitting("final", { final: true, ...answer }, t.when);
        }
        for (const { request, reply } of t.checkpoints ?? []) {
          fitting("checkpoint", { ...request, ops: complete(request.ops) }, t.when);
          if (reply !== undefined) fitting("reply", reply, t.when);
        }
        for (const page of Object.values(t.pages ?? {})) fitting("page", page, t.when);
      }
    });
  }

  test("every shape was there, and what is wrong is refused", () => {
    for (const [shape, least] of Object.entries({ invocation: 100, answer: 100, checkpoint: 30, reply: 30, page: 5 })) assert.ok((shapes[shape] ?? 0) >= least, `${shape}: ${shapes[shape]}`);
    const at = "2026-03-01T12:00:00.000Z";
    for (const [shape, value] of [
      ["checkpoint", { n: 1, seen: 0, ops: [{ op: "done", ok: 1 }] }],
      ["checkpoint", { seen: 0, ops: [] }],
      ["reply", { settled: [{ id: "a", op: "sleep", seq: 1, at }] }],
      ["reply", { settled: [{ id: "a", op: "step", seq: 1, at, ok: 1, err: { name: "E", message: "m" } }] }],
      ["reply", { settled: [], stop: "cancel" }],
      ["page", { journal: [{ id: "a", op: "step", seq: 1, at }], before: null }],
      ["final", { seen: 0, ops: [] }],
      ["entry", { id: "a", op: "step", ref: true }],
    ] as const) {
      assert.notEqual(invalid($defs[shape], value, "$"), null, JSON.stringify(value));
    }
  });
});
