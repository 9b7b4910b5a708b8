/** Serves the handlers of a module, once for each mode: `node serve.mjs MODULE`. Ports are in `PORT_checkpoint` and `PORT_respond`. */
import { pathToFileURL } from "node:url";
import { serve } from "../../../../sdk-ts/dist/adapter/node/index.js";
import { MODES } from "./world.mjs";

const { default: define } = await import(pathToFileURL(process.argv[2]));
for (const mode of MODES) {
  await serve(define(mode), { port: Number(process.env[`PORT_${mode}`]), host: "127.0.0.1", ...(mode === "respond" ? { limits: { outbound: false } } : {}) });
}
console.log("serving");
