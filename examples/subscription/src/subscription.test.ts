/** Subscriptions in process: the clock is skipped, and a period of 30 days takes no time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { testRun, type TestRunOptions } from "backstitch/testing";
import { changePlan, subscription } from "./subscription.js";

const input = { customer: "ann", plan: "basic", periods: 0, cents: 0 };

test("a period ends after 30 days, and the next one begins with another plan", async () => {
  for (const options of [{}, { mode: "checkpoint" }, { crash: "everywhere" }, { mode: "checkpoint", crash: "everywhere" }] as TestRunOptions[]) {
    const run = testRun(subscription, { ...options, input });
    await run.until("change");
    const gold = assert.rejects(run.update(changePlan, { plan: "gold" as never }), /there is no plan "gold"; there are basic, pro, and none/);
    const pro = run.update(changePlan, { plan: "pro" });
    await run.idle();
    await gold;
    assert.deepEqual(await pro, { cents: 2_900 });
    assert.deepEqual(run.value, { phase: "running", customer: "ann", periods: 1, cents: 900, plan: "basic", next: "pro" });
    await run.advance("30d");
    assert.deepEqual(run.continued.map((one) => one.input), [{ customer: "ann", plan: "pro", periods: 1, cents: 900 }]);
    await run.until("change");
    const none = run.update(changePlan, { plan: "none" });
    assert.deepEqual(await run.result(), { customer: "ann", periods: 2, cents: 3_800 });
    assert.deepEqual(await none, { cents: 0 });
    assert.equal(run.now.toISOString(), "2026-03-02T00:00:00.000Z");
  }
});
