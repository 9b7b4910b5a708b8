/**
 * The runtimes that npm packages bring as binaries for this machine. They are found where the package for the platform has them: no
 * install script has to run.
 */
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const PLACES = {
  bun: ["@oven", /^bun-/, "bin/bun"],
  deno: ["@deno", /./, "deno"],
  workerd: ["@cloudflare", /^workerd-/, "bin/workerd"],
};

/** Where the binary of `bun`, `deno` or `workerd` is. */
export function platformBinary(name) {
  const [scope, pattern, path] = PLACES[name];
  const folder = new URL(`../node_modules/${scope}/`, import.meta.url);
  const packages = existsSync(folder) ? readdirSync(folder).filter((one) => pattern.test(one)).sort() : [];
  // The first in order is the one for ordinary processors; others are made for older ones.
  const found = packages.map((one) => fileURLToPath(new URL(`${one}/${path}`, folder))).find((file) => existsSync(file));
  if (found === undefined) throw new Error(`the package of ${name} has no binary for this machine: run \`npm ci --ignore-scripts\` in tests/hosts, with optional dependencies`);
  return found;
}
