/** One function in the versions that it went through; `VERSION` says which of them is deployed. */
import { Backstitch, signal } from "../../../../sdk-ts/dist/index.js";
import { act } from "./provider.mjs";

const VERSIONS = {
  // As it began.
  async first({ step }) {
    await step.run("reserve", () => "goods");
    await step.waitForSignal("go", signal("go"));
    return step.run("ship", () => "shipped, first");
  },
  // A check was put in between, for runs that have not been there yet.
  async patched({ step, run }) {
    await step.run("reserve", () => "goods");
    const checked = run.patched("check") ? await step.run("check", ({ idempotencyKey }) => act("check", idempotencyKey)) : null;
    await step.waitForSignal("go", signal("go"));
    return step.run("ship", () => `shipped, patched, ${checked === null ? "unchecked" : "checked"}`);
  },
  // No run is left that went without the check.
  async cleaned({ step, run }) {
    await step.run("reserve", () => "goods");
    run.deprecatePatch("check");
    await step.run("check", ({ idempotencyKey }) => act("check", idempotencyKey));
    await step.waitForSignal("go", signal("go"));
    return step.run("ship", () => "shipped, cleaned");
  },
  // No run is left that has the marker.
  async last({ step }) {
    await step.run("reserve", () => "goods");
    await step.run("check", ({ idempotencyKey }) => act("check", idempotencyKey));
    await step.waitForSignal("go", signal("go"));
    return step.run("ship", () => "shipped, last");
  },
  // A mistake: what was a step is a sleep.
  async wrong({ step }) {
    await step.sleep("reserve", "1ms");
    await step.waitForSignal("go", signal("go"));
    return step.run("ship", () => "shipped, wrong");
  },
};

export default function define(id) {
  const app = new Backstitch({ id });
  app.function({ id: "order" }, VERSIONS[process.env.VERSION]);
  return app;
}
