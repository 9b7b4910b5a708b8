// The functions that are measured, with the TypeScript SDK in one process of Node.js, on PORT of loopback.
import { Backstitch } from "../../sdk-ts/dist/index.js";
import { serve } from "../../sdk-ts/dist/adapter/node/index.js";

const app = new Backstitch({ id: "bench" });

app.function({ id: "noop" }, async ({ input }) => input);

app.function({ id: "steps" }, async ({ input, step }) => {
  for (let nth = 0; nth < input; nth++) {
    await step.run(`step-${nth}`, () => nth);
  }
  return input;
});

await serve(app, { port: Number(process.env.PORT), hostname: "127.0.0.1" });
