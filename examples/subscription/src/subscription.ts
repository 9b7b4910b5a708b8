/**
 * A subscription: a run that never ends, one period after the other. In each it takes the money, answers those who want another plan, and goes
 * on in a new run with an empty journal. Under its name it is one run to everybody else, however many periods it has seen.
 */
import { Backstitch, type Context, event, update } from "backstitch";
import { charge, PRICES, type Plan } from "./payments.js";

/** What a subscription goes on with. */
export interface Subscription {
  customer: string;
  plan: Plan;
  /** How many periods are over, and what they cost. */
  periods: number;
  cents: number;
}

/** Another plan from the next period on; `none` ends the subscription. The answer says what the next period costs. */
export const changePlan = update<{ plan: Plan | "none" }, { cents: number }>("change-plan");

/** The customer is gone. */
export const customerDeleted = event<{ customer: string }>("customer/deleted");

export const app = new Backstitch({ id: "subscriptions" });

/** How long a period is, in milliseconds: 30 days, or what `PERIOD_MS` says. */
const periodMs = (): number => Number(process.env.PERIOD_MS ?? 30 * 86_400_000);

export const subscription = app.function(
  { id: "subscription", cancelOn: [{ event: customerDeleted, if: "async.data.customer == event.data.customer" }] },
  async ({ input, step, run }: Context<[], Subscription>) => {
    const { customer, plan } = input;
    const price = PRICES[plan];
    run.setStatus({ phase: "charging", ...input });
    await step.run("charge", ({ idempotencyKey }) => charge(idempotencyKey, price), { scheduleToClose: "3d", retry: { attempts: 100 } });

    const paid = { customer, periods: input.periods + 1, cents: input.cents + price };
    const end = run.startedAt.getTime() + periodMs();
    let next: Plan | "none" = plan;
    for (;;) {
      run.setStatus({ phase: "running", ...paid, plan, next });
      const change = await step.waitForUpdate("change", changePlan, { timeout: Math.max(1, end - run.now().getTime()) });
      if (change.timedOut) break;
      const { plan: wanted } = change.data;
      if (wanted !== "none" && !Object.hasOwn(PRICES, wanted)) {
        change.reject(`there is no plan ${JSON.stringify(wanted)}; there are ${Object.keys(PRICES).join(", ")}, and none`);
        continue;
      }
      next = wanted;
      change.reply({ cents: wanted === "none" ? 0 : PRICES[wanted] });
    }
    if (next === "none") return paid;
    return run.continueAsNew({ ...paid, plan: next } satisfies Subscription);
  },
);
