/**
 * A digest of texts by a model that is slow. The calls are the server's: while the model thinks, no handler of this app runs, and a death of
 * the handler or of the server costs nothing but time. What the model refuses to summarize is left out, up to a third of the texts; and a title
 * that is too long in coming is done without.
 */
import { Backstitch, type Context, NonRetriableError, type Step } from "backstitch";

export interface Digest {
  title: string;
  summaries: string[];
  /** Which texts the model would not summarize, by their place. */
  leftOut: number[];
  /** How long the model says that it thought, all answers together. */
  thoughtMs: number;
}

interface Answer {
  text: string;
  thoughtMs: number;
}

export const app = new Backstitch({ id: "digests" });

/** How long a digest waits for its title. */
const TITLE_PATIENCE = "1m";

/** Milliseconds for which handlers of this process have run: what a serverless host would bill. */
export let ranMs = 0;

export const digest = app.function({ id: "digest" }, async ({ input, step, signal }: Context<[], { texts: string[] }>): Promise<Digest> => {
  const began = Date.now();
  signal.addEventListener("abort", () => (ranMs += Date.now() - began), { once: true });

  // With one refusal too many this throws, and the digest fails with the texts that were refused (`MapFailed`).
  const ends = await step.map("texts", input.texts, (text, step) => ask(step, "summary", text), { toleratedFailures: "34%" });
  const answers = ends.flatMap((end) => (end.status === "fulfilled" ? [end.value] : []));
  const leftOut = ends.flatMap((end, place) => (end.status === "fulfilled" ? [] : [place]));
  const summaries = answers.map((answer) => answer.text);

  // Whichever ends first; the journal knows which it was, so that a title that comes late changes nothing any more.
  const title = await step.race([() => ask(step, "title", summaries.join(" ")), () => step.sleep("patience", TITLE_PATIENCE)]);
  const thoughtMs = [...answers, ...(title ? [title] : [])].reduce((sum, answer) => sum + answer.thoughtMs, 0);
  return { title: title?.text ?? summaries[0] ?? "", summaries, leftOut, thoughtMs };
});

async function ask(step: Step, task: string, text: string): Promise<Answer> {
  const answer = await step.fetch(task, {
    url: `${process.env.MODEL_URL}/answers`,
    headers: { authorization: `Bearer ${process.env.MODEL_KEY ?? "none"}` },
    body: { task, text },
    timeout: "10m",
    retry: { attempts: 10, initialInterval: "200ms", maxInterval: "1m" },
  });
  // Any status is an answer; those that mean *later* have been asked for again already.
  if (!answer.ok) throw new NonRetriableError(`the model answered ${answer.status}: ${answer.text()}`, { name: "ModelError" });
  return answer.json<Answer>();
}
