/**
 * Workers in `workerd`, the runtime that Cloudflare runs: a bundle as `wrangler` makes it, and the configuration around it.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { platformBinary } from "./binaries.mjs";
import { Process } from "./processes.mjs";

/** Starts a Worker; `env` are its bindings, `port` where it listens. */
export async function startWorker(entry, { APP, SECOND, PORT, ...env }, flags = []) {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-worker-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  // No modules of Node are left to import: one that crept in would not resolve.
  await build({
    entryPoints: [fileURLToPath(new URL(`../hosts/${entry}`, import.meta.url))],
    outfile: join(folder, "worker.js"),
    bundle: true,
    format: "esm",
    conditions: ["workerd", "worker", "browser"],
    define: { APP: JSON.stringify(APP), SECOND: JSON.stringify(SECOND ?? "") },
    logLevel: "silent",
  });
  const bindings = Object.entries(env).map(([name, value]) =>
    typeof value === "string" ? `(name = "${name}", text = ${JSON.stringify(value)})` : `(name = "${name}", json = ${JSON.stringify(JSON.stringify(value))})`,
  );
  writeFileSync(
    join(folder, "config.capnp"),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = ["public", "private", "local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${PORT}", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "worker.js")],
  compatibilityDate = "2026-11-01",
  compatibilityFlags = ${JSON.stringify(flags)},
  bindings = [${bindings.join(", ")}],
);
`,
  );
  // The runtime says on a pipe of its own where it listens.
  const worker = new Process(entry, platformBinary("workerd"), ["serve", "config.capnp", "--control-fd=3"], { cwd: folder, pipes: 1 });
  const [, port] = await worker.printed(/"event":"listen","socket":"http","port":(\d+)/);
  worker.url = `http://127.0.0.1:${port}/api/backstitch`;
  return worker;
}
