/**
 * The model, as the agent sees it: one HTTP call in the widely spoken chat-completions format, answered with JSON. Without `MODEL_URL` it is
 * the stand-in of `model.ts`. What is worth another attempt and what is not is said here, where the status is known.
 */
import { NonRetriableError, RetryAfterError } from "backstitch";

/** What to do, in words. */
export interface Plan {
  steps: string[];
}

/** What to do next: a tool and what it is given, or `finish`. */
export interface Action {
  tool: string;
  argument: string;
}

/** What an action found. */
export interface Note extends Action {
  found: string;
}

const PROMPTS = {
  plan: 'You plan research. Answer with JSON: {"steps": ["…"]}, at most five, each one sentence.',
  act: 'You act on a research plan. Tools: search (words), read (document id), buy (document id; costs money). Answer with JSON: {"tool": "…", "argument": "…"}, and with the tool "finish" once the notes answer the question.',
  write: 'You write the report. Use nothing but the notes. Answer with JSON: {"report": "…"}.',
};

/** Asks the model for one of three things. Resolves to its JSON; throws what the step's retries understand. */
export async function chat<T>(task: keyof typeof PROMPTS, about: object): Promise<T> {
  const { MODEL_URL, MODEL_KEY, MODEL_NAME = "stand-in" } = process.env;
  if (MODEL_URL === undefined) throw new NonRetriableError("failed to reach a model: MODEL_URL is not set. `npm start` sets it to the stand-in's address.");
  const response = await fetch(`${MODEL_URL}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...(MODEL_KEY === undefined ? {} : { authorization: `Bearer ${MODEL_KEY}` }) },
    body: JSON.stringify({ model: MODEL_NAME, messages: [{ role: "system", content: PROMPTS[task] }, { role: "user", content: JSON.stringify(about) }] }),
  });
  const text = await response.text();
  if (response.status === 429) throw new RetryAfterError("the model is busy", `${Number(response.headers.get("retry-after")) || 5}s`);
  const message = `the model answered ${response.status}: ${text.slice(0, 200)}`;
  if (response.status >= 400 && response.status < 500) throw new NonRetriableError(message, { name: "ModelRefused" });
  if (!response.ok) throw Object.assign(new Error(message), { name: "ModelDown" });
  // A model that answers in prose is asked again.
  return JSON.parse(JSON.parse(text).choices[0].message.content) as T;
}
