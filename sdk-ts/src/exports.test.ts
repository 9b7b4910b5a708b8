/** The package as it is published: what it exports, what it depends on, what it weighs. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { test } from "node:test";

const root = new URL("../", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL("package.json", root), "utf8"));

const SURFACE: Record<string, string[]> = {
  backstitch: [
    "AnyFailed", "Backstitch", "CancelledError", "MapFailed", "MisuseError", "NestedStepError", "NonRetriableError", "RetryAfterError", "SchemaError", "StepError",
    "UnserializableError", "event", "exclusive", "functionRef", "objectRef", "shared", "signal", "update",
  ],
  "backstitch/client": ["Client", "ClientError", "JobHandle", "RunFailedError", "RunHandle", "RunNotFinishedError", "UpdateNotAnswered", "UpdateRejected"],
  "backstitch/fetch": ["serve"],
  "backstitch/node": ["listener", "serve"],
  "backstitch/testing": ["TestRun", "TestRunError", "TestUpdateError", "testRun"],
};

/** Bytes of JavaScript that a handler loads through `backstitch` and `backstitch/fetch`, comments included: what edge hosts start with. */
const HANDLER_BYTES_MAX = 160_000;

test("each subpath exports its surface and nothing else", async () => {
  assert.deepEqual(Object.keys(manifest.exports).sort(), [...Object.keys(SURFACE).map((name) => name.replace("backstitch", ".")), "./package.json"].sort());
  for (const [name, names] of Object.entries(SURFACE)) {
    const module = await import(name);
    assert.deepEqual(Object.keys(module).sort(), names, name);
  }
});

test("there are no runtime dependencies, and the types are where the manifest says", () => {
  assert.equal(manifest.dependencies, undefined);
  assert.deepEqual(Object.keys(manifest.devDependencies), ["@types/node", "typescript"]);
  for (const entry of Object.values<any>(manifest.exports)) {
    if (typeof entry === "string") continue;
    for (const file of [entry.types, entry.default]) assert.ok(statSync(new URL(file, root)).isFile());
  }
});

test("only the Node adapter imports from Node", () => {
  const files = readdirSync(new URL("dist/", root), { recursive: true, encoding: "utf8" }).filter((f) => f.endsWith(".js") && !f.includes(".test."));
  assert.ok(files.length > 20);
  let bytes = 0;
  for (const file of files) {
    const source = readFileSync(new URL(`dist/${file}`, root), "utf8");
    if (!/^(client|testing|adapter\/node)/.test(file)) bytes += source.length;
    for (const [, from] of source.matchAll(/from "([^"]+)"/g)) {
      assert.ok(from?.startsWith(".") || (file.startsWith("adapter/node") && from?.startsWith("node:")), `${file} imports ${from}`);
    }
  }
  assert.ok(bytes < HANDLER_BYTES_MAX, `${bytes} bytes`);
});

test("what is packed has no tests in it", () => {
  const [packed] = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json"], { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  const names = packed.files.map((f: { path: string }) => f.path) as string[];
  assert.ok(names.includes("dist/index.js") && names.includes("dist/index.d.ts") && names.includes("README.md"));
  assert.deepEqual(names.filter((n) => n.includes(".test.") || n.startsWith("src/")), []);
});
