/**
 * The real server, on a data directory of its own, and the few requests to it that the tests need.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Process } from "./processes.mjs";

const repository = fileURLToPath(new URL("../../..", import.meta.url));
const RESULT_MS_MAX = 60_000;

function binary() {
  const path = process.env.BACKSTITCH_BIN ?? built("backstitch");
  if (!existsSync(path)) throw new Error(`there is no server at ${path}: run \`cargo build --workspace\`, or set BACKSTITCH_BIN`);
  return path;
}

/** Where cargo puts a program of the workspace. */
export function built(program) {
  return join(process.env.CARGO_TARGET_DIR ?? join(repository, "target"), "debug", program);
}

/** A new key, as `backstitch keys new` makes it. */
export function newKey() {
  const printed = execFileSync(binary(), ["keys", "new"], { encoding: "utf8" });
  return /bsk_[\w-]+/.exec(printed)[0];
}

export class Server {
  /** Starts a server that signs with `key`. */
  static async start(key) {
    const server = new Server();
    server.data = mkdtempSync(join(tmpdir(), "backstitch-hosts-"));
    const args = ["start", "--json", "--listen", "127.0.0.1:0", "--durability", "relaxed", "--data-dir", join(server.data, "data")];
    server.process = new Process("backstitch start", binary(), args, { env: { BACKSTITCH_KEY: key }, cwd: server.data });
    server.url = (await server.process.printed(/"url":\s*"([^"]+)"/))[1];
    return server;
  }

  async stop() {
    await this.process.kill();
    rmSync(this.data, { recursive: true, force: true });
  }

  /** The status and the body of what the server answers. */
  async ask(method, path, body) {
    const init = body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
    const response = await fetch(`${this.url}/v1${path}`, { method, ...init });
    const text = await response.text();
    return { status: response.status, body: text === "" ? null : JSON.parse(text) };
  }

  /** Registers an app. */
  async register(app, url) {
    const { status, body } = await this.#register(app, url);
    assert.ok(status < 300, `PUT /v1/apps/${app} ${url}: ${status} ${JSON.stringify(body)}\n${this.process.output}`);
  }

  /** How the server refuses to register an app. */
  async refused(app, url) {
    return this.#register(app, url);
  }

  /** A host that has just been started may be slow to answer: it is asked again. */
  async #register(app, url) {
    for (const until = Date.now() + RESULT_MS_MAX; ; ) {
      const said = await this.ask("PUT", `/apps/${app}`, { url });
      if (said.body.code !== "app_unreachable" || Date.now() > until) return said;
    }
  }

  /** Starts a run; its id. */
  async start(fn, input = null) {
    const { status, body } = await this.ask("POST", `/functions/${fn}/runs`, { input });
    assert.ok(status < 300, `${status} ${JSON.stringify(body)}`);
    return body.id;
  }

  async signal(run, name, data) {
    const { status, body } = await this.ask("POST", `/runs/${run}/signals/${name}`, { data });
    assert.ok(status < 300, `${status} ${JSON.stringify(body)}`);
  }

  /** How a run ended, once it has. */
  async result(run) {
    for (const until = Date.now() + RESULT_MS_MAX; ; ) {
      const { status, body } = await this.ask("GET", `/runs/${run}/result?wait=30s`);
      if (status === 200 && body.status !== "suspended") return body;
      if (Date.now() > until) assert.fail(`the run ${run} has not ended: ${JSON.stringify((await this.ask("GET", `/runs/${run}/explain`)).body)}`);
    }
  }

  /** The one run of a function. */
  async onlyRun(fn) {
    const [app, id] = fn.split("/");
    const { body } = await this.ask("GET", `/runs?app=${app}&function=${id}`);
    assert.equal(body.items?.length, 1, JSON.stringify(body));
    return body.items[0].id;
  }

  /** The run, once `is` holds of it. */
  async run(run, is) {
    for (const until = Date.now() + RESULT_MS_MAX; ; ) {
      const { body } = await this.ask("GET", `/runs/${run}`);
      if (is(body)) return body;
      if (Date.now() > until) assert.fail(`the run never came to that: ${JSON.stringify(body)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
