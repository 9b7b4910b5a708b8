/** Fastify: as a plugin beside routes whose bodies are parsed; and from a route of one's own, which gets a parsed body. */
import Fastify from "fastify";
import { serve } from "backstitch/fastify";
import { listener } from "backstitch/node";
import { app } from "./app.mjs";

const server = Fastify();
server.register(serve(app), { prefix: "/api/backstitch" });
server.post("/other", async (request) => ({ parsed: request.body }));
const listen = listener(app);
server.post("/parsed", (request, reply) => {
  reply.hijack();
  listen(request.raw, reply.raw);
});
console.log(`listens at ${await server.listen({ port: Number(process.env.PORT), host: "127.0.0.1" })}/api/backstitch`);
