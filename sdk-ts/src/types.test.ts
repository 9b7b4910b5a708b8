/** Types of the surface: this file is tested by compiling it. */
import { test } from "node:test";
import { Client } from "./client/index.js";
import { Backstitch, type Context, event, functionRef, type InferOutput, type Json, type Jsonify, signal, type StandardSchema, type Waited } from "./index.js";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const check = <T extends true>(): T | undefined => undefined;

class Money {
  constructor(readonly cents: number) {}
  add(): Money {
    return this;
  }
}

/** A schema as any library would make it: it takes a text and gives a date. */
declare const dated: StandardSchema<{ at: string }, { at: Date }>;
declare const app: Backstitch;

check<Equal<Jsonify<Date>, string>>();
check<Equal<Jsonify<undefined>, null>>();
check<Equal<Jsonify<void>, null>>();
check<Equal<Jsonify<bigint>, never>>();
check<Equal<Jsonify<Map<string, 1>>, never>>();
check<Equal<Jsonify<unknown>, Json>>();
check<Equal<Jsonify<Json>, Json>>();
check<Equal<Jsonify<"a" | 1 | null>, "a" | 1 | null>>();
check<Equal<Jsonify<[Date, number]>, [string, number]>>();
check<Equal<Jsonify<readonly Date[]>, readonly string[]>>();
check<Equal<Jsonify<{ a: Date; b?: number; c: () => void; d: string | undefined }>, { a: string; b?: number; d?: string }>>();
check<Equal<Jsonify<Money>, { cents: number }>>();
check<Equal<InferOutput<typeof dated>, { at: Date }>>();

const created = event<{ id: string; due: Date }>("order/created");
const approve = signal<{ by: string }>("approve");
const charge = functionRef<{ cents: number }, { id: string; at: Date }>("billing/charge");

/** Never called: what is in it only has to compile, or not to. */
async function surface(): Promise<void> {
  const scheduled = event("order/scheduled", dated);
  created({ id: "1", due: new Date() });
  scheduled({ at: "2026-01-01" });
  // @ts-expect-error: the data is required
  created();
  // @ts-expect-error: the schema takes a text
  scheduled({ at: new Date() });

  const order = app.function({ id: "order", on: [created] }, async ({ event, step, run }) => {
    check<Equal<typeof event.data, { id: string; due: string }>>();
    const paid = await step.run("charge", () => ({ cents: 1, at: new Date(), money: new Money(1) }));
    check<Equal<typeof paid, { cents: number; at: string; money: { cents: number } }>>();
    const bill = await step.invoke("bill", charge, { cents: 1 });
    check<Equal<typeof bill, { id: string; at: string }>>();
    // @ts-expect-error: the input has cents
    await step.invoke("bill", charge, { euros: 1 });
    const approval = await step.waitForSignal("approval", approve);
    check<Equal<typeof approval, Waited<{ by: string }>>>();
    // @ts-expect-error: it may have timed out
    approval.data;
    const awaited = await step.waitForEvent("s", scheduled);
    if (!awaited.timedOut) check<Equal<typeof awaited.data.data, { at: Date }>>();
    const nothing = await step.run("nothing", () => {});
    check<Equal<typeof nothing, null>>();
    const [a, b] = await step.all([() => step.run("a", () => 1), async () => "x"]);
    check<Equal<[typeof a, typeof b], [number, string]>>();
    const all = await step.map("m", [new Date()], (item, s) => s.run("x", () => item));
    check<Equal<typeof all, string[]>>();
    const inner = await step.scope("s", (s) => s.run("x", () => run.now()));
    check<Equal<typeof inner, string>>();
    return { paid, when: new Date() };
  });

  const both = app.function({ id: "both", on: [created, scheduled, { cron: "0 9 * * MON" }] }, ({ event }) => {
    check<Equal<typeof event.data, { id: string; due: string } | { at: Date }>>();
    return event.name;
  });
  const called = app.function({ id: "called" }, async ({ input }: Context<[], { n: number }>) => input.n);
  const checked = app.function({ id: "checked", input: dated }, ({ input }) => input.at.getTime());

  const client = new Client();
  const run = await client.start(order, { id: "1", due: "2026-01-01" });
  const result = await run.result();
  check<Equal<typeof result.when, string>>();
  const n = await client.call(called, { n: 1 });
  check<Equal<typeof n, number>>();
  // @ts-expect-error: n is a number
  await client.call(called, { n: "1" });
  await client.call(checked, { at: "2026-01-01" });
  // @ts-expect-error: the schema takes a text
  await client.call(checked, { at: new Date() });
  await run.signal(approve, { by: "ann" });
  // @ts-expect-error: the payload has `by`
  await run.signal(approve, { of: "ann" });
  void both;
}

test("types compile", () => void surface);
