/** What Lambda calls. */
import { serve } from "backstitch/lambda";
import { app } from "./invoices.js";

export const handler = serve(app);
