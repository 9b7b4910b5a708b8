/**
 * An expense that somebody approves by following a link. The wait has a token; whoever holds it may settle the wait, once, without a key.
 * So the link needs no session, no database of open requests, and works for a week.
 */
import { Backstitch, type Context, NonRetriableError, StepError } from "backstitch";
import { mail } from "./mail.js";

/** What is asked for. */
export interface Expense {
  what: string;
  cents: number;
  by: string;
}

/** What the page behind the link sends. */
export interface Decision {
  approved: boolean;
  comment: string;
}

/** Who decides. */
const BOSS = "boss@example.com";

export const app = new Backstitch({ id: "expenses" });

/** Resolves to what became of the expense. */
export const expense = app.function({ id: "expense" }, async ({ input, step, run }: Context<[], Expense>) => {
  const { token, promise } = step.awakeable<Decision>("decision", { timeout: "7d" });
  // The token is known before anyone waits, so the mail is an ordinary step: sent once, tried again if the mail server is away.
  await step.run("ask", () => mail(BOSS, `${input.by} asks for ${euros(input)}: ${input.what}`, linkTo(token)));
  // Whoever wonders how it stands can see it, without anybody being woken: `backstitch run`, or `handle.status()`.
  run.setStatus({ phase: "asked", of: BOSS });
  const decision = await promise.catch((error: unknown) => {
    // The link was withdrawn: whoever holds the token may also refuse to answer.
    if (error instanceof StepError) throw new NonRetriableError(`nobody will decide: ${error.message}`, { name: "Withdrawn" });
    throw error;
  });
  if (decision.timedOut) return { status: "expired", comment: "nobody answered within a week" };
  const { approved, comment } = decision.data;
  run.setStatus({ phase: approved ? "approved" : "declined" });
  await step.run("tell", () => mail(`${input.by}@example.com`, `your ${euros(input)} for ${input.what}: ${approved ? "approved" : "declined"}`, comment));
  return { status: approved ? "approved" : "declined", comment };
});

/** Where the page is: this app, as the reader of the mail reaches it. */
function linkTo(token: string): string {
  return `${process.env.PUBLIC_URL ?? "http://localhost:3000"}/decide?token=${encodeURIComponent(token)}`;
}

function euros({ cents }: Expense): string {
  return `${(cents / 100).toFixed(2)} EUR`;
}
