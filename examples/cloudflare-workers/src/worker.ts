/** The Worker: Backstitch's server calls it at any path. Nothing is done here but definitions, since at module scope a Worker may do nothing. */
import { serve } from "backstitch/workers";
import { app } from "./digest.js";

export default serve(app);
