/**
 * A nightly import: a child run for each file, whose rows are counted while they come in, so that an attempt that dies is followed by one that
 * goes on from there; then the new table takes the old one's place, in a section that no cancellation tears apart.
 */
import { Backstitch, type Context, type Failure, NonRetriableError } from "backstitch";
import { BadFile, countSales, keepTotals, readRows, rename, tell } from "./warehouse.js";

export const app = new Backstitch({ id: "imports" });

/** One file. Resolves to how many rows it had. */
export const file = app.function({ id: "file", timeouts: { run: "2h" } }, async ({ input, step }: Context<[], { name: string }>) =>
  step.run(
    "read",
    async ({ details, heartbeat, signal }) => {
      try {
        return await readRows(input.name, Number(details ?? 0), heartbeat, signal);
      } catch (error) {
        // To read it again would not help: somebody has to mend the file.
        throw error instanceof BadFile ? new NonRetriableError(error.message, { name: "BadFile" }) : error;
      }
    },
    { heartbeat: "10s", scheduleToClose: "1h", retry: { attempts: 5, initialInterval: "200ms" } },
  ),
);

/** What the search does with a new table, beside the import. */
export const index = app.function({ id: "index" }, async ({ input, step }: Context<[], { table: string }>) => {
  await step.sleep("settle", "1s");
  return step.run("index", () => `index of ${input.table}`);
});

/** A night: all files, then the swap. */
export const night = app.function(
  {
    id: "night",
    // A run of its own for each night that fails for good.
    onFailure: async ({ input, step }: Context<[], Failure>) => {
      await step.run("tell", () => tell(`the import ${input.run.name ?? input.run.id} failed: ${input.error.message}`));
    },
  },
  async ({ input, step, run }: Context<[], { table: string; files: string[] }>) => {
    let done = 0;
    const rows = await step.map("files", input.files, async (name, step) => {
      const count = await step.invoke("file", file, { name }, { tags: run.tags, attributes: { file: name } });
      run.setStatus({ done: ++done, of: input.files.length });
      return count;
    }, { key: (name) => name, concurrency: 4 });
    await step.shield("swap", async (step) => {
      await step.run("away", () => rename(input.table, `${input.table}_old`));
      await step.run("in", () => rename(`${input.table}_new`, input.table));
    });
    // Runs that were on their way when this line came do without it.
    if (run.patched("index")) void step.invoke("index", index, { table: input.table }, { parentClose: "abandon" });
    const all = rows.reduce((sum, count) => sum + count, 0);
    run.setAttributes({ rows: all });
    return { rows: all };
  },
);

/**
 * The totals of the day before, every morning at five. A day's totals are a matter of its time alone, so that days that were missed, or that are
 * older than the schedule, are made up for with a backfill; one that comes while an earlier one is still counted waits for it.
 */
export const totals = app.function(
  { id: "totals", on: [{ cron: "0 5 * * *", tz: "Europe/Berlin", overlap: "bufferAll", catchUp: "3d", jitter: "1m" }] },
  async ({ tick, step }) => {
    if (tick === undefined) throw new NonRetriableError("totals belong to a time: trigger the schedule imports/totals, or fill a range up");
    const day = new Date(tick.at.getTime() - 86_400_000).toISOString().slice(0, 10);
    const sold = await step.run("count", () => countSales(day), { retry: { attempts: 1 } });
    await step.run("keep", () => keepTotals(day, sold));
    return { day, sold };
  },
);
