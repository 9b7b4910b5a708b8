// The app of telling.rs in TypeScript's SDK: two steps say words side by side, each with who says it.
import { Backstitch } from "../../../sdk-ts/dist/index.js";
import { serve } from "../../../sdk-ts/dist/adapter/node/index.js";

const app = new Backstitch({ id: "tell" });
let invocations = 0;

app.function({ id: "tell", retry: { attempts: 9, initialInterval: "20ms" } }, async ({ input, run, step }) => {
  run.publish("stage", "begun");
  const invocation = ++invocations;
  const retry = { attempts: 9, initialInterval: "20ms", factor: 1 };
  const tell = (side) => step.run(side, ({ attempt, pipe }) => {
    const throwsAt = side === "left" && attempt <= input.throws ? input.words / 2 : undefined;
    return pipe("words", words(`${process.pid}.${invocation}.${attempt}`, input, throwsAt));
  }, { retry });
  const [left, right] = await Promise.all([tell("left"), tell("right")]);
  run.publish("stage", "done");
  return { left, right };
});

async function* words(voice, { words, ms }, throwsAt) {
  for (let n = 0; n < words; n++) {
    await new Promise((resolve) => setTimeout(resolve, ms));
    if (n === throwsAt) throw new Error("lost the thread");
    yield `${voice} ${n}`;
  }
}

const { url } = await serve(app, { port: Number(process.env.PORT ?? 0), host: "127.0.0.1" });
console.log(url);
