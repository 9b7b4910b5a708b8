/** Forks with a real handler: a failed order is retried, repaired and made again, and what it had done is not done twice. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { event } from "../../../../sdk-ts/dist/index.js";
import { MODES, until, World } from "./world.mjs";

let world;
before(async () => (world = await World.open("forks.app.mjs")));
afterEach(() => world.reset());
after(() => world.close());

const ENTRIES = ["quote", "paid", "charge", "tell", "pack", "audit"];

/** An order that failed when it was to be shipped. */
async function failed(mode) {
  world.provider.refuse("ship");
  const run = await world.start(mode, "order", { cents: 100, sku: "lamp" });
  await world.entry(run, "paid", ({ status }) => status === "waiting");
  await world.client.send(event(`${mode}/paid`)({ by: "ann" }));
  const result = await world.result(run);
  assert.deepEqual([result.status, result.err.name], ["failed", "Refused"]);
  await until("both children have ended", () => world.provider.asked("box") === 2);
  world.provider.allow("ship");
  return run;
}

/** How many runs of a function there are. */
const runsOf = async (mode, fn) => (await world.get(`/v1/runs?app=${mode}&function=${fn}&limit=200`)).items.length;

for (const mode of MODES) {
  test(`${mode}: a retry keeps all that went well, sends nothing again, and says where it comes from`, async () => {
    const run = await failed(mode);
    const before = [await runsOf(mode, "told"), await runsOf(mode, "pack"), [...world.provider.done].sort()];
    assert.deepEqual(await run.retry({ dryRun: true }), { copied: ENTRIES, again: ["ship"] });
    assert.deepEqual((await world.cli("retry", run.id, "--dry-run", "--json")).out, { copied: ENTRIES, again: ["ship"] });

    const again = await run.retry();
    const result = await world.result(again);
    const { startedAt } = await world.run(run);
    assert.deepEqual(result.ok, { cents: 100, by: "ann", sku: "lamp", box: "box of lamp", startedAt });
    const after = [await runsOf(mode, "told"), await runsOf(mode, "pack"), world.provider.done.filter((what) => what !== "ship").sort()];
    assert.deepEqual(after, before);

    const view = await world.run(again);
    assert.deepEqual(view.previous, { run: run.id, origin: "fork" });
    assert.deepEqual((await world.entries(again)).map(({ id, copied }) => [id, copied === true]), [...ENTRIES.map((id) => [id, true]), ["ship", false]]);
    assert.deepEqual((await world.get(`/v1/runs?previous=${run.id}`)).items.map(({ id }) => id), [again.id]);
    assert.match((await world.cli("run", again.id)).out, new RegExp(run.id), "people see it, too");
    assert.equal((await world.run(run)).status, "failed", "the first stays as it is");
  });

  test(`${mode}: a fork goes on with another outcome, another event, another input`, async () => {
    const run = await failed(mode);
    const event = (await world.entry(run, "paid")).ok;
    const edits = { quote: { ok: 5 }, paid: { ok: { ...event, data: { by: "cfo" } } } };
    assert.deepEqual(await run.fork({ edits, dryRun: true }), { copied: ["quote", "paid"], again: ["charge", "tell", "pack", "audit", "ship"] });
    const edited = await world.result(await run.fork({ edits }));
    assert.deepEqual([edited.ok.cents, edited.ok.by, edited.ok.sku], [5, "cfo", "lamp"]);

    const input = await world.result(await run.fork({ at: "tell", input: { cents: 100, sku: "vase" } }));
    assert.deepEqual([input.ok.cents, input.ok.sku, input.ok.box], [100, "vase", "box of vase"]);

    const { out, err } = await world.cli("fork", run.id, "--at", "ship", "--edit", "quote=7", "--json");
    const byHand = await world.result(out);
    assert.equal(byHand.ok?.cents, 7, `${JSON.stringify(byHand)} ${err}`);
    assert.equal(world.provider.asked("quote"), 1, "what is kept is not done again");
  });

  test(`${mode}: a step may be made to have failed, and a whole run made again`, async () => {
    const run = await failed(mode);
    const fork = await run.fork({ at: "charge", edits: { quote: { err: { name: "TooDear", message: "not at this price" } } } });
    const result = await world.result(fork);
    assert.deepEqual([result.status, result.err.name], ["failed", "TooDear"]);
    assert.deepEqual(await world.story(fork), ["quote err", "paid ok"]);

    const whole = await run.fork();
    await world.entry(whole, "paid", ({ status }) => status === "waiting");
    await world.client.send(event(`${mode}/paid`)({ by: "bob" }));
    assert.equal((await world.result(whole)).ok.by, "bob", "the event that the first run took is not taken again");
    assert.equal(world.provider.asked("quote"), 2);
  });

  test(`${mode}: what cannot be forked is refused with the reason`, async () => {
    const run = await failed(mode);
    const refused = async (asked) => asked.then(() => assert.fail("it was taken"), (error) => `${error.status} ${error.message}`);
    assert.match(await refused(run.fork({ at: "nothing" })), /404 .*nothing/);
    assert.match(await refused(run.fork({ edits: { tell: { ok: 1 } } })), /4\d\d .*only steps, waits and calls/);
    assert.match(await refused(run.fork({ at: "paid", edits: { charge: { ok: 1 } } })), /4\d\d .*not copied/);
    const again = await run.retry();
    await world.result(again);
    assert.match(await refused(again.retry()), /409/);
  });
}
