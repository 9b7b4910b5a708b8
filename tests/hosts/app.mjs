/**
 * The one app that every host serves. Its id and what changes between two starts come from outside, since Workers have no environment:
 * `APP`, and `SECOND`, which is set for a process that takes the place of a killed one.
 */
import { Backstitch, NonRetriableError, signal } from "backstitch";

const approve = signal("approve");

/** How often handlers began in this process, by run: one, where a handler reports its steps and goes on. */
const began = new Map();

const hour = () => new Promise((resolve) => setTimeout(resolve, 3_600_000));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export function makeApp({ id, second }) {
  const app = new Backstitch({ id });

  app.function({ id: "order" }, async ({ input, run, step }) => {
    began.set(run.id, (began.get(run.id) ?? 0) + 1);
    const charge = await step.run("charge", ({ idempotencyKey }) => ({ key: idempotencyKey, text: input.text }));
    const before = await step.run("pack", () => began.get(run.id));
    await step.sleep("nap", "1100ms");
    const label = await step.run("label", () => `label of ${charge.key}`);
    const approval = await step.waitForSignal("approval", approve, { timeout: "60s" });
    let refused = null;
    try {
      await step.run("insure", () => {
        throw new NonRetriableError("no insurer wants it", { name: "Uninsurable" });
      });
    } catch (error) {
      refused = error.name;
    }
    return { text: charge.text, before, label, by: approval.data?.by ?? null, refused };
  });

  app.function({ id: "fails" }, async ({ step }) => {
    await step.run("never", () => {
      throw new NonRetriableError("sold out: Ausverkauft — 売り切れ", { name: "OutOfStock" });
    });
  });

  app.function({ id: "quick" }, async ({ input, step }) => {
    const [a, b] = await Promise.all([step.run("a", () => input), step.run("b", async () => (await pause(20), 1))]);
    return step.run("sum", () => a + b);
  });

  /** The journal that the second invocation brings has more than a mebibyte, in two-byte, three-byte and four-byte characters. */
  app.function({ id: "big" }, async ({ step }) => {
    let length = 0;
    for (const text of ["ü", "世", "🧵", "x"]) length += (await step.run(`of ${text}`, () => text.repeat(200_000))).length;
    await step.sleep("nap", "1100ms");
    return length;
  });

  /** Hangs in the first process, so that the process can be killed in the middle of a step. */
  app.function({ id: "killed" }, async ({ step, run }) => {
    await step.run("before", () => "done once");
    return step.run("hold", async () => {
      if (second) return "held by the second process";
      console.log(`holding ${run.id}`);
      await hour();
    });
  });

  /** Longer than a host with a short limit gives it. */
  app.function({ id: "long" }, async ({ input, run, step }) => {
    began.set(run.id, (began.get(run.id) ?? 0) + 1);
    for (let n = 0; n < input.steps; n++) await step.run(`step ${n}`, () => pause(input.ms));
    return began.get(run.id);
  });

  /** Slower than the host answers at once, silent in between. */
  app.function({ id: "slow" }, ({ step, input }) => step.run("slow", () => pause(input.ms)));

  return app;
}
