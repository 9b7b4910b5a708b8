/** A parcel whose address can be changed until it leaves, and that shows where it is. */
import { Backstitch, signal, update } from "../../../../sdk-ts/dist/index.js";
import { act } from "./provider.mjs";

/** Takes addresses with a city, as any library of schemas would. */
const address = {
  "~standard": {
    version: 1,
    vendor: "test",
    validate: (value) => (typeof value?.city === "string" ? { value } : { issues: [{ message: "a city is missing", path: ["city"] }] }),
  },
};

export const change = update("change", address);
export const leave = signal("leave");

export default function define(id) {
  const app = new Backstitch({ id });
  app.function({ id: "parcel" }, async ({ step, run }) => {
    let city = "Ulm";
    for (let changes = 0; ; changes++) {
      run.setStatus({ phase: "packed", city, changes });
      const came = await step.waitForUpdate("change", change, { timeout: "10m" });
      if (came.timedOut) return city;
      if (came.data.city === "Atlantis") {
        came.reject(Object.assign(new Error("nobody delivers there"), { name: "Unknown", code: "E1", data: { tried: came.data.city } }));
        continue;
      }
      const { id: label } = await step.run("relabel", ({ idempotencyKey }) => act("relabel", idempotencyKey));
      city = came.data.city;
      came.reply({ city, label });
      if (came.data.last === true) break;
    }
    run.setStatus({ phase: "on its way", city });
    await step.sleep("travel", "1h");
    return city;
  });
  // Ends without having looked at what came.
  app.function({ id: "deaf" }, async ({ step }) => {
    await step.waitForSignal("leave", leave);
    return "gone";
  });
  return app;
}
