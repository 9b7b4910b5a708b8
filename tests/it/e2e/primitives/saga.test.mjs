/** Sagas with a real handler: what was done is undone, the last first, whoever dies meanwhile, and what cannot be undone waits for a person. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { MODES, until, World } from "./world.mjs";

let world;
before(async () => (world = await World.open("saga.app.mjs")));
afterEach(() => world.reset());
after(() => world.close());

const BOOKED = ["book flight", "book hotel", "book car"];
const UNDONE = ["cancel book car #3", "cancel book hotel #2", "cancel book flight #1"];
const HOTEL = "cancel book hotel #2";

/** A trip that cannot be paid for. */
async function unpaid(mode) {
  world.provider.refuse("pay");
  return world.start(mode, "trip");
}

for (const mode of MODES) {
  test(`${mode}: a step that fails for good undoes what was done, the last first`, async () => {
    const run = await unpaid(mode);
    const result = await world.result(run);
    assert.deepEqual([result.status, result.err.name, result.err.message], ["failed", "Refused", "the provider does not pay"]);
    assert.deepEqual(world.provider.done, [...BOOKED, ...UNDONE]);
    assert.equal(world.provider.asked("pay"), 2);
    assert.deepEqual(await world.story(run), ["flight ok", "hotel ok", "car ok", "pay err", "$failure err", "$undo/car ok", "$undo/hotel ok", "$undo/flight ok"]);
    const undo = await world.entry(run, "$undo/hotel");
    assert.deepEqual([undo.name, undo.params.compensates], ["undo hotel", "hotel"]);
  });

  test(`${mode}: a compensation that fails holds the run until somebody resumes it, or settles it`, async () => {
    world.provider.refuse(HOTEL);
    const run = await unpaid(mode);
    await world.reaches(run, "paused");
    const { hold, sentence } = await world.explain(run);
    assert.equal(hold.kind, "compensation");
    for (const part of ["`$undo/hotel` failed 3 times", "the provider does not cancel", "resume"]) assert.ok(sentence.includes(part), sentence);
    assert.equal(world.provider.asked(HOTEL), 3);
    assert.deepEqual(world.provider.done, [...BOOKED, UNDONE[0]], "nothing is undone behind the back of one that failed");

    // Once more, which fails once more.
    assert.equal((await world.cli("resume", run.id)).code, 0);
    await until("the compensation was tried once more", () => world.provider.asked(HOTEL) === 4);
    await until("the run is held again", async () => (await world.run(run)).status === "paused");

    const settled = await world.cli("settle", run.id, "$undo/hotel", '{"by":"ann"}', "--json");
    assert.equal(settled.code, 0, settled.err);
    const result = await world.result(run);
    assert.deepEqual([result.status, result.err.name], ["failed", "Refused"]);
    assert.deepEqual(world.provider.done, [...BOOKED, UNDONE[0], UNDONE[2]]);
    const undo = await world.entry(run, "$undo/hotel");
    assert.deepEqual([undo.ok, undo.attempts.length], [{ by: "ann" }, 4]);
  });

  test(`${mode}: a compensation that can be made again is made when the run is resumed`, async () => {
    world.provider.refuse(HOTEL);
    const run = await unpaid(mode);
    await world.reaches(run, "paused");
    world.provider.allow(HOTEL);
    await world.client.run(run.id).resume();
    assert.equal((await world.result(run)).status, "failed");
    assert.deepEqual(world.provider.done, [...BOOKED, ...UNDONE]);
  });

  test(`${mode}: a cancelled trip is undone: while it waits, and in the middle of a booking`, async () => {
    const waiting = await world.start(mode, "trip");
    await world.entry(waiting, "board", ({ status }) => status === "waiting");
    await waiting.cancel();
    assert.equal((await world.result(waiting)).status, "cancelled");
    assert.deepEqual(world.provider.done, [...BOOKED, "pay", ...UNDONE]);

    world.provider.reset();
    const reached = world.provider.hold("book car");
    const busy = await world.start(mode, "trip");
    await reached;
    await busy.cancel();
    // Who cannot be told meanwhile is told when the booking is through.
    if (mode === "respond") world.provider.release("book car");
    const result = await world.result(busy);
    world.provider.release("book car");
    assert.deepEqual([result.status, result.err.name], ["cancelled", "CancelledError"]);
    const [, , , ...undone] = world.provider.done;
    // A booking whose answer nobody waited for any more is not known to have been made.
    assert.deepEqual(undone, mode === "respond" ? UNDONE : UNDONE.slice(1));
  });

  for (const dies of ["handler", "server"]) {
    test(`${mode}: the ${dies} dies between two compensations, and each is made once`, async () => {
      const reached = world.provider.hold(HOTEL);
      const run = await unpaid(mode);
      await reached;
      // The hotel is cancelled, and nobody has heard of it.
      if (dies === "handler") {
        await world.killHandlers();
        world.provider.release(HOTEL);
        await world.startHandlers();
      } else {
        await world.killServer();
        await world.startServer();
        world.provider.release(HOTEL);
      }
      const result = await world.result(run);
      assert.deepEqual([result.status, result.err.name], ["failed", "Refused"]);
      assert.deepEqual(world.provider.done, [...BOOKED, ...UNDONE]);
      const keys = world.provider.calls.filter(({ what }) => what.startsWith("cancel")).map(({ key }) => key);
      assert.deepEqual([...new Set(keys)], ["car", "hotel", "flight"].map((what) => `${run.id}/$undo/${what}`));
      if (dies === "handler") assert.equal(world.provider.asked(HOTEL), 2, "who cannot know whether it was done asks again");
    });
  }
}
