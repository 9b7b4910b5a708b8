/** A function that changes while it has runs: its handlers are stopped and started with other code, at the same address. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { MODES, until, World } from "./world.mjs";

let world;
before(async () => (world = await World.open("versions.app.mjs", { VERSION: "first" })));
afterEach(() => world.reset());
after(() => world.close());

/** Stops the handlers and starts a version of them. `name` is what the host calls it, if it does: only so the server sees that it is another. */
async function deploy(VERSION, name) {
  await world.killHandlers();
  await world.startHandlers({ VERSION, ...(name === undefined ? {} : { BACKSTITCH_VERSION: name }) });
  for (const mode of MODES) await world.register(mode);
}

const waits = (run) => world.entry(run, "go", ({ status }) => status === "waiting");

async function started(mode) {
  const run = await world.start(mode, "order");
  await waits(run);
  return run;
}

async function shipped(run) {
  await run.signal("go");
  const result = await world.result(run);
  return result.ok ?? result;
}

for (const mode of MODES) {
  test(`${mode}: a patch takes new runs the new way, and old runs the old way, until it can be cleaned away`, async () => {
    await deploy("first");
    const old = await started(mode);
    await deploy("patched");
    const patched = [await started(mode), await started(mode), await started(mode)];
    assert.equal(await shipped(old), "shipped, patched, unchecked");
    assert.equal(await shipped(patched[0]), "shipped, patched, checked");
    await deploy("cleaned");
    const cleaned = [await started(mode), await started(mode)];
    assert.equal(await shipped(patched[1]), "shipped, cleaned", "a marker fits");
    assert.equal(await shipped(cleaned[0]), "shipped, cleaned");
    await deploy("last");
    assert.equal(await shipped(cleaned[1]), "shipped, last");
    assert.equal(await shipped(await started(mode)), "shipped, last");
    assert.equal(world.provider.asked("check"), 6, "each run that was to be checked was, once");
  });

  test(`${mode}: code that contradicts the journal parks the run with both sides shown, and it goes on when the code fits`, async () => {
    await deploy("first");
    const run = await started(mode);
    await deploy("wrong");
    await run.signal("go");
    await world.reaches(run, "paused");
    const { hold, sentence } = await world.explain(run);
    assert.equal(hold.kind, "mismatch", sentence);
    for (const part of ["`reserve`", "the journal has step", "the code asks for sleep"]) assert.ok(sentence.includes(part), sentence);
    assert.deepEqual(await world.story(run), ["reserve ok", "go ok"], "nothing was done");
    // The server was asked to look at the app again, so it tries.
    await deploy("first");
    assert.equal((await world.result(run)).ok, "shipped, first");
  });

  test(`${mode}: while versions roll out, a contradiction heals by itself, and says what it is meanwhile`, async () => {
    await deploy("first", "v1");
    const run = await started(mode);
    await deploy("wrong", "v2");
    await run.signal("go");
    const { sentence } = await until("the run says what is wrong", async () => {
      const said = await world.explain(run);
      return said.sentence.includes("Mismatch") ? said : undefined;
    }, () => world.explain(run));
    for (const part of ["`reserve`", "the journal has step", "the code asks for sleep"]) assert.ok(sentence.includes(part), sentence);
    await deploy("patched", "v3");
    const result = await world.result(run);
    assert.equal(result.ok, "shipped, patched, unchecked");
  });
}
