/** A real server on a free port with a new data folder, real handlers, and what the journeys ask of both. All of it ends with the process. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const READY_MS_MAX = 60_000;
const here = import.meta.dirname;
const alive = new Set();
process.once("exit", () => {
  for (const child of alive) child.kill("SIGKILL");
});

function binary() {
  const repository = join(here, "..", "..", "..");
  const path = process.env.BACKSTITCH_BIN ?? join(process.env.CARGO_TARGET_DIR ?? join(repository, "target"), "debug", "backstitch");
  if (!existsSync(path)) throw new Error(`there is no server at ${path}: run \`make dashboard-test\`, or set BACKSTITCH_BIN`);
  return path;
}

/** Starts a process and returns its first line. */
async function first(command, args, env) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  alive.add(child);
  let output = "";
  child.stderr.on("data", (bytes) => (output = `${output}${bytes}`.slice(-4_000)));
  const line = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${command} did not begin within ${READY_MS_MAX} ms: ${output}`)), READY_MS_MAX);
    createInterface({ input: child.stdout }).once("line", (line) => (clearTimeout(timer), resolve(line)));
    child.once("exit", (code) => (clearTimeout(timer), alive.delete(child), reject(new Error(`${command} ended with ${code}: ${output}`))));
  });
  return { child, line };
}

export async function open() {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-dashboard-"));
  const server = await first(binary(), ["dev", "--listen", "127.0.0.1:0", "--data-dir", folder, "--no-discovery", "--json"], {});
  const { url } = JSON.parse(server.line);
  const shop = await first(process.execPath, [join(here, "shop.mjs")], { PORT: "0", BACKSTITCH_DEV: "1", BACKSTITCH_URL: url });
  const world = {
    url,
    shop: shop.line,
    async call(method, path, body) {
      const response = await fetch(`${url}${path}`, { method, headers: body === undefined ? {} : { "content-type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body) });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
      return text === "" ? null : JSON.parse(text);
    },
    start: async (fn, input, more = {}) => (await world.call("POST", `/v1/functions/shop/${fn}/runs`, { input, ...more })).id,
    send: async (name, data) => (await world.call("POST", "/v1/events", { name, data })).events[0],
    /** Lets handlers pass that wait at this gate. */
    open: (gate) => world.call("POST", "/dev/effects", { name: gate }),
    run: (id) => world.call("GET", `/v1/runs/${id}`),
    /** Waits until a run is as wanted. */
    async until(id, wanted) {
      for (const end = Date.now() + READY_MS_MAX; ; await new Promise((resolve) => setTimeout(resolve, 60))) {
        const run = await world.run(id);
        if (wanted(run)) return run;
        if (Date.now() > end) throw new Error(`run ${id} did not get there: ${JSON.stringify(run)}`);
      }
    },
    stopShop: () => end(shop.child),
    /** Starts a version of another app at an address that is its own, and registers it. */
    async pinned(version) {
      const port = await freePort();
      const env = { PORT: String(port), BACKSTITCH_DEV: "1", BACKSTITCH_URL: url, BACKSTITCH_VERSION: version, BACKSTITCH_DEPLOYMENT_URL: `http://localhost:${port}/` };
      const { child, line } = await first(process.execPath, [join(here, "pinned.mjs")], env);
      await world.call("PUT", "/v1/apps/pinned", { url: line });
      return () => end(child);
    },
    async close() {
      await Promise.all([end(shop.child), end(server.child)]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await world.call("PUT", "/v1/apps/shop", { url: shop.line });
  return world;
}

/** A port that nobody listens on, for who has to know it before. */
async function freePort() {
  const server = createServer().listen(0, "localhost");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

async function end(child) {
  if (!alive.has(child)) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.removeAllListeners("exit");
  child.once("exit", () => alive.delete(child));
  child.kill("SIGTERM");
  const done = new Promise((resolve) => child.once("exit", resolve));
  const timer = setTimeout(() => child.kill("SIGKILL"), 8_000);
  await Promise.race([ended, done]);
  clearTimeout(timer);
}

/** What happened before: an hour in which runs came, went and failed. The clock is moved on between them. */
export async function busyHour(world) {
  for (let n = 0; n < 12; n++) {
    const started = [];
    for (let i = 0; i < 3 + ((n * 5) % 7); i++) started.push(await world.start("report", { regions: ["north", "east", "islands"].slice(i % 3) }));
    if (n % 4 === 1) started.push(await world.start("report", { regions: ["north"], broken: "total" }));
    started.push(await world.start("echo", { n }, { tags: ["hourly"] }));
    for (const id of started) await world.until(id, (run) => run.endedAt !== null);
    await world.call("POST", "/dev/clock/advance", { by: "5m" });
  }
}

/** What a developer finds in the morning: runs of every kind. Returns the ids that the journeys go to. */
export async function morning(world) {
  const ids = {};
  ids.order = (await world.send("order/created", { id: "1001", sku: "lamp", cents: 4_900, express: true, big: 1 })).runs[0].id;
  ids.retried = (await world.send("order/created", { id: "1002", sku: "chair", cents: 12_900 })).runs[0].id;
  ids.failed = (await world.send("order/created", { id: "1003", sku: "vase", cents: 2_500 })).runs[0].id;
  ids.failedToo = (await world.send("order/created", { id: "1004", sku: "vase", cents: 7_500 })).runs[0].id;
  ids.invoice = await world.start("invoice", { number: "R-77" });
  ids.sync = await world.start("sync", {});
  ids.report = await world.start("report", { regions: ["north", "east", "south-west", "islands", "overseas"] });
  ids.broken = await world.start("report", { regions: ["north"], broken: "total" });
  ids.delayed = await world.start("echo", { hello: "later" }, { delay: "2h", runId: "evening-mail" });
  ids.done = await world.start("echo", { hello: "world", n: [1, 2, 3] });
  for (const [key, sku] of [["ann", "lamp"], ["ann", "chair"], ["bob", "vase"]]) await world.call("POST", `/v1/objects/shop/cart/${key}/add`, { input: { sku, cents: 4_900 } });
  await world.until(ids.order, (run) => run.status === "suspended");
  await world.until(ids.retried, (run) => run.status === "suspended");
  await world.until(ids.failed, (run) => run.status === "failed");
  await world.until(ids.failedToo, (run) => run.status === "failed");
  await world.until(ids.broken, (run) => run.status === "failed");
  await world.until(ids.report, (run) => run.status === "completed");
  await world.until(ids.sync, (run) => run.status === "backoff");
  await world.until(ids.invoice, (run) => run.status === "suspended");
  return ids;
}

/** Schedules besides those that the app declares: one that somebody holds, one that the API made. */
export async function schedules(world) {
  await world.call("POST", "/v1/schedules/shop/cleanup-hourly/pause", { note: "the warehouse moves" });
  await world.call("PUT", "/v1/schedules/shop/stock-taking", { function: "echo", cron: "0 22 1 1,7 *", tz: "Europe/Lisbon", overlap: "allow", input: { shelves: [1, 2, 3] } });
}
