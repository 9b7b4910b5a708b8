/** The TypeScript of the guides and of this package's page compiles as it stands there: what a reader copies must not be wrong. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "node:test";

const repository = new URL("../../", import.meta.url);
const root = new URL("../", import.meta.url);
const guides = readdirSync(new URL("docs/guides/", repository)).filter((file) => file.endsWith(".md")).map((file) => `docs/guides/${file}`);
const OPTIONS = "--ignoreConfig --noEmit --strict --noUncheckedIndexedAccess --exactOptionalPropertyTypes --skipLibCheck --module NodeNext --moduleResolution NodeNext --target ES2022 --lib ES2023 --types node";

test("what the guides show compiles", { timeout: 60_000 }, () => {
  // Inside the package, so that its name leads to it.
  const folder = new URL("dist/guides/", root);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const files: string[] = [];
  for (const page of [...guides, "sdk-ts/README.md"]) {
    const text = readFileSync(new URL(page, repository), "utf8");
    for (const [i, [, code]] of [...text.matchAll(/^```ts\n(.*?)^```$/gms)].entries()) {
      const file = fileURLToPath(new URL(`${page.replace(/\W/g, "-")}-${i}.ts`, folder));
      writeFileSync(file, `${code}\nexport {};\n`);
      files.push(file);
    }
  }
  assert.ok(files.length >= 8, `only ${files.length} pieces of code were found`);
  try {
    execFileSync(fileURLToPath(new URL("node_modules/.bin/tsc", root)), [...OPTIONS.split(" "), ...files], { encoding: "utf8", stdio: "pipe" });
  } catch (error) {
    assert.fail((error as { stdout: string }).stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
