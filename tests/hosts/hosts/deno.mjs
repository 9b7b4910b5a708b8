/** Deno's own server, with as few permissions as it needs. */
import { serve } from "backstitch/deno";
import { makeApp } from "../app.mjs";

const app = makeApp({ id: Deno.env.get("APP"), second: Deno.env.get("SECOND") === "1" });
const { fetch } = serve(app);
const handler = async (request) => {
  if (new URL(request.url).pathname === "/parsed") await request.json();
  return fetch(request);
};
const onListen = ({ port }) => console.log(`listens at http://127.0.0.1:${port}/api/backstitch`);
Deno.serve({ port: Number(Deno.env.get("PORT")), hostname: "127.0.0.1", onListen }, handler);
