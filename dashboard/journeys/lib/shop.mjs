/**
 * The app of the journeys: handlers that do what people look at a dashboard for. They complete, fail with causes, are tried again, wait for
 * signals, events, children and times, hold state under keys, and carry payloads that look like markup.
 */
import { Backstitch, NonRetriableError, event, exclusive, shared, signal } from "backstitch";
import { serve } from "backstitch/node";

/** A schema as the SDK takes one: any library that speaks Standard JSON Schema looks like this. */
function schema(json) {
  return { "~standard": { version: 1, vendor: "journeys", validate: (value) => ({ value }), jsonSchema: { input: () => json, output: () => json } } };
}

const orderSchema = schema({
  type: "object",
  required: ["id", "sku", "cents"],
  properties: {
    id: { type: "string", description: "What the shop calls the order" },
    sku: { type: "string", enum: ["lamp", "chair", "vase"] },
    cents: { type: "integer", minimum: 1 },
    express: { type: "boolean", description: "Whether it is wanted tomorrow" },
    address: { type: "object", properties: { street: { type: "string" }, city: { type: "string" } } },
    notes: { type: "array", items: { type: "string" } },
  },
});

const approve = signal("approve");
const orderCreated = event("order/created", orderSchema);
const paid = event("payment/settled");
const complained = event("order/complained", schema({ type: "object", required: ["order"], properties: { order: { type: "string" }, stars: { type: "integer", minimum: 1, maximum: 5 } } }));
const fast = { attempts: 3, initialInterval: "300ms", maxInterval: "1s" };
const later = (ms, value) => new Promise((resolve) => setTimeout(() => resolve(value), ms));

/** Waits until a journey opens this gate, so that what is to be seen in the middle of a step stays until it was seen. */
async function passed(gate) {
  for (;;) {
    const response = await fetch(`${process.env.BACKSTITCH_URL}/dev/effects`);
    if ((await response.json()).some((effect) => effect.name === gate)) return;
    await later(50);
  }
}

const app = new Backstitch({ id: "shop" });

export const pack = app.function({ id: "pack" }, async ({ input, step }) => {
  const box = await step.run("choose-box", () => later(60, { box: "M", item: input.sku }));
  await step.run("label", () => later(90, "1Z-4711"));
  return box;
});

export const order = app.function({ id: "order", on: [orderCreated], input: orderSchema, retry: { attempts: 3 } }, async ({ event, step, run }) => {
  const { id, sku, cents, express } = event.data;
  run.addTags(...(express ? ["web", "express"] : ["web"]));
  run.setAttributes({ order: id, sku, total: cents / 100 });
  const charge = await step.run("charge", () => later(140, { charge: `ch_${id}`, cents }), { retry: fast });
  let tries = 0;
  const held = await step.run("reserve", async ({ attempt }) => {
    tries = attempt;
    await later(80);
    if (sku === "vase" || (sku === "chair" && attempt < 3)) {
      throw Object.assign(new Error(`the warehouse has no ${sku} on shelf ${tries}`, { cause: new Error("connect ECONNREFUSED 10.0.0.7:5432") }), { name: "OutOfStock" });
    }
    return { sku, shelf: 4 };
  }, { retry: fast });
  await step.sleep("cool-off", "900ms");
  const packed = await step.invoke("pack", pack, { sku: held.sku });
  const approval = await step.waitForSignal("approval", approve, { timeout: "3d" });
  if (approval.timedOut) throw new NonRetriableError("nobody approved the order within 3 days", { name: "Unapproved" });
  const parcel = await step.run("ship", () => later(120, { parcel: "1Z-4711", by: approval.data.by }));
  return { order: id, charge: charge.charge, packed, parcel };
});

export const invoice = app.function({ id: "invoice" }, async ({ input, step, run }) => {
  run.setStatus({ phase: "waits for the bank", invoice: input.number });
  const settled = await step.waitForEvent("bank", paid, { if: `async.data.invoice == '${input.number}'`, timeout: "14d" });
  return settled.timedOut ? "overdue" : settled.data;
});

export const sync = app.function({ id: "sync", retry: { attempts: 100, initialInterval: "30s" } }, async () => {
  throw Object.assign(new Error("the catalogue answered 503: try again later"), { name: "CatalogueDown" });
});

export const report = app.function({ id: "report", retry: { attempts: 1 } }, async ({ input, step }) => {
  const rows = await step.map("regions", input.regions, (region, step) => step.run("sum", () => later(40 + region.length * 15, { region, cents: region.length * 12_345 })), { key: (region) => region, concurrency: 3 });
  if (input.broken) throw new TypeError(`Cannot read properties of undefined (reading '${input.broken}')`);
  return rows;
});

/** Says its answer token by token. Its first attempt says something else, and dies of it when the journey has seen that. */
export const answer = app.function({ id: "answer", retry: { attempts: 2 } }, async ({ input, step, run }) => {
  run.publish("stage", "thinking");
  const text = await step.run("write", async ({ attempt, publish }) => {
    const tokens = attempt === 1 ? ["Perhaps ", "it ", "is ", "a ", "knot."] : ["A ", "seam ", "holds ", "because ", "each ", "stitch ", "holds ", "the ", "next."];
    for (const [i, token] of tokens.entries()) {
      await publish("tokens", token);
      if (i === 4) await passed(`${input.gate}/${attempt}`);
      await later(20);
    }
    if (attempt === 1) throw Object.assign(new Error("the model hung up"), { name: "ModelGone" });
    await publish("usage", { tokens: tokens.length });
    return tokens.join("");
  }, { retry: fast });
  run.publish("stage", "done");
  return text;
});

/** Works through a day, whichever it is told of. On one of them its source was broken. */
export const totals = app.function(
  { id: "totals", retry: { attempts: 1 }, on: [{ cron: "0 5 * * *", tz: "Europe/Berlin", overlap: "bufferAll", catchUp: "3d", jitter: "1m", input: { table: "orders" } }] },
  async ({ tick, step }) => {
    const day = tick.at.toISOString().slice(0, 10);
    return step.run("count", () => later(250, { day, sold: Number(day.slice(-2)) * 100 }));
  },
);
export const probe = app.function({ id: "probe", on: [{ every: "6h", overlap: "cancelOther" }] }, async ({ step }) => step.run("ask", () => later(20, "up")));
export const cleanup = app.function({ id: "cleanup", on: [{ id: "cleanup-hourly", cron: "@hourly" }, { id: "cleanup-weekly", cron: "30 3 * * MON", tz: "America/New_York", overlap: "bufferOne" }] }, async ({ step }) => {
  await step.sleep("until-it-is-quiet", "7d");
});

/** Sleeps for as long as nobody has patience for. */
export const trial = app.function({ id: "trial" }, async ({ step }) => {
  await step.sleep("a-week", "7d");
  return "over";
});

/** Takes events that say what they look like, and says nothing of its own input. */
export const complaint = app.function({ id: "complaint", on: [complained] }, async ({ event }) => event.data);
export const echo = app.function({ id: "echo" }, async ({ input }) => input);
/** Never gets to run in the journeys: it is paused, so that there is a list as long as somebody wants. */
export const bulk = app.function({ id: "bulk", on: [event("bulk/started")] }, async () => null);

export const cart = app.object({ id: "cart" }, {
  add: exclusive(async ({ state, input }) => {
    const items = [...(state.get("items") ?? []), input];
    state.set("items", items);
    return items.length;
  }),
  show: shared(async ({ state }) => state.get("items") ?? []),
});

const { url, close } = await serve(app);
console.log(url);
for (const name of ["SIGINT", "SIGTERM"]) process.once(name, () => void close(200));
