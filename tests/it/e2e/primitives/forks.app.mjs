/** An order that is quoted, charged, told about and shipped; shipping does not work before it is mended. */
import { Backstitch, event } from "../../../../sdk-ts/dist/index.js";
import { act } from "./provider.mjs";

export default function define(id) {
  const app = new Backstitch({ id });
  const paid = event(`${id}/paid`);
  const told = event(`${id}/told`);
  const pack = app.function({ id: "pack" }, ({ input, step }) => step.run("box", ({ idempotencyKey }) => act("box", idempotencyKey).then(() => `box of ${input}`)));
  // Counts what was sent: one run for each event.
  app.function({ id: "told", on: [told] }, () => null);
  app.function({ id: "order", retry: { attempts: 1 } }, async ({ input, step, run }) => {
    const cents = await step.run("quote", ({ idempotencyKey }) => act("quote", idempotencyKey).then(() => input.cents));
    const came = await step.waitForEvent("paid", paid, { timeout: "1h" });
    await step.run("charge", ({ idempotencyKey }) => act("charge", idempotencyKey));
    await step.send("tell", told({ cents }));
    const box = await step.invoke("pack", pack, input.sku);
    await step.start("audit", pack, "audit", { detached: true });
    await step.run("ship", ({ idempotencyKey }) => act("ship", idempotencyKey), { retry: { attempts: 1 } });
    return { cents, by: came.data.data.by, sku: input.sku, box, startedAt: run.startedAt };
  });
  return app;
}
