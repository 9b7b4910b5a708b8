/** One HTTP server with two doors: `/page` and `/ask` for people, everything else for the Backstitch server. `PORT` is where, 3000 if unset. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { listener } from "backstitch/node";
import { app } from "./answer.js";
import { page } from "./page.js";

const backstitch = listener(app);
const server = createServer((request, response) => {
  if (!/^\/(page|ask)$/.test(request.url ?? "")) return backstitch(request, response);
  page(request, response).catch((error: unknown) => {
    console.error(`failed to answer ${request.url}:`, error);
    response.writeHead(500).end();
  });
});
server.requestTimeout = 0; // An invocation lasts as long as its slowest step.
server.keepAliveTimeout = 75_000;
server.listen(Number(process.env.PORT ?? 3000), () => {
  console.log(`answers are served at http://localhost:${(server.address() as AddressInfo).port}`);
});

for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.once(name, () => {
    server.close();
    server.closeAllConnections();
  });
}
