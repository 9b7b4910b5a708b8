/** `node:http`, on a server of its own. */
import { serve } from "backstitch/node";
import { app } from "./app.mjs";

const { url } = await serve(app, { host: "127.0.0.1", path: "/api/backstitch" });
console.log(`listens at ${url}`);
