/** Where the Backstitch server calls the app. */
import { serve } from "backstitch/next";
import { app } from "../../../lib/onboarding.ts";

/** Seconds for one invocation, not for a run: a step must fit into it. Next.js reads it without running it. */
export const maxDuration = 300;

export const { GET, POST } = serve(app, { limits: { seconds: maxDuration } });
