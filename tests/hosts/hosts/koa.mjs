/** Koa: before the parser, and after it. */
import Koa from "koa";
import { bodyParser } from "@koa/bodyparser";
import { serve } from "backstitch/koa";
import { app } from "./app.mjs";

const server = new Koa();
server.use(serve(app, { path: "/api/backstitch" }));
server.use(async (context, next) => {
  // A parser that keeps nothing, as many do: the one below keeps the text, and Backstitch takes it.
  if (context.path !== "/parsed") return next();
  for await (const _ of context.req);
  return next();
});
server.use(serve(app, { path: "/parsed" }));
server.use(bodyParser({ jsonLimit: "64mb" }));
server.use(serve(app, { path: "/raw" }));
server.use((context) => void (context.body = { parsed: context.request.body }));
const http = server.listen(Number(process.env.PORT), "127.0.0.1", () => console.log(`listens at http://127.0.0.1:${http.address().port}/api/backstitch`));
http.keepAliveTimeout = 75_000; // Longer than whoever calls keeps an idle connection.
