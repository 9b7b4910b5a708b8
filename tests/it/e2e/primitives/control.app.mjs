/** Orders that are withdrawn by an event, that fail and are told about, that are paused, cancelled and killed. */
import { Backstitch, CancelledError, event, signal } from "../../../../sdk-ts/dist/index.js";
import { act } from "./provider.mjs";

export default function define(id) {
  const app = new Backstitch({ id });
  const placed = event(`${id}/placed`);
  const withdrawn = event(`${id}/withdrawn`);

  app.function(
    { id: "order", on: [placed], cancelOn: [{ event: withdrawn, if: "async.data.order == event.data.order && async.data.sure" }] },
    async ({ event, step }) => {
      const { order } = event.data;
      await step.run("reserve", ({ idempotencyKey }) => act(`reserve ${order}`, idempotencyKey), { compensate: (_, { idempotencyKey }) => act(`release ${order}`, idempotencyKey) });
      await step.waitForSignal("ship", signal("ship"));
      return `shipped ${order}`;
    });

  app.function({
    id: "fails",
    retry: { attempts: 2, initialInterval: "10ms" },
    onFailure: async ({ input, step, trigger }) => {
      await step.run("tell", ({ idempotencyKey }) => act("tell", idempotencyKey));
      return { input, trigger: trigger.kind };
    },
  }, async ({ input, step }) => {
    await step.run("fail", () => {
      throw Object.assign(new Error(`no ${input.what}`), { name: "OutOfStock", code: "E7", data: { left: 0 } });
    }, { retry: { attempts: 1 } });
  });

  app.function({ id: "stages" }, async ({ step }) => {
    await step.run("one", ({ idempotencyKey }) => act("one", idempotencyKey));
    await step.sleep("nap", "50ms");
    await step.run("two", ({ idempotencyKey }) => act("two", idempotencyKey));
    return "both";
  });

  // Cleans up when it is cancelled, and says what it made of it.
  app.function({ id: "tidy" }, async ({ step }) => {
    try {
      await step.waitForSignal("never", signal("never"));
    } catch (error) {
      if (!(error instanceof CancelledError)) throw error;
      await step.run("clean", ({ idempotencyKey }) => act("clean", idempotencyKey));
      await step.sleep("settle down", "20ms");
      await step.run("sweep", ({ idempotencyKey }) => act("sweep", idempotencyKey));
      throw error;
    }
  });

  // Takes and gives: nothing may come in between.
  app.function({ id: "moves" }, async ({ step }) => {
    await step.shield("move", async (step) => {
      await step.run("take", ({ idempotencyKey, signal }) => act("take", idempotencyKey, signal));
      await step.sleep("clear", "50ms");
      await step.run("give", ({ idempotencyKey }) => act("give", idempotencyKey));
    });
    await step.run("tell", ({ idempotencyKey }) => act("tell", idempotencyKey));
  });
  return app;
}
