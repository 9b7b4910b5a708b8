/** A trip: flight, hotel and car are booked one after the other, then paid for. Each booking says how it is undone. */
import { Backstitch, signal } from "../../../../sdk-ts/dist/index.js";
import { act } from "./provider.mjs";

export const board = signal("board");

const retry = { attempts: 2, initialInterval: "10ms" };

export default function define(id) {
  const app = new Backstitch({ id });
  app.function({ id: "trip", retry: { attempts: 1 } }, async ({ step }) => {
    const book = (what) =>
      step.run(what, ({ idempotencyKey, signal }) => act(`book ${what}`, idempotencyKey, signal), {
        retry,
        compensate: (booked, { idempotencyKey, signal }) => act(`cancel ${booked.id}`, idempotencyKey, signal),
        compensateRetry: { attempts: 3, initialInterval: "10ms" },
      });
    await book("flight");
    await book("hotel");
    await book("car");
    await step.run("pay", ({ idempotencyKey }) => act("pay", idempotencyKey), { retry });
    await step.waitForSignal("board", board);
    return "on board";
  });
  return app;
}
