/**
 * A research agent: a model plans, then picks one tool after the other, and at the end writes a report. Every call of the model and of
 * a tool is a step: kept once it is done, tried again when it fails. An agent that dies after an hour of work has not lost any of it,
 * and has not paid for a token twice. Tools that cost something wait for a person first, for as long as it takes.
 */
import { Backstitch, type Context, signal, type Step, StepError } from "backstitch";
import { type Action, chat, type Note, type Plan } from "./llm.js";
import { asks, useTool } from "./tools.js";

/** What the agent is started with. */
export interface Question {
  question: string;
}

/** Lets the agent go on with what it asks for. */
export const approve = signal<{ by: string }>("approve");
/** Forbids what the agent asks for, and whatever else it might ask for later in the run. */
export const reject = signal<{ by: string; reason?: string }>("reject");

const TURNS_MAX = 8;
const MODEL = { retry: { attempts: 6, initialInterval: "500ms" }, timeout: "2m" };
const TOOL = { retry: { attempts: 4, initialInterval: "500ms", nonRetryable: ["NotFound"] }, timeout: "30s" };

export const app = new Backstitch({ id: "research" });

/** Resolves to the report and to what it rests on. */
export const research = app.function({ id: "research" }, async ({ input: { question }, step, log }: Context<[], Question>) => {
  const { steps: plan } = await step.run("plan", () => chat<Plan>("plan", { question }), MODEL);
  log.info(`the plan: ${plan.join("; ")}`);
  const notes: Note[] = [];
  const permit = permission(step);

  for (let turn = 1; turn <= TURNS_MAX; turn++) {
    const note = await step.scope(`turn-${turn}`, async (step): Promise<Note | null> => {
      const action = await step.run("think", () => chat<Action>("act", { question, plan, notes }), MODEL);
      if (action.tool === "finish") return null;
      const verdict = asks(action.tool) ? await permit(step) : { granted: true, why: "" };
      if (!verdict.granted) return { ...action, found: `not allowed: ${verdict.why}` };
      // A tool that fails for good is something to work with, too: the model reads what happened.
      const found = await step.run("tool", (facts) => useTool(action, facts), TOOL).catch((error: unknown) => {
        if (error instanceof StepError) return `failed: ${error.message}`;
        throw error; // Such as a cancellation.
      });
      return { ...action, found };
    });
    if (note === null) break;
    log.info(`${note.tool} ${note.argument}: ${note.found}`);
    notes.push(note);
  }

  const { report } = await step.run("write", () => chat<{ report: string }>("write", { question, notes }), MODEL);
  return { report, notes };
});

interface Verdict {
  granted: boolean;
  why: string;
}

/**
 * Waits for `approve` or `reject`, whichever comes first. There is one wait for a rejection in the whole run, made when it is first needed:
 * a wait that has lost its race is still open, and a second one of its kind would never see the signal that the first one takes.
 */
function permission(run: Step): (step: Step) => Promise<Verdict> {
  let rejected: Promise<Verdict> | undefined;
  let refused: Verdict | undefined;
  return async (step) => {
    if (refused !== undefined) return refused;
    rejected ??= run.waitForSignal("rejected", reject).then((answer) => ({ granted: false, why: answer.timedOut ? "" : (answer.data.reason ?? `${answer.data.by} said no`) }));
    const approved = step
      .waitForSignal("approved", approve, { timeout: "1d" })
      .then((answer): Verdict => (answer.timedOut ? { granted: false, why: "nobody answered for a day" } : { granted: true, why: `${answer.data.by} said yes` }));
    const verdict = await Promise.race([approved, rejected]);
    if (!verdict.granted) refused = verdict;
    return verdict;
  };
}
