/**
 * The world of the tests in this folder: the real server, real handlers in a process of their own, a client, and a provider in the test's own
 * process. Server and handlers can be killed by SIGKILL at any point, and come back at the addresses that they had.
 *
 * The handlers of a test are served twice: as the app `checkpoint`, which reports while it works, and as the app `respond`, which cannot reach
 * the server. Everything that was started ends with the world.
 */
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Client } from "../../../../sdk-ts/dist/client/index.js";
import { functionRef } from "../../../../sdk-ts/dist/index.js";
import { Provider } from "./provider.mjs";

/** The two ways in which handlers speak to a server; also the ids of the apps. */
export const MODES = ["checkpoint", "respond"];

/** How long a test waits for anything before it gives up, and between two looks. */
const PATIENCE_MS = 60_000;
const LOOK_MS = 20;
/** Ports are taken from here on: below those that the system gives away, above those that the tests in Rust take. */
const PORTS = { from: 30_100, to: 32_700 };

const alive = new Set();
process.once("exit", () => {
  for (const child of alive) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));

export class World {
  #binary = process.env.BACKSTITCH_BIN;
  #folder = mkdtempSync(join(tmpdir(), "backstitch-e2e-"));
  #handlers;
  #ports;
  #env = {};
  #server;
  #app;

  /** A server, and the handlers of a module whose default export makes an app of an id. */
  static async open(handlers, env = {}) {
    const world = new World();
    world.#handlers = fileURLToPath(new URL(handlers, import.meta.url));
    world.#env = env;
    world.provider = await Provider.open();
    const [server, ...apps] = await Promise.all([1, 2, 3].map(freePort));
    world.#ports = { server, apps };
    world.url = `http://127.0.0.1:${server}`;
    world.client = new Client({ url: world.url });
    try {
      if (world.#binary === undefined) throw new Error("set BACKSTITCH_BIN to the server's binary");
      await Promise.all([world.startServer(), world.startHandlers()]);
      for (const app of MODES) await world.register(app);
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  async close() {
    await Promise.all([this.killServer(), this.killHandlers(), this.provider.close()]);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** After a test: the provider forgets, and whoever is dead comes back, so that a test that failed fails alone. */
  async reset() {
    this.provider.reset();
    if (this.#server.ended) await this.startServer();
    if (this.#app.ended) await this.startHandlers();
  }

  async startServer() {
    this.#server = await start(this.#binary, ["start", "--listen", `127.0.0.1:${this.#ports.server}`, "--data-dir", join(this.#folder, "data")], {}, "http://");
  }

  async killServer() {
    await kill(this.#server);
  }

  /** Starts the handlers, with other variables than before if some are given: other code, as far as they are concerned. */
  async startHandlers(env = this.#env) {
    this.#env = env;
    const ports = Object.fromEntries(MODES.map((mode, i) => [`PORT_${mode}`, this.#ports.apps[i]]));
    this.#app = await start(process.execPath, [SERVE, this.#handlers], { ...env, ...ports, BACKSTITCH_DEV: "1", BACKSTITCH_URL: this.url, PROVIDER: this.provider.url }, "serving");
  }

  async killHandlers() {
    await kill(this.#app);
  }

  /** Tells the server of an app, or that there is news of it. */
  async register(app) {
    const { status, body } = await this.ask("PUT", `/v1/apps/${app}`, { url: `http://127.0.0.1:${this.#ports.apps[MODES.indexOf(app)]}` });
    if (status >= 300) throw new Error(`the app was refused: ${JSON.stringify(body)}`);
    return body;
  }

  /** What the handlers printed. */
  get printed() {
    return this.#app.printed;
  }

  /** Asks the server; gives status and JSON, refusals too. */
  async ask(method, path, body) {
    const init = body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    const response = await fetch(`${this.url}${path}`, { method, ...init });
    const text = await response.text();
    return { status: response.status, body: text === "" ? null : JSON.parse(text) };
  }

  async get(path) {
    const { status, body } = await this.ask("GET", path);
    if (status >= 300) throw new Error(`GET ${path}: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  /** Runs the command line against the server; gives its exit code and what it printed, read as JSON if it is. */
  async cli(...args) {
    const env = { ...process.env, BACKSTITCH_URL: this.url, NO_COLOR: "1" };
    return new Promise((resolve) => {
      execFile(this.#binary, args, { env }, (error, stdout, stderr) => resolve({ code: error?.code ?? 0, out: readJson(stdout), err: stderr }));
    });
  }

  /** Starts a function of an app; the handle of its run. */
  async start(app, fn, input = null, options = {}) {
    return this.client.start(functionRef(`${app}/${fn}`), input, options);
  }

  /** How a run ended: its result as the API tells it. */
  async result(run) {
    for (const until = Date.now() + PATIENCE_MS; Date.now() < until; ) {
      const { status, body } = await this.ask("GET", `/v1/runs/${run.id}/result?wait=10s`);
      if (status === 200) return body;
    }
    throw new Error(`the run has not ended: ${JSON.stringify(await this.explain(run))}\n${JSON.stringify(await this.entries(run), null, 1)}\n${this.printed}`);
  }

  async run(run) {
    return this.get(`/v1/runs/${run.id}`);
  }

  async explain(run) {
    return this.get(`/v1/runs/${run.id}/explain`);
  }

  /** The entries of a run's journal, in order of creation, without its input and its outcome. */
  async entries(run) {
    const { entries } = await this.get(`/v1/runs/${run.id}/journal`);
    return entries.filter(({ id }) => id !== "$input" && id !== "$outcome");
  }

  /** Ids of the entries with what became of them: `ok`, `err`, `timeout`, or where they are. */
  async story(run) {
    return (await this.entries(run)).map((entry) => `${entry.id} ${entry.status !== "settled" ? entry.status : entry.timeout === true ? "timeout" : entry.err === undefined ? "ok" : "err"}`);
  }

  /** The entry of an id, once it is there and is as wanted. */
  async entry(run, id, wanted = () => true) {
    return until(`the entry ${id}`, async () => (await this.entries(run)).find((entry) => entry.id === id && wanted(entry)), () => this.story(run));
  }

  /** The run, once it is in a status. */
  async reaches(run, status) {
    return until(`the run is ${status}`, async () => {
      const view = await this.run(run);
      return view.status === status ? view : undefined;
    }, () => this.explain(run));
  }
}

/** Asks until there is an answer; gives it. */
export async function until(what, ask, otherwise = () => undefined) {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await pause(LOOK_MS)) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
  }
  throw new Error(`${what}: it never was so: ${JSON.stringify(await otherwise(), null, 1)}`);
}

const SERVE = fileURLToPath(new URL("serve.mjs", import.meta.url));

/** A port that nobody has now. */
async function freePort() {
  for (;;) {
    const port = PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from));
    const server = createServer();
    const free = await new Promise((resolve) => server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true)));
    if (free) return new Promise((resolve) => server.close(() => resolve(port)));
  }
}

/** Starts a process and waits until it has printed something. */
async function start(command, args, env, ready) {
  const { BACKSTITCH_KEY: _, ...inherited } = process.env;
  const child = spawn(command, args, { env: { ...inherited, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const started = { child, printed: "", ended: false };
  alive.add(child);
  started.over = new Promise((resolve) => child.once("close", resolve)).then(() => {
    started.ended = true;
    alive.delete(child);
  });
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (started.printed = `${started.printed}${text}`.slice(-20_000)));
  await until(`${command} is there`, () => {
    if (started.ended) throw new Error(`${command} ended while it started:\n${started.printed}`);
    return started.printed.includes(ready);
  }, () => started.printed);
  return started;
}

async function kill(started) {
  started?.child.kill("SIGKILL");
  await started?.over;
}

function readJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
