/** Work that fails until it is mended, work that waits, and work that there is a lot of. */
import { Backstitch, event, signal } from "../../../../sdk-ts/dist/index.js";
import { act } from "./provider.mjs";

export default function define(id) {
  const app = new Backstitch({ id });
  app.function({ id: "flaky", retry: { attempts: 1 } }, async ({ input, step }) => {
    await step.run("prepare", ({ idempotencyKey }) => act("prepare", idempotencyKey));
    await step.run("work", ({ idempotencyKey }) => act("work", idempotencyKey), { retry: { attempts: 1 } });
    return input;
  });
  app.function({ id: "waits", on: [event(`${id}/much`)] }, async ({ step }) => {
    await step.waitForSignal("go", signal("go"));
  });
  return app;
}
