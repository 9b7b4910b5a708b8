/** Calls that the server makes, with the end of the server, and of the handler, in the middle of one. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { MODES, until, World } from "./world.mjs";

let world;
before(async () => (world = await World.open("fetches.app.mjs")));
afterEach(() => world.reset());
after(() => world.close());

for (const mode of MODES) {
  test(`${mode}: a call survives the server, and is known by its key`, async () => {
    const reached = world.provider.hold("think");
    const run = await world.start(mode, "ask", "think");
    await reached;
    await until("its handler has ended", async () => (await world.run(run)).status === "suspended");
    await world.killServer();
    await world.startServer();
    await until("it is asked again", () => world.provider.asked("think") === 2);
    world.provider.release("think");
    assert.deepEqual((await world.result(run)).ok, { status: 200, said: { id: "think #1" } });
    assert.deepEqual(world.provider.effects.map(({ key }) => key), [`${run.id}/think`], "it was done once");
  });

  test(`${mode}: no handler is needed while the server waits`, async () => {
    const reached = world.provider.hold("think");
    const run = await world.start(mode, "ask", "think");
    await reached;
    await until("its handler has ended", async () => (await world.run(run)).status === "suspended");
    await world.killHandlers();
    const { sentence } = await world.explain(run);
    assert.match(sentence, /It waits for the answer of http:\/\/127.0.0.1:\d+\/ for `think`: the server has been fetching it for \d+ s\./);
    assert.doesNotMatch(sentence, /s3cret/);
    assert.match((await world.cli("run", run.id)).out, /think.*fetching http:\/\/127.0.0.1/);
    world.provider.release("think");
    const { ok } = await world.entry(run, "think", ({ status }) => status === "settled");
    assert.deepEqual([ok.status, JSON.parse(ok.body)], [200, { id: "think #1" }]);
    await world.startHandlers();
    assert.equal((await world.result(run)).ok.status, 200);
    assert.equal(world.provider.asked("think"), 1);
  });

  test(`${mode}: what is no answer is asked for again, and the last answer counts`, async () => {
    world.provider.refuse("think", 2);
    const well = await world.start(mode, "ask", "think");
    assert.equal((await world.result(well)).ok.status, 200);
    const { attempts, failures } = await world.entry(well, "think");
    assert.deepEqual([failures, ...attempts.map(({ error }) => `${error.name} ${error.code}`)], [2, "HttpStatus 503", "HttpStatus 503"]);
    world.provider.refuse("never");
    const badly = await world.start(mode, "ask", "never");
    assert.deepEqual((await world.result(badly)).ok, { status: 503, said: null });
    assert.equal(world.provider.asked("never"), 3);
  });

  test(`${mode}: nobody there is an error that says so`, async () => {
    const { name, code, message } = (await world.result(await world.start(mode, "nobody"))).ok;
    assert.deepEqual([name, code], ["FetchFailed", "unreachable"]);
    assert.match(message, /http:\/\/127.0.0.1:1\/: connection refused/);
  });

  test(`${mode}: credentials are not shown`, async () => {
    const run = await world.start(mode, "ask", "think");
    await world.result(run);
    const { params } = await world.entry(run, "think");
    assert.deepEqual(params.request.headers, { authorization: "(hidden)", "content-type": "application/json", "x-run": run.id });
    assert.match(params.request.url, /what=think&secretKey=\(hidden\)$/);
    assert.doesNotMatch(JSON.stringify(await world.get(`/v1/runs/${run.id}/journal`)), /s3cret/);
  });

  test(`${mode}: a run that has ended waits for nothing`, async () => {
    const reached = world.provider.hold("slow");
    const run = await world.start(mode, "race");
    await reached;
    assert.match((await world.result(run)).ok.id, /quick/);
    const killed = await world.start(mode, "race");
    await world.result(killed);
    world.provider.release("slow");
    assert.equal((await world.run(killed)).status, "completed");
  });
}
