/** Hono's routes, for whichever host Hono runs on. */
import { Hono } from "hono";
import { serve } from "backstitch/hono";

export function routes(app) {
  const server = new Hono();
  server.all("/api/backstitch", serve(app));
  server.use("/parsed", async (context, next) => {
    await context.req.json();
    await next();
  });
  server.all("/parsed", async (context) => {
    // What Hono remembers of a parsed body is not what was signed.
    if (context.req.bodyCache.text !== undefined) delete context.req.bodyCache.text;
    return serve(app)(context);
  });
  server.use("/raw", async (context, next) => {
    await context.req.text();
    await next();
  });
  server.all("/raw", serve(app));
  server.post("/other", async (context) => context.json({ parsed: await context.req.json() }));
  return server;
}
