/** Children with real handlers: what becomes of them when their parent ends, and what crosses between apps that serve in different ways. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { MODES, until, World } from "./world.mjs";

let world;
before(async () => (world = await World.open("children.app.mjs")));
afterEach(() => world.reset());
after(() => world.close());

/** The run of a child, once its parent's entry has one and it waits. */
async function childOf(parent, entry) {
  const { child } = await world.entry(parent, entry, ({ child }) => child !== null);
  const run = world.client.run(child);
  await world.entry(run, "end", ({ status }) => status === "waiting");
  return run;
}

/** A parent whose child waits. */
async function family(mode, parentClose) {
  const parent = await world.start(mode, "parent", parentClose);
  return { parent, child: await childOf(parent, "child") };
}

for (const mode of MODES) {
  test(`${mode}: a child is cancelled when its parent ends first, and undoes what it did`, async () => {
    const { parent, child } = await family(mode, "cancel");
    await parent.signal("end");
    assert.equal((await world.result(parent)).ok, "parent");
    assert.equal((await world.result(child)).status, "cancelled");
    assert.deepEqual(world.provider.done, ["work cancel", "undo cancel"]);
  });

  test(`${mode}: an abandoned child goes on without its parent`, async () => {
    const { parent, child } = await family(mode, "abandon");
    await parent.signal("end");
    assert.equal((await world.result(parent)).ok, "parent");
    await child.signal("end", 7);
    assert.deepEqual((await world.result(child)).ok, { child: "abandon", data: 7 });
    assert.deepEqual(world.provider.done, ["work abandon"]);
  });

  test(`${mode}: a parent waits with its end for a child that it said it would wait for`, async () => {
    const { parent, child } = await family(mode, "wait");
    await parent.signal("end");
    await world.entry(parent, "end", ({ status }) => status === "settled");
    assert.equal((await world.run(parent)).endedAt, null);
    await child.signal("end", 8);
    assert.deepEqual((await world.result(child)).ok, { child: "wait", data: 8 });
    assert.equal((await world.result(parent)).ok, "parent");
  });

  test(`${mode}: a cancelled parent takes its child with it; a killed one, too`, async () => {
    for (const act of ["cancel", "kill"]) {
      const { parent, child } = await family(mode, "cancel");
      await parent[act]();
      assert.equal((await world.result(parent)).status, "cancelled");
      assert.equal((await world.result(child)).status, "cancelled");
    }
    assert.deepEqual(world.provider.done, ["work cancel", "undo cancel", "work cancel", "undo cancel"], "a child is asked, however its parent ended");
  });

  test(`${mode}: a child of another app gives its result, its error, or no answer in time`, async () => {
    const call = async (what) => world.result(await world.start(mode, "calls", what));
    assert.deepEqual((await call("double")).ok, { twice: 42, at: "1970-01-01T00:00:00.000Z", by: "invoke" });
    assert.deepEqual((await call("fails")).ok.error, { name: "OutOfStock", message: "no lamps", code: "E7", data: { left: 0 } });
    assert.equal((await call("slow")).ok.name, "Timeout");
    assert.deepEqual((await call("many")).ok, [2, 4, 6, 8, 10, 12, 14, 16]);
  });

  test(`${mode}: who cancels a child tells its parent; a detached one lives on`, async () => {
    const parent = await world.start(mode, "calls", "cancelled");
    const child = await childOf(parent, "cancelled");
    const view = await world.run(child);
    assert.deepEqual([view.parent.run, view.root, view.app], [parent.id, parent.id, MODES.find((app) => app !== mode)]);
    await child.cancel();
    const { ok } = await world.result(parent);
    assert.deepEqual([ok.name, ok.error.name], ["ChildCancelled", "CancelledError"]);

    const { ok: id } = await world.result(await world.start(mode, "calls", "detached"));
    const detached = world.client.run(id);
    await until("it works", () => world.provider.done.includes("work detached"));
    await detached.signal("end", 9);
    assert.deepEqual((await world.result(detached)).ok, { child: "detached", data: 9 });
  });

  test(`${mode}: a child that ends while nobody is there is not lost`, async () => {
    const { parent, child } = await family(mode, "wait");
    await parent.signal("end");
    await world.killHandlers();
    await child.signal("end", 10);
    await world.killServer();
    await Promise.all([world.startServer(), world.startHandlers()]);
    assert.deepEqual((await world.result(child)).ok, { child: "wait", data: 10 });
    assert.equal((await world.result(parent)).ok, "parent");
  });
}
