/**
 * The first week of a customer: a welcome at once, a hint after three days unless the customer has begun by then, and a word from a person
 * after a week. The function runs for some milliseconds in all.
 */
import { Backstitch, type Context, event } from "backstitch";
import { mail } from "./mail.ts";

/** The customer has made a first project. */
export const projectMade = event<{ mail: string }>("project/made");

export const app = new Backstitch({ id: "customers" });

/** Resolves to whether the customer has begun by himself. */
export const onboarding = app.function({ id: "onboarding" }, async ({ input, step, run }: Context<[], { mail: string }>) => {
  await step.run("welcome", ({ idempotencyKey }) => mail(input.mail, "welcome", idempotencyKey));
  const first = await step.waitForEvent("first project", projectMade, { if: `async.data.mail == ${JSON.stringify(input.mail)}`, timeout: "3d" });
  run.setStatus({ begun: !first.timedOut });
  if (first.timedOut) await step.run("hint", ({ idempotencyKey }) => mail(input.mail, "hint", idempotencyKey));
  await step.sleep("the rest of the week", first.timedOut ? "4d" : "7d");
  await step.run("how is it", ({ idempotencyKey }) => mail(input.mail, "how is it", idempotencyKey));
  return { begun: !first.timedOut };
});
