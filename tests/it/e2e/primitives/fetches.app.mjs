/** Calls that the server makes, and what handlers make of them. */
import { Backstitch } from "../../../../sdk-ts/dist/index.js";

export default function define(id) {
  const app = new Backstitch({ id });
  const url = (what) => `${process.env.PROVIDER}/?what=${what}&secretKey=s3cret`;
  const retry = { attempts: 3, initialInterval: "20ms", factor: 1 };

  app.function({ id: "ask" }, async ({ input, step, run }) => {
    const answer = await step.fetch("think", { url: url(input), headers: { authorization: "Bearer s3cret", "x-run": run.id }, body: { n: 1 }, retry });
    return { status: answer.status, said: answer.ok ? answer.json() : null };
  });

  // The first answer decides; the other call is given up with the run.
  app.function({ id: "race" }, async ({ step }) => {
    const ask = (what) => step.fetch(what, { url: url(what) });
    return (await Promise.race([ask("quick"), ask("slow")])).json();
  });

  app.function({ id: "nobody" }, async ({ step }) => {
    try {
      await step.fetch("nobody", { url: "http://127.0.0.1:1/", retry });
    } catch (error) {
      return { name: error.name, code: error.code, message: error.message };
    }
  });
  return app;
}
