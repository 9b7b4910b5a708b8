/**
 * A customer: `npm run subscribe -- ann`. Subscribes, asks for a plan that there is not, upgrades, looks on for two periods, and leaves. With periods
 * of seconds (`PERIOD_MS`, as `npm run dev` sets it) that takes a moment.
 */
import { setTimeout as pause } from "node:timers/promises";
import { Client, UpdateRejected } from "backstitch/client";
import { changePlan, subscription, type Subscription } from "./subscription.js";

const [customer = "ann"] = process.argv.slice(2);
const run = await new Client().start(subscription, { customer, plan: "basic", periods: 0, cents: 0 }, { runId: customer });
console.log(`${customer} is subscribed, as ${run.id}`);

const rejected = await run.update(changePlan, { plan: "gold" as never }).catch((error: unknown) => error);
if (!(rejected instanceof UpdateRejected)) throw rejected;
console.log("rejected:", rejected.message);
console.log("upgraded:", await run.update(changePlan, { plan: "pro" }));

// The id of the first run stands for all that follow.
let seen = 0;
while (seen < 3) {
  const { id, value } = await run.status();
  const { periods = 0, plan } = (value ?? {}) as Partial<Subscription>;
  if (periods > seen) console.log(`period ${(seen = periods)}, ${plan}, ${id}`);
  await pause(100);
}
console.log("left:", await run.update(changePlan, { plan: "none" }));
console.log("in all:", await run.result());
