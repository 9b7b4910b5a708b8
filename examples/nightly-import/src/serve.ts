/** Serves the imports: the HTTP endpoint that the server calls. `PORT` is where, 3000 if unset; `backstitch dev` finds it there. */
import { serve } from "backstitch/node";
import { app } from "./import.js";

const { url, close } = await serve(app);
console.log(`the imports are served at ${url}`);

for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => void close(1_000));
