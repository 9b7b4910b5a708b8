// An app for the end-to-end tests: the same order as in handlers.rs, in TypeScript's SDK, and what only it shows.
import { Backstitch, event, signal, NonRetriableError } from "../../../sdk-ts/dist/index.js";
import { serve } from "../../../sdk-ts/dist/adapter/node/index.js";

const app = new Backstitch({ id: "web" });
const placed = event("web/placed");
const paid = event("web/paid");
const approve = signal("approve");

export const double = app.function({ id: "double" }, async ({ input, step }) => {
  return await step.run("double", () => input.n * 2);
});

app.function({ id: "order", on: [placed], retry: { attempts: 3, initialInterval: "20ms" } }, async ({ event, input, step }) => {
  const id = (event?.data ?? input).id;
  let tries = 0;
  const charge = await step.run("charge", ({ attempt }) => {
    tries = attempt;
    if (attempt < 2) throw new Error("the bank is busy");
    return { id: `ch_${id}`, attempt };
  }, { retry: { attempts: 3, initialInterval: "10ms" } });
  await step.sleep("nap", "30ms");
  const twice = await step.invoke("twice", double, { n: 21 });
  const payment = await step.waitForEvent("paid", paid, { if: "async.data.id == event.data.id", timeout: "20s" });
  const approval = await step.waitForSignal("approval", approve, { timeout: "20s" });
  const parts = await Promise.all([1, 2, 3].map((n) => step.run(`part-${n}`, () => n * n)));
  return { id, charge, twice, paid: payment.timedOut ? null : payment.event?.data ?? payment.data, approved: !approval.timedOut, parts, tries };
});

app.function({ id: "fails" }, async ({ step }) => {
  await step.run("never", () => { throw new NonRetriableError("out of stock"); });
});

app.function({ id: "link" }, async ({ step }) => {
  const { token, promise } = step.awakeable("form", { timeout: "20s" });
  await step.run("mail", () => token);
  return await promise;
});

// What a long invocation leaves behind, outside of anything that is killed: how often handlers and bodies began.
const invocations = new Map(), bodies = new Map();
const count = (map, id) => map.set(id, (map.get(id) ?? 0) + 1).get(id);

app.function({ id: "long", retry: { attempts: 1 } }, async ({ input, run, step }) => {
  count(invocations, run.id);
  for (let n = 0; n < input.steps; n++) {
    await step.run(`s-${n}`, async () => {
      count(bodies, run.id);
      await new Promise((resolve) => setTimeout(resolve, input.ms));
      return n;
    });
  }
  return { invocations: invocations.get(run.id), bodies: bodies.get(run.id) };
});

// Whoever deploys it with other code breaks its journals.
app.function({ id: "changing" }, async ({ step }) => {
  if ((process.env.CODE ?? "good") === "good") await step.run("reserve", () => "goods");
  else await step.sleep("reserve", "1s");
  const approval = await step.waitForSignal("approval", approve, { timeout: "60s" });
  return !approval.timedOut;
});

const { url } = await serve(app, { port: Number(process.env.PORT ?? 0), host: "127.0.0.1" });
console.log(url);
