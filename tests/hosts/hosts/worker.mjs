/** A Worker. `APP` and `SECOND` are written into the bundle. Everything above `export default` runs at module scope, where no I/O may be. */
import { serve } from "backstitch/workers";
import { makeApp } from "../app.mjs";

const { fetch } = serve(makeApp({ id: APP, second: SECOND === "1" }));

export default {
  async fetch(request, env, context) {
    if (new URL(request.url).pathname === "/parsed") await request.json();
    return fetch(request, env, context);
  },
};
