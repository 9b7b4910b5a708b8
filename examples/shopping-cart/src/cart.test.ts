/** The cart in process: each handler is a run on the state that the one before has left. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import type { FunctionDefinition } from "backstitch";
import { testRun, type TestRunError, type TestRunOptions } from "backstitch/testing";
import { cart } from "./cart.js";

const { add, checkout, show } = cart("ann");
let state: Record<string, unknown> = {};
beforeEach(() => {
  state = {};
  process.env.PROVIDER_MS = "0";
});

/** Calls a handler as a server would: one after the other, each with the state as it is by then. */
async function call<In, Out>(handler: FunctionDefinition<In, Out>, input: In, options: TestRunOptions = {}): Promise<Out> {
  const run = testRun(handler, { ...options, input, state });
  const result = await run.result();
  state = run.state;
  return result;
}

const bulb = { sku: "bulb", cents: 300, count: 1 };

test("what is added twice is counted, and looking changes nothing", async () => {
  assert.equal(await call(add, bulb), 300);
  assert.equal(await call(add, { sku: "lamp", cents: 4_900, count: 1 }), 5_200);
  assert.equal(await call(add, { ...bulb, count: 2 }), 5_800);
  const before = structuredClone(state);
  assert.equal((await call(show, null)).cents, 5_800);
  assert.deepEqual(state, before);
});

test("a checkout pays once and empties the cart, in both ways of talking to the server, whatever message is lost", async () => {
  for (const options of [{}, { mode: "checkpoint" }, { crash: "everywhere" }, { mode: "checkpoint", crash: "everywhere" }] as TestRunOptions[]) {
    state = { items: [bulb], orders: 2 };
    const receipt = await call(checkout, null, options);
    assert.deepEqual([receipt.order, receipt.cents], ["ann-3", 300]);
    assert.deepEqual(state, { items: [], orders: 3 });
  }
});

test("an empty cart cannot be checked out", async () => {
  await assert.rejects(call(checkout, null), (error: TestRunError) => error.error?.name === "EmptyCart");
});
