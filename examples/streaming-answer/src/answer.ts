/**
 * A question to a model whose answer people watch while it comes. The step publishes the tokens and returns them; what an attempt has said
 * that died in the middle is taken back, so whoever reads ends with exactly what the step returned.
 */
import { Backstitch, type Context } from "backstitch";
import { complete } from "./model.js";

/** What is asked. */
export interface Question {
  question: string;
  /** For trying it out: the process dies in the middle of its first attempt. */
  die?: boolean;
}

export const app = new Backstitch({ id: "answers" });

/** Resolves to the whole answer. */
export const answer = app.function({ id: "answer" }, async ({ input, step, run }: Context<[], Question>) => {
  run.publish("stage", "thinking");
  const tokens = await step.run("answer", async ({ pipe, signal, attempt }) => {
    const model = complete(input.question, signal);
    return pipe("tokens", input.die === true && run.attempt === 1 && attempt === 1 ? dying(model) : model);
  });
  run.publish("stage", "done");
  return tokens.join("");
});

/** A model whose host is switched off after a few tokens. */
async function* dying(model: AsyncIterable<string>): AsyncGenerator<string> {
  let left = 8;
  for await (const token of model) {
    if (left-- === 0) process.kill(process.pid, "SIGKILL");
    yield token;
  }
}
