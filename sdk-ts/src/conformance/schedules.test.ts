/**
 * The corpus of schedules: what is declared on a function stands in the manifest as it does there.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Backstitch, type CronTrigger, type IntervalTrigger } from "../index.js";

interface Case {
  name: string;
  trigger: CronTrigger | IntervalTrigger;
  refused?: string;
}

const { schedules } = JSON.parse(readFileSync(new URL("../../../tests/conformance/schedules.json", import.meta.url), "utf8")) as { schedules: Case[] };

test("what a function is started by stands in the manifest", () => {
  let compared = 0;
  for (const { name, trigger } of schedules.filter(({ refused }) => refused === undefined)) {
    const app = new Backstitch({ id: "conformance" });
    app.function({ id: "main", on: [trigger] }, () => 1);
    assert.deepEqual(app.describe().functions[0]?.triggers, [trigger], name);
    compared++;
  }
  assert.ok(compared > 8);
});
