/** Hono on Node. */
import { serve } from "@hono/node-server";
import { app } from "./app.mjs";
import { routes } from "./hono-routes.mjs";

const http = serve({ fetch: routes(app).fetch, port: Number(process.env.PORT), hostname: "127.0.0.1" }, ({ port }) => console.log(`listens at http://127.0.0.1:${port}/api/backstitch`));
http.keepAliveTimeout = 75_000; // Longer than whoever calls keeps an idle connection.
