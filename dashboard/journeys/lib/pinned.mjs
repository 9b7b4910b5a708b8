/** An app whose deployments stay where they are: each has an address of its own, and runs stay on the one that they began on. */
import { Backstitch, signal } from "backstitch";
import { serve } from "backstitch/node";

const app = new Backstitch({ id: "pinned" });
const go = signal("go");
export const hold = app.function({ id: "hold" }, async ({ step }) => step.waitForSignal("wait", go));

const { url, close } = await serve(app);
console.log(url);
for (const name of ["SIGINT", "SIGTERM"]) process.once(name, () => void close(200));
