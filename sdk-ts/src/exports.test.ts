/** The package as it is published: what it exports, what it depends on, what it weighs. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { test } from "node:test";

const root = new URL("../", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL("package.json", root), "utf8"));

const SURFACE: Record<string, string[]> = {
  backstitch: [
    "AnyFailed", "Backstitch", "CancelledError", "FetchResponse", "MapFailed", "MisuseError", "NestedStepError", "NonRetriableError", "RetryAfterError", "SchemaError", "StepError",
    "UnserializableError", "event", "exclusive", "functionRef", "objectRef", "shared", "signal", "update",
  ],
  "backstitch/client": ["Client", "ClientError", "JobHandle", "RunFailedError", "RunHandle", "RunNotFinishedError", "ScheduleHandle", "Transcript", "UpdateNotAnswered", "UpdateRejected"],
  "backstitch/fetch": ["serve"],
  "backstitch/node": ["listener", "serve"],
  "backstitch/express": ["serve"],
  "backstitch/fastify": ["serve"],
  "backstitch/koa": ["serve"],
  "backstitch/hono": ["serve"],
  "backstitch/next": ["serve"],
  "backstitch/next/pages": ["serve"],
  "backstitch/lambda": ["serve", "serveStream"],
  "backstitch/workers": ["serve"],
  "backstitch/bun": ["serve"],
  "backstitch/deno": ["serve"],
  "backstitch/react": ["useStream"],
  "backstitch/testing": ["DevClock", "NotCrashSafe", "TestRun", "TestRunError", "TestUpdateError", "crashEverywhere", "devClock", "effect", "testRun"],
};

/** Bytes of JavaScript that a handler loads through `backstitch` and an adapter, comments included: what edge hosts start with. */
const HANDLER_BYTES_MAX = 200_000;

test("each subpath exports its surface and nothing else", async () => {
  assert.deepEqual(Object.keys(manifest.exports).sort(), [...Object.keys(SURFACE).map((name) => name.replace("backstitch", ".")), "./package.json"].sort());
  for (const [name, names] of Object.entries(SURFACE)) {
    const module = await import(name);
    assert.deepEqual(Object.keys(module).sort(), names, name);
  }
});

test("there are no runtime dependencies, and the types are where the manifest says", () => {
  assert.equal(manifest.dependencies, undefined);
  assert.deepEqual(Object.keys(manifest.devDependencies), ["@types/node", "@types/react", "@types/react-dom", "happy-dom", "react", "react-dom", "typescript"]);
  assert.deepEqual([manifest.peerDependencies, manifest.peerDependenciesMeta], [{ react: ">=18" }, { react: { optional: true } }]);
  for (const entry of Object.values<any>(manifest.exports)) {
    if (typeof entry === "string") continue;
    for (const file of [entry.types, entry.default]) assert.ok(statSync(new URL(file, root)).isFile());
  }
});

/** The subpaths that may use modules of Node: where there is nothing else. The others are loaded by hosts that have none. */
const ON_NODE = ["backstitch/node", "backstitch/express", "backstitch/fastify", "backstitch/koa", "backstitch/next/pages", "backstitch/lambda"];

/** Every file that a subpath loads, with its source. Anything that is imported from outside of the package is handed to `outside`. */
function loadedBy(entry: string, outside: (from: string, file: string) => void): Map<string, string> {
  const sources = new Map<string, string>();
  const visit = (file: URL): void => {
    if (sources.has(file.href)) return;
    const source = readFileSync(file, "utf8");
    sources.set(file.href, source);
    for (const [, from = ""] of source.matchAll(/(?:from|import) ?\(?"([^"]+)"/g)) {
      if (from.startsWith(".")) visit(new URL(from, file));
      else outside(from, file.pathname);
    }
  };
  visit(new URL(manifest.exports[entry.replace("backstitch", ".")].default, root));
  return sources;
}

test("only adapters of Node import from Node, and nothing imports anything else", () => {
  for (const entry of Object.keys(SURFACE)) {
    const reached: string[] = [];
    loadedBy(entry, (from, file) => {
      if (from === "react" && entry === "backstitch/react") return;
      assert.ok(from.startsWith("node:") && ON_NODE.includes(entry), `${entry} loads ${file}, which imports ${from}`);
      reached.push(from);
    });
    assert.equal(reached.length > 0, ON_NODE.includes(entry), entry);
  }
});

test("what a handler loads stays small, on every host", () => {
  for (const entry of Object.keys(SURFACE).filter((name) => !/client|react|testing/.test(name))) {
    const files = new Map([...loadedBy("backstitch", () => undefined), ...loadedBy(entry, () => undefined)]);
    const bytes = [...files.values()].reduce((sum, source) => sum + source.length, 0);
    assert.ok(bytes < HANDLER_BYTES_MAX, `${entry}: ${bytes} bytes`);
  }
});

test("what is packed has no tests in it", () => {
  const [packed] = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json"], { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  const names = packed.files.map((f: { path: string }) => f.path) as string[];
  assert.ok(names.includes("dist/index.js") && names.includes("dist/index.d.ts") && names.includes("README.md"));
  assert.deepEqual(names.filter((n) => n.includes(".test.") || n.startsWith("src/")), []);
});
