/** The app router. */
import { serve } from "backstitch/next";
import { app } from "../../../../app.mjs";

export const maxDuration = 300;
export const { GET, POST } = serve(app);
