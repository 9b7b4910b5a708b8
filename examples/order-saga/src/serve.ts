/** Serves the shop: the HTTP endpoint that the server calls. `PORT` is where, 3000 if unset; `backstitch dev` finds it there. */
import { serve } from "backstitch/node";
import { app } from "./order.js";

const { url, close } = await serve(app);
console.log(`the shop is served at ${url}`);

for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => void close(1_000));
