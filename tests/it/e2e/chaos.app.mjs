/** An order that is done well, or with the flaw that FLAW names: what `backstitch dev --chaos` is to find. Serves on PORT. */
import { serve } from "../../../sdk-ts/dist/adapter/node/index.js";
import { Backstitch, signal } from "../../../sdk-ts/dist/index.js";
import { effect } from "../../../sdk-ts/dist/testing/index.js";

const { FLAW, PORT } = process.env;
const approve = signal("approve");
const app = new Backstitch({ id: "shop", log: { debug() {}, info() {}, warn() {}, error() {} } });
/** Runs that this process has charged for: no other process knows. */
const charged = new Set();

app.function({ id: "order" }, async ({ input, run, step }) => {
  if (FLAW === "outside") await effect("welcome");
  const charge = await step.run("charge", async ({ idempotencyKey }) => {
    await effect("charge", FLAW === "keyless" ? {} : { key: idempotencyKey });
    charged.add(run.id);
    return { cents: input.cents, id: Math.random() };
  });
  await step.sleep("cool-off", "1h");
  if (FLAW === "chance" ? Math.random() < 0.5 : true) await step.run("pack", () => "packed");
  const approval = await step.waitForSignal("approval", approve, { timeout: "3d" });
  const [mail, text] = await step.allSettled([() => step.run("mail", ({ idempotencyKey }) => effect("mail", { key: idempotencyKey })), () => step.run("text", () => "texted")]);
  return { paid: charge.cents, by: approval.timedOut ? null : approval.data.by, told: [mail.status, text.status], remembered: FLAW === "memory" ? charged.has(run.id) : true };
});

await serve(app, { port: Number(PORT), host: "127.0.0.1" });
