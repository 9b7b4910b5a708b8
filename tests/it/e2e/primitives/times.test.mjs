/** Time-outs and heartbeats with a real handler, and with its end in the middle of a step. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { MODES, until, World } from "./world.mjs";

let world;
before(async () => (world = await World.open("times.app.mjs")));
afterEach(() => world.reset());
after(() => world.close());

const ROWS = [1, 2, 3, 4, 5, 6].map((row) => `row ${row}`);

for (const mode of MODES) {
  test(`${mode}: an attempt that takes too long is stopped and made again`, async () => {
    const run = await world.start(mode, "slow");
    assert.equal((await world.result(run)).ok, "attempt 3");
    const { attempts } = await world.entry(run, "slow");
    assert.deepEqual(attempts.map(({ error }) => error.name), ["Timeout", "Timeout"]);
    for (const { startedAt, endedAt } of attempts) assert.ok(Date.parse(endedAt) - Date.parse(startedAt) >= 99, "not early");
  });

  test(`${mode}: scheduleToClose ends a step over all attempts, and says what went wrong last`, async () => {
    world.provider.refuse("hope");
    const run = await world.start(mode, "hopeless");
    const { status, err } = await world.result(run);
    assert.deepEqual([status, err.name, err.data?.lastError?.name], ["failed", "Timeout", "Refused"], JSON.stringify(err));
    const { attempts } = await world.entry(run, "hopeless");
    assert.ok(attempts.length >= 2 && attempts.length <= 8, `${attempts.length} attempts in 400 ms`);
  });

  test(`${mode}: a body that gives no sign of life is stopped, and the next attempt goes on where it was`, async () => {
    const run = await world.start(mode, "copy", "silent");
    assert.deepEqual((await world.result(run)).ok, { attempt: 2, from: 3 });
    assert.deepEqual(world.provider.calls.map(({ what }) => what), ROWS, "no row is copied twice");
    const { attempts } = await world.entry(run, "rows");
    assert.match(attempts[0].error.message, /no heartbeat for 300 ms/);
  });

  test(`${mode}: a run that takes too long fails with Timeout, and is undone`, async () => {
    const run = await world.start(mode, "deadline");
    const result = await world.result(run);
    assert.deepEqual([result.status, result.err.name], ["failed", "Timeout"]);
    assert.equal((await world.entry(run, "begin")).ok, 1_000, "the handler knows its deadline");
    assert.deepEqual(world.provider.done, ["undo"]);
    const { startedAt, endedAt } = await world.run(run);
    assert.ok(Date.parse(endedAt) - Date.parse(startedAt) >= 1_000, "not early");
  });

  test(`${mode}: a run that nobody takes up in time fails, and is not begun later`, async () => {
    await world.killHandlers();
    const run = await world.start(mode, "late");
    const result = await world.result(run);
    assert.deepEqual([result.status, result.err.name], ["failed", "Timeout"]);
    await world.startHandlers();
    // The server tries now and then whether somebody is there again.
    await world.result(await world.start(mode, "slow"));
    assert.equal((await world.result(await world.start(mode, "late"))).ok, "taken up");
    assert.deepEqual(await world.entries(run), []);
  });
}

test("checkpoint: what a body said last is known to the next attempt, also when the handler is killed", async () => {
  const reached = world.provider.hold("pause");
  const run = await world.start("checkpoint", "copy");
  await reached;
  await world.entry(run, "rows", ({ details }) => details === 3);
  await world.killHandlers();
  world.provider.release("pause");
  await world.startHandlers();
  // The killed process took its attempt with it: it never failed, so it is the same attempt once more.
  assert.deepEqual((await world.result(run)).ok, { attempt: 1, from: 3 });
  assert.deepEqual(world.provider.calls.map(({ what }) => what).filter((what) => what !== "pause"), ROWS);
});

test("respond: a handler that cannot report is killed, and the next attempt begins anew", async () => {
  const reached = world.provider.hold("pause");
  const run = await world.start("respond", "copy");
  await reached;
  await world.killHandlers();
  world.provider.release("pause");
  await world.startHandlers();
  assert.equal((await world.result(run)).ok.from, 0);
  // The provider knows the rows by their keys.
  assert.deepEqual(world.provider.done.filter((what) => what !== "pause"), ROWS);
  await until("each was copied", () => world.provider.asked("row 1") === 2);
});
