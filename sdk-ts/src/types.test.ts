/** Types of the surface: this file is tested by compiling it. */
import { test } from "node:test";
import { Client } from "./client/index.js";
import { Backstitch, type Context, event, exclusive, functionRef, type InferOutput, type Json, type Jsonify, objectRef, type ObjectContext, type ObjectHandler, shared, type SharedContext, signal, type StandardSchema, update, type Updated, type Waited } from "./index.js";

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
  const change = update<{ street: string }, { fee: number; from: Date }>("change");
  const dating = update<number, typeof dated>("date", dated);
  app.function({
    id: "new",
    onFailure: ({ input }) => check<Equal<typeof input.error.name, string>>(),
    cancelOn: [{ event: created, if: "async.data.id == event.data.id" }],
  }, async ({ step, run }): Promise<number> => {
    await step.run("charge", () => ({ at: new Date() }), {
      compensate: (result, { idempotencyKey }) => {
        check<Equal<typeof result, { at: string }>>();
        return idempotencyKey;
      },
    });
    const came = await step.waitForUpdate("u", change, { timeout: "1d" });
    check<Equal<typeof came, Updated<{ street: string }, { fee: number; from: Date }>>>();
    if (!came.timedOut) {
      came.reply({ fee: 1, from: new Date() });
      // @ts-expect-error: the answer has a fee
      came.reply({ cost: 1 });
    }
    const date = await step.waitForUpdate("d", dating);
    if (!date.timedOut) check<Equal<typeof date.data, { at: Date }>>();
    // @ts-expect-error: children are cancelled, abandoned or waited for
    await step.invoke("bill", charge, { cents: 1 }, { parentClose: "kill" });
    check<Equal<typeof run.deadline, Date | undefined>>();
    return run.continueAsNew({ n: 1 });
  });
  // @ts-expect-error: a filter says which runs
  app.function({ id: "c", cancelOn: [{ event: created }] }, () => 1);
  const updated = await run.update(change, { street: "x" });
  check<Equal<typeof updated, { fee: number; from: string }>>();
  // @ts-expect-error: the data has a street
  await run.update(change, { avenue: "x" });

  type Cart = { items: { sku: string; at: Date }[] };
  const cart = app.object({ id: "cart" }, {
    add: exclusive(async ({ key, state, input }: ObjectContext<Cart, { sku: string }>) => {
      check<Equal<typeof key, string>>();
      const items = state.get("items");
      check<Equal<typeof items, { sku: string; at: string }[] | undefined>>();
      state.set("items", [{ sku: input.sku, at: new Date() }]);
      // @ts-expect-error: there is no such name
      state.get("things");
      // @ts-expect-error: items have a date
      state.set("items", [{ sku: "lamp" }]);
      return { at: new Date() };
    }),
    dated: exclusive({ input: dated }, async ({ input }: ObjectContext<Cart, { at: Date }>) => input.at.getTime()),
    count: shared(async ({ state }: SharedContext<Cart, null>) => {
      // @ts-expect-error: shared handlers only read
      state.set("items", []);
      return state.get("items")?.length ?? 0;
    }),
    // @ts-expect-error: shared handlers only read
    wrong: shared(async ({ state }: ObjectContext<Cart, null>) => state.clear()),
  });
  const added = await client.call(cart("k").add, { sku: "lamp" });
  check<Equal<typeof added, { at: string }>>();
  await client.call(cart("k").dated, { at: "2026-01-01" });
  // @ts-expect-error: the schema takes a text
  await client.call(cart("k").dated, { at: new Date() });
  const elsewhere = objectRef<{ add: ObjectHandler<{ sku: string }, number> }>("shop/cart");
  const total = await client.call(elsewhere("k").add, { sku: "lamp" });
  check<Equal<typeof total, number>>();
  // @ts-expect-error: there is no such handler
  elsewhere("k").remove;
  await run.signal(approve, { by: "ann" });
  // @ts-expect-error: the payload has `by`
  await run.signal(approve, { of: "ann" });
  void both;
}

test("types compile", () => void surface);
