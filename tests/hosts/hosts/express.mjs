/** Express: mounted before the parser as it should be, after it as it should not, and after one that keeps the bytes. */
import express from "express";
import { serve } from "backstitch/express";
import { app } from "./app.mjs";

const server = express();
server.use("/api/backstitch", serve(app));
server.use("/raw", express.raw({ type: "*/*", limit: "64mb" }), serve(app));
server.use(express.json());
server.use("/parsed", serve(app));
server.post("/other", (request, response) => response.json({ parsed: request.body }));
const http = server.listen(Number(process.env.PORT), "127.0.0.1", () => console.log(`listens at http://127.0.0.1:${http.address().port}/api/backstitch`));
http.keepAliveTimeout = 75_000; // Longer than whoever calls keeps an idle connection.
