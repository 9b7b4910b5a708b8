/**
 * The durable calls, as a handler sees them. Types and meaning stand here; `steps.ts` makes them.
 */
import type { EventDraft, EventType, ReceivedEvent } from "./event.js";
import type { FetchOptions, FetchResponse } from "./fetch.js";
import type { LabelOptions } from "./labels.js";
import type { FunctionRef, RetryOptions } from "./function.js";
import type { BodyFacts } from "./replay/entry.js";
import type { Run } from "./run.js";
import type { SignalType } from "./signal.js";
import type { Duration, Json, Jsonify } from "./types.js";
import type { Updated, UpdateType } from "./update.js";

/** Options of a step. */
export interface StepOptions<T = any> {
  /** When it is tried again after an error; the server's default if left out: 5 attempts, from 1 s, doubling. */
  retry?: RetryOptions;
  /** How long one attempt may take. The body's `signal` aborts then. */
  timeout?: Duration;
  /** How long an attempt may go without calling `heartbeat`. It fails with `Timeout` then, and is tried again. */
  heartbeat?: Duration;
  /** How long all attempts and the pauses between them may take together. The step fails with `Timeout` then, and `data.lastError` says why. */
  scheduleToClose?: Duration;
  /** How long a step that is due to be tried again may wait for a handler that takes it up. It fails with `Timeout` then. */
  scheduleToStart?: Duration;
  /**
   * Undoes the step, given its result. Called when the run fails for good or is cancelled, if the step had succeeded: all that did, the last
   * one first, one after the other. It may be tried several times, so hand its `idempotencyKey` to whoever must not do it twice.
   */
  compensate?: (result: T, facts: BodyFacts) => unknown;
  /** When the compensation is tried again; 10 attempts if left out. If they are used up, the run is held for a person to look at. */
  compensateRetry?: RetryOptions;
}

/** What a wait comes to: what came, or that nothing came in time. */
export type Waited<T> = { readonly timedOut: false; readonly data: T } | { readonly timedOut: true };

/** Options of a wait. */
export interface WaitOptions {
  /** When to give up; never if left out. */
  timeout?: Duration;
}

/** Options of a child that is waited for. */
export interface InvokeOptions extends WaitOptions, LabelOptions {
  /**
   * What becomes of the child when this run ends before it: it is cancelled (`"cancel"`, if left out), left alone (`"abandon"`), or this
   * run's end waits for it (`"wait"`).
   */
  parentClose?: "cancel" | "abandon" | "wait";
}

/** Options of a wait for an event. */
export interface WaitForEventOptions extends WaitOptions {
  /** A CEL filter over `event` (what triggered the run) and `async` (what is awaited). */
  if?: string;
  /** `"run"` (the default) also takes events from before the wait, since the run began; `"now"` only later ones. */
  since?: "run" | "now";
}

/** Options of a fan-out. */
export interface MapOptions<T> {
  /** Names an item, so that its outcomes stay its own when the list changes; its index if left out. */
  key?: (item: T, index: number) => string | number;
  /** How many items at once; all if left out. */
  concurrency?: number;
}

/** Options of a fan-out of which some may fail. */
export interface TolerantMapOptions<T> extends MapOptions<T> {
  /** How many items may fail: a number, or a share of them such as `"10%"`, rounded down. */
  toleratedFailures: number | `${number}%`;
}

/** What each of several branches came to, as `Promise.allSettled` has it. */
type Ends<B extends readonly (() => unknown)[]> = { -readonly [I in keyof B]: B[I] extends () => infer R ? PromiseSettledResult<Awaited<R>> : never };

type Results<B extends readonly (() => unknown)[]> = { -readonly [I in keyof B]: B[I] extends () => infer R ? Awaited<R> : never };

/**
 * The durable calls. Each has an id, unique where the code can: it names the entry in the journal, and what has been done is found by it.
 * A repeated id is numbered in the order of the calls.
 */
export interface Step {
  /**
   * Runs a piece of work once: its result is kept, and every replay gets it without running it again. It may be tried several times, so
   * hand `idempotencyKey` to whoever must not do it twice. Rejects with `StepError` when the attempts are used up.
   *
   * ```ts
   * const charge = await step.run("charge", ({ idempotencyKey }) => pay(order, idempotencyKey), {
   *   retry: { attempts: 8 },
   *   timeout: "2m",
   *   compensate: (charge, { idempotencyKey }) => refund(charge.id, idempotencyKey),
   * });
   * ```
   */
  run<T>(id: string, body: (facts: BodyFacts) => T | Promise<T>, options?: StepOptions<Jsonify<T>>): Promise<Jsonify<T>>;

  /**
   * Sleeps, without holding anything while it does.
   *
   * ```ts
   * await step.sleep("cool-off", "1h");
   * ```
   */
  sleep(id: string, duration: Duration): Promise<void>;

  /**
   * Sleeps until a point in time.
   *
   * ```ts
   * await step.sleepUntil("due", order.dueAt);
   * ```
   */
  sleepUntil(id: string, time: Date | string): Promise<void>;

  /**
   * Waits for a signal to this run. Signals that come early are kept. A wait that lost a race stays open and takes the next signal of its
   * name: keep its promise and race that again, instead of creating a second wait for the same name.
   *
   * ```ts
   * const answer = await step.waitForSignal("approval", approve, { timeout: "3d" });
   * if (answer.timedOut) throw new NonRetriableError("nobody approved");
   * ```
   */
  waitForSignal<T>(id: string, signal: SignalType<any, T>, options?: WaitOptions): Promise<Waited<T>>;
  waitForSignal(id: string, signal: string, options?: WaitOptions): Promise<Waited<Json>>;

  /**
   * Waits for an update: a message whose sender waits for the answer. Data that the update's schema refuses are rejected at once, and the
   * wait goes on.
   *
   * ```ts
   * const change = await step.waitForUpdate("change", changeAddress, { timeout: "3d" });
   * if (!change.timedOut) {
   *   const fee = await step.run("reroute", () => reroute(change.data));
   *   change.reply({ fee });
   * }
   * ```
   */
  waitForUpdate<T, Result>(id: string, update: UpdateType<any, T, Result>, options?: WaitOptions): Promise<Updated<T, Result>>;

  /**
   * Waits for an event.
   *
   * ```ts
   * const paid = await step.waitForEvent("paid", orderPaid, { if: "async.data.id == event.data.id", timeout: "1d" });
   * ```
   */
  waitForEvent<N extends string, T>(id: string, event: EventType<N, any, T>, options?: WaitForEventOptions): Promise<Waited<ReceivedEvent<N, T>>>;
  waitForEvent(id: string, event: string, options?: WaitForEventOptions): Promise<Waited<ReceivedEvent<string, Json>>>;

  /**
   * Makes a wait that anyone who holds its token can settle, over HTTP, without a key: for links in mails and for webhooks.
   * The promise rejects with `StepError` if the holder rejects.
   *
   * ```ts
   * const form = step.awakeable<{ name: string }>("form", { timeout: "7d" });
   * await step.run("mail", () => mail(`https://shop.example/form?token=${form.token}`));
   * const filled = await form.promise;
   * ```
   */
  awakeable<T = Json>(id: string, options?: WaitOptions): { readonly token: string; readonly promise: Promise<Waited<Jsonify<T>>> };

  /**
   * Runs another function, or a handler of an object, as a child and waits for its result. Rejects with `StepError`: `ChildFailed` or
   * `ChildCancelled` (`data.error` is the child's own), or `Timeout`.
   *
   * ```ts
   * const bill = await step.invoke("bill", charge, { cents: 100 }, { timeout: "10m" });
   * ```
   */
  invoke<In, Out>(id: string, fn: FunctionRef<In, Out>, input: In, options?: InvokeOptions): Promise<Out>;

  /**
   * Starts another function and goes on; resolves to the child's run id. It lives on when this run ends.
   *
   * ```ts
   * const runId = await step.start("audit", audit, { orderId }, { detached: true });
   * ```
   */
  start<In>(id: string, fn: FunctionRef<In, any>, input: In, options: { detached: true } & LabelOptions): Promise<string>;

  /**
   * Has the server make an HTTP call. The handler does not run meanwhile, however long it takes, and what it comes to is kept as a step's
   * result is. Any status is an answer; one that says *later* (`retryOn`) is asked for again first. The call is made at least once: every
   * attempt bears the same `idempotency-key`, the run's id and the entry's. Redirects are not followed. Rejects with `StepError`:
   * `FetchFailed` where there was no answer, `TooLarge`, or `Timeout` after `scheduleToClose`.
   *
   * ```ts
   * const answer = await step.fetch("llm", { url: "https://models.example/v1/chat", headers: { authorization }, body: { prompt }, timeout: "10m" });
   * if (!answer.ok) throw new NonRetriableError(`the model says ${answer.status}: ${answer.text()}`);
   * const { text } = answer.json<{ text: string }>();
   * ```
   */
  fetch(id: string, options: FetchOptions): Promise<FetchResponse>;

  /**
   * Sends events; resolves to their ids.
   *
   * ```ts
   * await step.send("notify", orderShipped({ id: order.id }));
   * ```
   */
  send(id: string, events: EventDraft | readonly EventDraft[]): Promise<string[]>;

  /**
   * Runs a part of the handler with ids and chance of its own, so that what happens in it does not renumber anything outside. Use
   * the `step` and `run` that it is given.
   *
   * ```ts
   * const receipt = await step.scope("billing", async (step) => {
   *   const charge = await step.run("charge", pay);
   *   return step.run("receipt", () => print(charge));
   * });
   * ```
   */
  scope<T>(id: string, part: (step: Step, run: Run) => T | Promise<T>): Promise<T>;

  /**
   * A part of the handler that a cancellation does not tear in the middle: the run is told of it when the part has ended. Until then everything
   * goes on, also what runs beside it. It is a scope, too: use the `step` and `run` that it is given. Keep it short, since a run that was
   * cancelled has a minute. What is done after a cancellation, in a `catch` or a `finally`, needs no shield.
   *
   * ```ts
   * await step.shield("move", async (step) => {
   *   await step.run("take", () => take(from, cents));
   *   await step.run("give", () => give(to, cents));
   * });
   * ```
   */
  shield<T>(id: string, part: (step: Step, run: Run) => T | Promise<T>): Promise<T>;

  /**
   * Does the same for each item at once, each in a scope of its own that its key names; resolves to the results in the items' order. The first
   * error goes out at once, and no further item begins.
   *
   * ```ts
   * await step.map("items", order.items, (item, step) => step.run("reserve", () => reserve(item)), { key: (item) => item.sku, concurrency: 10 });
   * ```
   *
   * With `toleratedFailures`, some may fail: it resolves to what each item came to, as `Promise.allSettled` does. When more fail, no further
   * item begins, those that run are waited for, and it rejects with `MapFailed`, which says which items failed.
   */
  map<T, R>(id: string, items: readonly T[], branch: (item: T, step: Step, run: Run, index: number) => R | Promise<R>, options: TolerantMapOptions<T>): Promise<PromiseSettledResult<R>[]>;
  map<T, R>(id: string, items: readonly T[], branch: (item: T, step: Step, run: Run, index: number) => R | Promise<R>, options?: MapOptions<T>): Promise<R[]>;

  /**
   * Runs branches at once, like `Promise.all`; but the server learns what the run waits for and does not wake it for less.
   * `Promise.all` and `Promise.race` work as well.
   *
   * ```ts
   * const [a, b] = await step.all([() => step.run("a", doA), () => step.run("b", doB)]);
   * ```
   */
  all<const B extends readonly (() => unknown)[]>(branches: B): Promise<Results<B>>;

  /**
   * Runs branches at once and waits for all of them, like `Promise.allSettled`: what each came to, in their order. It rejects only with
   * `CancelledError`, when the run was cancelled and a branch ended with that.
   *
   * ```ts
   * const [mail, text] = await step.allSettled([() => step.run("mail", mailIt), () => step.run("text", textIt)]);
   * if (mail.status === "rejected" && text.status === "rejected") await step.run("call", callThem);
   * ```
   */
  allSettled<const B extends readonly (() => unknown)[]>(branches: B): Promise<Ends<B>>;

  /**
   * Runs branches at once; the first to end wins, by value or by error. Which one is first is in the journal, so each replay says the same.
   * The others go on, and nobody waits for them: a step runs to its end, a wait stays open until the run ends. Give a child a `timeout` or
   * a `parentClose`, if it should not.
   *
   * ```ts
   * const answer = await step.race([() => step.waitForSignal("answer", answered), () => step.invoke("ask", askSomebody, question)]);
   * ```
   */
  race<const B extends readonly (() => unknown)[]>(branches: B): Promise<Results<B>[number]>;

  /**
   * Runs branches at once; the first value wins. Errors count only when there is nothing else: then it rejects with `AnyFailed`, which has
   * all of them. The others go on, as in `race`.
   *
   * ```ts
   * const quote = await step.any([() => step.run("north", () => ask(north)), () => step.run("south", () => ask(south))]);
   * ```
   */
  any<const B extends readonly (() => unknown)[]>(branches: B): Promise<Results<B>[number]>;
}
