/** What is copied can be pasted: quoting holds for every payload. */
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import type { Run } from "../api/types.ts";
import { asTest, curl, shell, startAsCommand } from "./code.ts";
import { entry } from "./waterfall.test.ts";

const nasty = `it's "$HOME" \`id\` \\ <b>\n!x`;
const run = { id: "run_1", app: "shop", function: "send-mail", status: "completed", trigger: "call", input: { text: nasty }, ok: { sent: true } } as unknown as Run;

test("a real shell gives back what was quoted", () => expect(execFileSync("sh", ["-c", `printf %s ${shell(nasty)}`]).toString()).toBe(nasty));
test("plain words stay plain", () => expect(shell("http://127.0.0.1:8484/v1")).toBe("http://127.0.0.1:8484/v1"));

test("a curl line has the body, and a key from the environment only", () => {
  const line = curl({ method: "POST", url: "http://h/v1/events", body: { a: "it's" } }, true);
  const words = execFileSync("sh", ["-c", `for word in ${line.replace("curl ", "").replace('"authorization: Bearer $BACKSTITCH_KEY"', "KEY")}; do printf '%s\\n' "$word"; done`]).toString().trim().split("\n");
  expect(words).toEqual(["-X", "POST", "http://h/v1/events", "-H", "KEY", "-H", "content-type: application/json", "-d", '{"a":"it\'s"}']);
});

test("a command starts the function with its input", () => expect(startAsCommand(run)).toMatch(/^backstitch call shop\/send-mail '/));

test("a test has the input, each step's outcome, the signals, and the end", () => {
  const text = asTest(run, [entry("charge", "step", 0, 1, { ok: { id: 1 } }), entry("reserve", "step", 0, 1, { err: { name: "OutOfStock", message: "none" } }), entry("approval", "waitSignal", 0, 1, { ok: { by: "ann" }, params: { signal: "approve" } })]);
  expect(text).toContain(`import { sendMail } from "./send-mail.js";`);
  expect(text).toContain(`"charge": {`);
  expect(text).toContain(`{ name: "OutOfStock" }`);
  expect(text).toContain(`run.signal(signal("approve"), {`);
  expect(text).toContain(`assert.deepEqual(await run.result(), {`);
  expect(asTest({ ...run, status: "failed", err: { name: "Boom" } }, [])).toContain(`=== "Boom"`);
});
