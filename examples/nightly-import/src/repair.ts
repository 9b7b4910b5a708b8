/** Mends a file, and goes on with every night that failed: `npm run repair -- b-bad.csv`. What was imported is not imported again. */
import { Client } from "backstitch/client";
import { mend } from "./warehouse.js";

for (const name of process.argv.slice(2)) mend(name);
const client = new Client();
const filter = { app: "imports", function: "night", status: "failed" };
const count = await client.job({ action: "retry", filter, dryRun: true });
console.log(`${count} to retry`);
const job = await client.job({ action: "retry", filter });
const { done, failed, total } = await job.ended({ wait: "1m" });
console.log(`retried ${done} of ${total}, ${failed} could not be`);
