/**
 * An invoice that reminds for itself: sent, then a week of nothing, a reminder, another week, and a person is told. Between the steps no
 * function runs. A payment ends it at any time.
 */
import { Backstitch, type Context, event } from "backstitch";
import { type Post, post } from "./post.js";

/** An invoice was written. */
export const invoiced = event<{ id: string; cents: number; to: string }>("invoice/written");

/** Money came in. */
export const paid = event<{ id: string }>("invoice/paid");

export const app = new Backstitch({ id: "invoices" });

/** Resolves to `paid`, and after how many letters; or to `overdue`. */
export const invoice = app.function({ id: "invoice", on: [invoiced], timeouts: { invocation: "4m" } }, async ({ event, step, run }: Context<[typeof invoiced]>) => {
  const { id, cents, to } = event.data;
  const letters: Post["kind"][] = ["invoice", "reminder", "warning"];
  for (const [n, kind] of letters.entries()) {
    await step.run(kind, ({ idempotencyKey }) => post({ kind, to, cents, key: idempotencyKey }), { retry: { attempts: 8 }, timeout: "30s" });
    run.setStatus({ letters: n + 1, since: run.now() });
    const payment = await step.waitForEvent(`payment after ${kind}`, paid, { if: "async.data.id == event.data.id", timeout: "7d" });
    if (!payment.timedOut) return { status: "paid", letters: n + 1 };
  }
  await step.run("tell", ({ idempotencyKey }) => post({ kind: "overdue", to: "books@example.com", cents, key: idempotencyKey }));
  return { status: "overdue", letters: letters.length, id };
});
