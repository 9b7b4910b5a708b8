/** Makes the totals of a range of days: `npm run backfill -- 2026-02-10 2026-02-20`. With `failed` at the end, those again that could not be made. */
import { Client } from "backstitch/client";
import { mend } from "./warehouse.js";

const [from = "2026-02-10", until = "2026-02-20", again] = process.argv.slice(2);
const schedule = new Client().schedule("imports/totals");
// A tick at five in the morning is for the day before.
const next = (day: string): Date => new Date(new Date(`${day}T00:00:00Z`).getTime() + 86_400_000);
const range = { from: next(from), until: next(until), reprocess: again === "failed" ? ("failed" as const) : ("none" as const) };
if (again === "failed") mend("2026-02-14");

const plan = await schedule.backfill({ ...range, dryRun: true });
console.log(`${plan.runs} of ${plan.total} days to do, from the tick of ${plan.ticks[0] ?? "none"} on`);
const job = await schedule.backfill({ ...range, concurrency: 4 });
const { done, failed, lastError } = await job.ended({ wait: "5m" });
console.log(`${done} done, ${failed} failed${failed === 0 ? "" : `: ${String(lastError)}`}`);
