/** Hono in a Worker: variables are bindings. */
import { makeApp } from "../app.mjs";
import { routes } from "./hono-routes.mjs";

export default routes(makeApp({ id: APP, second: SECOND === "1" }));
