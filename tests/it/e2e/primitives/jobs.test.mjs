/** Jobs with real runs, by the TypeScript client: count first, progress, stop, and a server that is killed under one. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { MODES, until, World } from "./world.mjs";

let world;
before(async () => (world = await World.open("jobs.app.mjs")));
afterEach(() => world.reset());
after(() => world.close());

/** Runs that go through several pages of a job. */
const MANY = 1_000;

/** Ids of the runs that a filter finds, all pages of them. */
async function find(query) {
  const ids = [];
  for (let cursor = ""; ; ) {
    const { items, next } = await world.get(`/v1/runs?limit=200&${query}${cursor}`);
    ids.push(...items.map(({ id }) => id));
    if (next === null) return ids;
    cursor = `&cursor=${encodeURIComponent(next)}`;
  }
}

const count = async (query) => (await find(query)).length;

/** Many runs that nobody has taken up: their function is paused. */
async function many(mode) {
  assert.equal((await world.cli("functions", "pause", `${mode}/waits`)).code, 0);
  const since = (await world.get("/healthz")).time;
  const events = Array.from({ length: MANY }, (_, n) => ({ name: `${mode}/much`, data: n }));
  assert.equal((await world.ask("POST", "/v1/events", events)).status, 202);
  return { app: mode, function: "waits", since };
}

for (const mode of MODES) {
  test(`${mode}: failed runs are counted, retried as one job, and not a second time`, async () => {
    world.provider.refuse("work");
    const runs = await Promise.all(Array.from({ length: 20 }, (_, n) => world.start(mode, "flaky", n)));
    for (const run of runs) assert.equal((await world.result(run)).status, "failed");
    world.provider.allow("work");

    const retry = { action: "retry", filter: { app: mode, function: "flaky", status: "failed" } };
    assert.equal(await world.client.job({ ...retry, dryRun: true }), 20);
    assert.equal(await count(`app=${mode}&function=flaky`), 20, "counting changes nothing");
    const job = await world.client.job(retry);
    const { status, total, done, failed } = await job.ended({ wait: "30s" });
    assert.deepEqual({ status, total, done, failed }, { status: "done", total: 20, done: 20, failed: 0 });
    for (const { id } of runs) {
      const { items } = await world.get(`/v1/runs?previous=${id}`);
      assert.equal(items.length, 1);
      assert.equal((await world.result(items[0])).status, "completed");
    }
    assert.equal(world.provider.asked("prepare"), 20, "what went well is kept");

    const again = await (await world.client.job(retry)).ended({ wait: "30s" });
    assert.deepEqual([again.status, again.failed], ["done", 0]);
    assert.equal(await count(`app=${mode}&function=flaky`), 40, "what was retried is not retried again");
    assert.deepEqual((await world.client.jobOf(job.id).status()).done, 20, "a job can be looked up");
  });

  test(`${mode}: completed runs are forked from an entry, as one job`, async () => {
    const since = (await world.get("/healthz")).time;
    const runs = await Promise.all([1, 2, 3].map((n) => world.start(mode, "flaky", n)));
    for (const run of runs) await world.result(run);
    const filter = { app: mode, function: "flaky", status: "completed", since };
    const said = await (await world.client.job({ action: "fork", filter, options: { at: "work" } })).ended({ wait: "30s" });
    assert.deepEqual([said.done, said.failed], [3, 0]);
    for (const run of runs) {
      const [fork] = (await world.get(`/v1/runs?previous=${run.id}`)).items;
      assert.equal((await world.result(fork)).status, "completed");
      assert.deepEqual((await world.entries(fork)).map(({ id, copied }) => [id, copied === true]), [["prepare", true], ["work", false]]);
    }
  });

  test(`${mode}: a job that is stopped leaves the rest alone, and another one goes on with it`, async () => {
    const filter = await many(mode);
    const job = await world.client.job({ action: "cancel", filter });
    await job.stop();
    const said = await job.status();
    assert.deepEqual([said.status, said.total], ["stopped", MANY]);
    assert.ok(said.done < MANY, `it was stopped after ${said.done}`);
    const left = await count(`app=${mode}&function=waits&status=ready&since=${filter.since}`);
    assert.equal(left, MANY - said.done, "what it says that it has done it has done, and nothing else");
    const rest = await (await world.client.job({ action: "cancel", filter })).ended({ wait: "60s" });
    assert.deepEqual([rest.total, rest.done, rest.failed], [left, left, 0]);
    assert.equal(await count(`app=${mode}&function=waits&status=cancelled&since=${filter.since}`), MANY);
  });

  test(`${mode}: a job goes on where it was when the server is killed`, async () => {
    const filter = await many(mode);
    const job = await world.client.job({ action: "cancel", filter });
    await until("the job has begun", async () => (await job.status()).done > 0);
    await world.killServer();
    await world.startServer();
    const { status, total, done, failed } = await job.ended({ wait: "60s" });
    assert.deepEqual({ status, total, failed }, { status: "done", total: MANY, failed: 0 });
    assert.ok(done <= MANY, `${done} were counted, a page of them twice`);
    assert.equal(await count(`app=${mode}&function=waits&status=cancelled&since=${filter.since}`), MANY);
  });

  test(`${mode}: a paused function's runs go on when it is resumed, and can be cancelled in bulk`, async () => {
    await world.cli("functions", "resume", `${mode}/waits`);
    const since = (await world.get("/healthz")).time;
    const runs = await Promise.all([1, 2, 3, 4].map(() => world.start(mode, "waits")));
    for (const run of runs) await world.entry(run, "go", ({ status }) => status === "waiting");
    const started = await world.cli("jobs", "start", "cancel", "--function", `${mode}/waits`, "--since", since, "--json");
    const said = await world.client.jobOf(started.out.id).ended({ wait: "30s" });
    assert.deepEqual([said.total, said.done], [4, 4]);
    for (const run of runs) assert.equal((await world.result(run)).status, "cancelled");
  });
}
