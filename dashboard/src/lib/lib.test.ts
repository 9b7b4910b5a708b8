/** Filters in the address, schemas as forms. */
import { expect, test } from "vitest";
import { days } from "./calendar.ts";
import { asQuery, readSearch, statuses } from "./filters.ts";
import { fields, sample } from "./schema.ts";

test("an address keeps what makes sense", () => {
  expect(readSearch({ status: "failed,nonsense,paused", app: "shop", function: 17, evil: "x", text: "" })).toEqual({ status: "paused,failed", app: "shop", function: "17" });
  expect(readSearch({ status: "nonsense" })).toEqual({});
  expect(statuses({ status: "failed" })).toEqual(["failed"]);
});

test("a span becomes a time", () => {
  const query = asQuery({ since: "1h", text: "x", app: "shop" }, Date.parse("2026-01-01T12:00:30Z"));
  expect(query).toEqual({ since: "2026-01-01T11:00:00.000Z", text: "x", app: "shop" });
});

test("times are gathered by day", () => {
  const noon = new Date(2026, 0, 5, 12).getTime();
  const at = (day: number, hour: number): string => new Date(2026, 0, day, hour, 30).toISOString();
  expect(days([at(5, 13), at(5, 15), at(6, 9), at(8, 9)], noon).map((day) => [day.name, day.times.map((time) => time.text)])).toEqual([["Today", ["13:30", "15:30"]], ["Tomorrow", ["09:30"]], ["Thu 2026-01-08", ["09:30"]]]);
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
