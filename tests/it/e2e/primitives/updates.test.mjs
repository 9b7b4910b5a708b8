/** Updates and statuses with a real handler: the TypeScript client, the REST API and the command line ask, the handler replies. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { UpdateNotAnswered, UpdateRejected } from "../../../../sdk-ts/dist/client/index.js";
import { change } from "./updates.app.mjs";
import { MODES, until, World } from "./world.mjs";

let world;
before(async () => (world = await World.open("updates.app.mjs")));
afterEach(() => world.reset());
after(() => world.close());

const refused = async (asked) => asked.then(() => assert.fail("it was answered"), (error) => error);

for (const mode of MODES) {
  test(`${mode}: an update waits for the reply, and what does not fit is rejected without an end of the wait`, async () => {
    const run = await world.start(mode, "parcel");
    assert.deepEqual(await run.update(change, { city: "Bonn" }), { city: "Bonn", label: "relabel #1" });

    const unfit = await refused(run.update("change", { town: "Bonn" }));
    assert.ok(unfit instanceof UpdateRejected, String(unfit));
    assert.deepEqual([unfit.name, unfit.runId], ["SchemaError", run.id]);
    assert.match(unfit.message, /a city is missing/);

    const unknown = await refused(run.update(change, { city: "Atlantis" }));
    assert.deepEqual([unknown.name, unknown.code, unknown.data], ["Unknown", "E1", { tried: "Atlantis" }]);

    const said = await world.cli("update", run.id, "change", '{"city":"Köln"}', "--json");
    assert.deepEqual([said.code, said.out.ok], [0, { city: "Köln", label: "relabel #2" }], said.err);
    assert.equal((await world.cli("update", run.id, "change", "{}")).code, 1, "a rejection is no success");
    await run.kill();
  });

  test(`${mode}: an update with the id of another changes nothing and gets its reply, at once and later`, async () => {
    const run = await world.start(mode, "parcel");
    const replies = await Promise.all([1, 2, 3].map(() => run.update(change, { city: "Trier" }, { id: "press" })));
    assert.deepEqual(replies, Array(3).fill({ city: "Trier", label: "relabel #1" }));
    await run.update(change, { city: "Mainz" });
    assert.deepEqual(await run.update(change, { city: "other" }, { id: "press" }), { city: "Trier", label: "relabel #1" });
    assert.equal(world.provider.asked("relabel"), 2);
    await run.kill();
  });

  test(`${mode}: an update outlives the patience of whoever sent it, the handler and the server`, async () => {
    const reached = world.provider.hold("relabel");
    const run = await world.start(mode, "parcel");
    const late = await refused(run.update(change, { city: "Jena" }, { id: "slow", wait: "50ms" }));
    assert.ok(late instanceof UpdateNotAnswered, String(late));
    await reached;
    await Promise.all([world.killHandlers(), world.killServer()]);
    world.provider.release("relabel");
    await Promise.all([world.startHandlers(), world.startServer()]);
    assert.deepEqual(await run.update(change, { city: "Jena" }, { id: "slow" }), { city: "Jena", label: "relabel #1" });
    assert.deepEqual([world.provider.done, world.provider.asked("relabel")], [["relabel"], 2]);
    await run.kill();
  });

  test(`${mode}: an update that nobody has answered when the run ends is rejected with RunEnded`, async () => {
    const run = await world.start(mode, "deaf");
    const asked = refused(run.update(change, { city: "Bonn" }));
    await until("the update is there", async () => (await world.get(`/v1/runs/${run.id}/journal`)).signals.length === 1);
    await run.signal("leave");
    assert.deepEqual([(await asked).name, (await asked) instanceof UpdateRejected], ["RunEnded", true]);
    const after = await refused(run.update(change, { city: "Bonn" }));
    assert.equal(after.status, 409, String(after));
  });

  test(`${mode}: what a run shows can be read while it waits and sleeps, and no handler is asked`, async () => {
    const run = await world.start(mode, "parcel");
    const packed = { phase: "packed", city: "Ulm", changes: 0 };
    const shown = await until("the status is there", async () => (await run.status()).value ?? undefined);
    assert.deepEqual(shown, packed);
    await run.update(change, { city: "Bonn", last: true });
    await world.reaches(run, "suspended");
    await world.killHandlers();
    const away = { phase: "on its way", city: "Bonn" };
    assert.deepEqual((await run.status()).value, away);
    assert.deepEqual(await world.get(`/v1/runs/${run.id}/status`), { id: run.id, status: "suspended", value: away });
    const { out } = await world.cli("run", run.id, "--json");
    assert.deepEqual(out.run.value, away, "the command line shows it");
    await world.killServer();
    await world.startServer();
    assert.deepEqual((await run.status()).value, away, "after a restart, too");
    await run.kill();
    assert.deepEqual((await run.status()).value, away, "after the end, too");
    await world.startHandlers();
  });
}
