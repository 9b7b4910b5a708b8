/** The pages router, not told. */
import { serve } from "backstitch/next/pages";
import { app } from "../../../../app.mjs";

export default serve(app);
