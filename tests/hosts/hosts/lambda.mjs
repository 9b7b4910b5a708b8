/** A Lambda function, buffered and streaming. */
import { serve, serveStream } from "backstitch/lambda";
import { app } from "./app.mjs";

export const buffered = serve(app);
export const streaming = serveStream(app);
