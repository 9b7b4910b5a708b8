/** One HTTP server with two doors: `/decide` for people, everything else for the Backstitch server. `PORT` is where, 3000 if unset. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { listener } from "backstitch/node";
import { app } from "./expense.js";
import { decide } from "./page.js";

const backstitch = listener(app);
const server = createServer((request, response) => {
  if (!/^\/decide(\?|$)/.test(request.url ?? "")) return backstitch(request, response);
  decide(request, response).catch((error: unknown) => {
    console.error("failed to answer /decide:", error);
    response.writeHead(500).end();
  });
});
server.requestTimeout = 0; // An invocation lasts as long as its slowest step.
server.keepAliveTimeout = 75_000;
server.listen(Number(process.env.PORT ?? 3000), () => {
  const url = `http://localhost:${(server.address() as AddressInfo).port}`;
  process.env.PUBLIC_URL ??= url;
  console.log(`expenses are served at ${url}`);
});

for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.once(name, () => {
    server.close();
    server.closeAllConnections();
  });
}
