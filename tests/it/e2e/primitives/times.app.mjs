/** Steps that take too long, are silent for too long, or are begun too late; and runs that do. */
import { Backstitch, signal } from "../../../../sdk-ts/dist/index.js";
import { act } from "./provider.mjs";

/** Never ends, unless it is told to. */
const stuck = (stop) => new Promise((_, reject) => stop.addEventListener("abort", () => reject(stop.reason), { once: true }));

export default function define(id) {
  const app = new Backstitch({ id });
  const retry = (attempts) => ({ attempts, initialInterval: "20ms", factor: 1 });

  app.function({ id: "slow" }, ({ step }) =>
    step.run("slow", ({ attempt, signal }) => (attempt < 3 ? stuck(signal) : `attempt ${attempt}`), { timeout: "100ms", retry: retry(3) }));

  app.function({ id: "hopeless", retry: retry(1) }, ({ step }) =>
    step.run("hopeless", ({ idempotencyKey }) => act("hope", idempotencyKey), { scheduleToClose: "400ms", retry: { attempts: 100, initialInterval: "50ms", factor: 1 } }));

  // Copies rows, and says how many after each: the first attempt stops working after three.
  app.function({ id: "copy" }, ({ input, step }) =>
    step.run("rows", async ({ attempt, details, heartbeat, idempotencyKey, signal }) => {
      const from = details ?? 0;
      for (let row = from + 1; row <= 6; row++) {
        await act(`row ${row}`, `${idempotencyKey}/${row}`);
        heartbeat(row);
        if (row === 3 && attempt === 1) await (input === "silent" ? stuck(signal) : act("pause", idempotencyKey));
      }
      return { attempt, from };
    }, { heartbeat: input === "silent" ? "300ms" : "1m", retry: retry(3) }));

  app.function({ id: "deadline", timeouts: { run: "1s" } }, async ({ step, run }) => {
    await step.run("begin", () => run.deadline - run.startedAt, { compensate: (_, { idempotencyKey }) => act("undo", idempotencyKey) });
    await step.waitForSignal("never", signal("never"));
  });

  app.function({ id: "late", timeouts: { start: "300ms" } }, () => "taken up");
  return app;
}
