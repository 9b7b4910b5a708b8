/** The pages router, told to leave the body alone. */
import { serve } from "backstitch/next/pages";
import { app } from "../../../../app.mjs";

export const config = { api: { bodyParser: false, externalResolver: true } };
export default serve(app);
