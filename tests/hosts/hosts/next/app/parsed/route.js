/** The app router, with a body that was read before. */
import { serve } from "backstitch/next";
import { app } from "../../../app.mjs";

const handlers = serve(app);

export async function POST(request) {
  await request.json();
  return handlers.POST(request);
}
