/** Filters in the address, schemas as forms, failures in groups. */
import { expect, test } from "vitest";
import type { Run } from "../api/types.ts";
import { days } from "./calendar.ts";
import { grouped, shapeOf } from "./failures.ts";
import { asQuery, readSearch, statuses } from "./filters.ts";
import { fields, sample } from "./schema.ts";

test("an address keeps what makes sense", () => {
  expect(readSearch({ status: "failed,nonsense,paused", app: "shop", function: 17, evil: "x", text: "" })).toEqual({ status: "paused,failed", app: "shop", function: "17" });
  expect(readSearch({ status: "nonsense" })).toEqual({});
  expect(statuses({ status: "failed" })).toEqual(["failed"]);
});

test("a span becomes a time, and only filters that the server knows are asked for", () => {
  const query = asQuery({ since: "1h", text: "x", app: "shop" }, Date.parse("2026-01-01T12:00:30Z"), (name) => name !== "text");
  expect(query).toEqual({ since: "2026-01-01T11:00:00.000Z", app: "shop" });
});

test("times are gathered by day", () => {
  const noon = new Date(2026, 0, 5, 12).getTime();
  const at = (day: number, hour: number): string => new Date(2026, 0, day, hour, 30).toISOString();
  expect(days([at(5, 13), at(5, 15), at(6, 9), at(8, 9)], noon).map((day) => [day.name, day.times.map((time) => time.text)])).toEqual([["Today", ["13:30", "15:30"]], ["Tomorrow", ["09:30"]], ["Thursday 2026-01-08", ["09:30"]]]);
});

const schema = {
  $defs: { Place: { type: "object", properties: { city: { type: "string" } } } },
  type: "object", required: ["id", "n"],
  properties: { id: { type: "string", title: "Id" }, n: { type: "integer", minimum: 3 }, kind: { enum: ["a", "b"] }, on: { type: "boolean" }, at: { $ref: "#/$defs/Place" }, tags: { type: "array" }, loose: {} },
};

test("a schema becomes fields of the right kinds", () => expect(fields(schema).map((field) => [field.name, field.kind, field.required])).toEqual([["id", "text", true], ["n", "integer", true], ["kind", "choice", false], ["on", "boolean", false], ["at", "group", false], ["tags", "json", false], ["loose", "json", false]]));
test("a sample has what is required", () => expect(sample(schema)).toEqual({ id: "", n: 3 }));
test("a schema that goes in circles ends", () => expect(sample({ $ref: "#" })).toBeNull());
test("what is no object has no fields", () => expect([fields({ type: "string" }), fields(null)]).toEqual([[], []]));

test("failures of one kind are one group, whatever ids they name", () => {
  const fail = (id: string, message: string, at: string): Run => ({ id, app: "shop", function: "order", createdAt: at, endedAt: at, err: { name: "OutOfStock", message } }) as Run;
  const groups = grouped([fail("run_1", "no vase on shelf 3 for run_01ABC", "2026-01-01"), fail("run_2", "no vase on shelf 14 for run_01DEF", "2026-01-03"), fail("run_3", "no chair", "2026-01-02")]);
  expect(groups.map((group) => [group.count, group.first, group.last, group.run])).toEqual([[2, "2026-01-01", "2026-01-03", "run_2"], [1, "2026-01-02", "2026-01-02", "run_3"]]);
  expect(shapeOf("a 12 b 9f8e7d6c5b4a39281706")).toBe("a <n> b <id>");
});
