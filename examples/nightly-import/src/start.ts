/** Starts a night: `npm run import -- 2026-03-01 a.csv b.csv`. The same night is not started twice. */
import { Client, RunFailedError } from "backstitch/client";
import { night } from "./import.js";

const [date = "2026-03-01", ...files] = process.argv.slice(2);
const input = { table: "orders", files: files.length === 0 ? ["a.csv", "b-bad.csv", "c.csv"] : files };
// Whoever looks for a night knows its tables and files, and not the run.
const labels = { tags: ["nightly"], attributes: { table: input.table, files: input.files.length } };
const run = await new Client().start(night, input, { runId: date, ...labels });
console.log(`${run.created ? "started" : "found"} the night ${date}: ${run.id}`);
try {
  console.log("imported:", await run.result());
} catch (error) {
  if (!(error instanceof RunFailedError)) throw error;
  console.log("failed:", error.message);
  console.log("`npm run repair -- b-bad.csv` mends a file, and goes on with every night that failed");
}
