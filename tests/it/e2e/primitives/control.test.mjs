/** What people and events do with runs under way: cancelling by a filter, cleaning up, killing, pausing; and what is done about failures. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { event } from "../../../../sdk-ts/dist/index.js";
import { MODES, until, World } from "./world.mjs";

let world;
before(async () => (world = await World.open("control.app.mjs")));
afterEach(() => world.reset());
after(() => world.close());

const waits = (run, entry) => world.entry(run, entry, ({ status }) => status === "waiting");

/** The runs that an event has started. */
async function placed(mode, order) {
  const [id] = await world.client.send(event(`${mode}/placed`)({ order }));
  return (await world.get(`/v1/events/${id}`)).runs;
}

for (const mode of MODES) {
  test(`${mode}: an event cancels the runs that its filter means, which undo what they did`, async () => {
    const [first] = await placed(mode, "a");
    const [second] = await placed(mode, "b");
    await Promise.all([waits(first, "ship"), waits(second, "ship")]);
    const withdraw = event(`${mode}/withdrawn`);
    await world.client.send(withdraw({ order: "a", sure: false }));
    await world.client.send(withdraw({ order: "c", sure: true }));
    await world.client.send(withdraw({ order: "b", sure: true }));
    assert.equal((await world.result(second)).status, "cancelled");
    assert.deepEqual(world.provider.done.slice(2), ["release b"]);
    assert.equal((await world.run(first)).endedAt, null, "whoever is not meant goes on");
    await world.client.run(first.id).signal("ship");
    assert.equal((await world.result(first)).ok, "shipped a");
    await world.client.send(withdraw({ order: "a", sure: true }));
    assert.equal((await world.run(first)).status, "completed", "what has ended is not cancelled");
  });

  test(`${mode}: a run that fails for good starts the failure handler with the error and the input, once`, async () => {
    const run = await world.start(mode, "fails", { what: "lamps" }, { runId: `fails-${mode}` });
    assert.equal((await world.result(run)).status, "failed");
    const handlers = async () => (await world.get(`/v1/runs?app=${mode}&function=fails.onFailure`)).items;
    const [handler] = await until("the handler has been started", async () => ((await handlers()).length > 0 ? handlers() : undefined));
    const { ok } = await world.result(handler);
    const { stack: _, ...error } = ok.input.error;
    assert.deepEqual([ok.trigger, ok.input.input], ["failure", { what: "lamps" }]);
    assert.deepEqual([error.name, error.message, error.code, error.data], ["OutOfStock", "no lamps", "E7", { left: 0 }]);
    assert.deepEqual(ok.input.run, { id: run.id, app: mode, function: "fails", name: `fails-${mode}` });
    assert.deepEqual([world.provider.done, (await handlers()).length], [["tell"], 1]);
    const cancelled = await world.start(mode, "tidy");
    await cancelled.kill();
    assert.equal((await handlers()).length, 1, "a run that was stopped has not failed");
  });

  test(`${mode}: a run is paused in the middle of a step, and goes on when it is resumed`, async () => {
    const reached = world.provider.hold("one");
    const run = await world.start(mode, "stages");
    await reached;
    await run.pause();
    const { sentence, hold } = await world.explain(run);
    assert.equal(hold.kind, "operator", sentence);
    world.provider.release("one");
    // Whatever its handler still said came too late.
    assert.deepEqual((await world.run(run)).status, "paused");
    assert.deepEqual(world.provider.done, ["one"]);
    assert.equal((await world.cli("resume", run.id)).code, 0);
    assert.equal((await world.result(run)).ok, "both");
    assert.deepEqual(world.provider.done, ["one", "two"]);
  });

  test(`${mode}: a paused function takes runs and begins none of them`, async () => {
    assert.equal((await world.cli("functions", "pause", `${mode}/stages`)).code, 0);
    const run = await world.start(mode, "stages");
    const other = await world.result(await world.start(mode, "fails", { what: "vases" }));
    assert.equal(other.status, "failed", "the others go on");
    assert.match((await world.explain(run)).sentence, /paused/);
    assert.equal(world.provider.asked("one"), 0);
    await world.cli("functions", "resume", `${mode}/stages`);
    assert.equal((await world.result(run)).ok, "both");
  });

  test(`${mode}: a cancelled handler cleans up with steps of its own; a killed one is not asked`, async () => {
    const run = await world.start(mode, "tidy");
    await waits(run, "never");
    await run.cancel();
    const result = await world.result(run);
    assert.deepEqual([result.status, result.err.name], ["cancelled", "CancelledError"]);
    assert.deepEqual(world.provider.done, ["clean", "sweep"]);
    assert.deepEqual(await world.story(run), ["never waiting", "$cancel ok", "clean ok", "settle down ok", "sweep ok"]);

    const killed = await world.start(mode, "tidy");
    await waits(killed, "never");
    await killed.kill();
    assert.equal((await world.result(killed)).status, "cancelled");
    assert.deepEqual(world.provider.done, ["clean", "sweep"]);
    await killed.cancel();
    const again = await killed.resume().then(() => "resumed", (error) => error.status);
    assert.equal(again, 409);
  });

  test(`${mode}: a shield is not torn by a cancellation, nor by the end of handler and server`, async () => {
    const reached = world.provider.hold("take");
    const run = await world.start(mode, "moves");
    await reached;
    await run.cancel();
    await Promise.all([world.killHandlers(), world.killServer()]);
    world.provider.release("take");
    await Promise.all([world.startServer(), world.startHandlers()]);
    const result = await world.result(run);
    assert.deepEqual([result.status, result.err.name], ["cancelled", "CancelledError"]);
    assert.deepEqual(await world.story(run), ["$cancel ok", "move/take ok", "move/clear ok", "move/give ok"]);
    assert.deepEqual(world.provider.done, ["take", "give"]);
  });

  test(`${mode}: a handler that is killed while it cleans up goes on with that`, async () => {
    const run = await world.start(mode, "tidy");
    await waits(run, "never");
    const reached = world.provider.hold("sweep");
    await run.cancel();
    await reached;
    await world.killHandlers();
    world.provider.release("sweep");
    await world.startHandlers();
    assert.equal((await world.result(run)).status, "cancelled");
    assert.deepEqual(world.provider.done, ["clean", "sweep"]);
    assert.equal(world.provider.asked("clean"), 1);
  });
}
