/** Bun's own server. */
import { serve } from "backstitch/bun";
import { app } from "./app.mjs";

const { fetch } = serve(app);
const parsed = async (request, server) => {
  await request.json();
  return fetch(request, server);
};
const server = Bun.serve({
  port: Number(process.env.PORT),
  hostname: "127.0.0.1",
  routes: { "/api/backstitch": fetch, "/parsed": parsed },
});
console.log(`listens at http://127.0.0.1:${server.port}/api/backstitch`);
