/**
 * The order saga: charge, reserve, cool off, wait for an approval, ship, confirm. A step that others depend on says beside its body how it is
 * undone; if anything after it fails for good, or the order is cancelled, what was done is undone, the last first. It reads like an ordinary
 * function; the server sees to it that what is done stays done, whatever crashes in between.
 */
import { Backstitch, type BodyFacts, type Context, type Duration, type Jsonify, NonRetriableError, signal, type StepOptions } from "backstitch";
import { charge, refund } from "./payments.js";
import { note } from "./step-log.js";
import { release, reserve, ship } from "./warehouse.js";

/** What an order is started with. */
export interface Order {
  id: string;
  /** What is bought: see `warehouse.ts` for what there is. */
  sku: string;
  cents: number;
  /** How long the customer may change their mind; 5 s if left out. */
  coolOff?: Duration;
}

/** Whoever looks after orders sends this once the order may leave the house. */
export const approve = signal<{ by: string }>("approve");

const retry = { attempts: 5, initialInterval: "1s", maxInterval: "3s" };

export const app = new Backstitch({ id: "shop" });

/** Started as `order-<id>`. Its result is the receipt. */
export const order = app.function({ id: "order" }, async ({ input, step, log }: Context<[], Order>) => {
  // Each step notes that its body runs: the log of a handler that was killed shows what ran twice, the journal what counted.
  const run = <T>(id: string, body: (facts: BodyFacts) => Promise<T>, options: StepOptions<Jsonify<T>> = {}) =>
    step.run(id, (facts) => (note(input.id, id, facts.attempt), body(facts)), { retry, ...options });

  // The key is equal over all attempts, so a charge whose answer was lost is found again, not made again; and so is a refund.
  const paid = await run("charge", ({ idempotencyKey }) => charge(idempotencyKey, input.cents), {
    compensate: async (paid, { idempotencyKey, attempt }) => {
      note(input.id, "$undo/charge", attempt);
      const back = await refund(idempotencyKey, paid.id);
      log.info(`${input.id}: refunded ${paid.id} as ${back.id}`);
      return back;
    },
  });
  log.info(`${input.id}: charged ${paid.id}`);
  const held = await run("reserve", () => reserve(input.sku), {
    compensate: (held, { attempt }) => (note(input.id, "$undo/reserve", attempt), release(held)),
  });
  log.info(`${input.id}: reserved ${held.sku} on shelf ${held.shelf}`);
  await step.sleep("cool-off", input.coolOff ?? "5s");
  const approval = await step.waitForSignal("approval", approve, { timeout: "3d" });
  if (approval.timedOut) throw new NonRetriableError("nobody approved the order within 3 days", { name: "Unapproved" });
  log.info(`${input.id}: approved by ${approval.data.by}`);
  const parcel = await run("ship", () => ship(held));
  await run("confirm", async () => log.info(`${input.id}: mailed the customer that parcel ${parcel} is on its way`));
  return { order: input.id, charge: paid.id, parcel, approvedBy: approval.data.by };
});
