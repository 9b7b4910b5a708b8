/** Serves the app, and starts the stand-in for a model unless `MODEL_URL` names a real one. `PORT` is where, 3000 if unset. */
import { serve } from "backstitch/node";
import { app, digest, ranMs } from "./digest.js";
import { startModel } from "./model.js";

const model = process.env.MODEL_URL === undefined ? await startModel() : undefined;
if (model !== undefined) process.env.MODEL_URL = model.url;
const { url, close } = await serve(app);
console.log(`${digest.function} is served at ${url} and asks ${process.env.MODEL_URL}`);

for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.once(name, () => {
    console.log(`handlers ran for ${ranMs} ms`);
    model?.process.kill();
    void close(1_000);
  });
}
