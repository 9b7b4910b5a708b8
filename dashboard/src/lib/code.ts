/**
 * A request, a run or a journal as something to paste: a curl line, a command, a test. What is printed here works as it stands, with every
 * value quoted for the shell or the language that it is pasted into.
 */
import type { Entry, Json, Run } from "../api/types.ts";
import { line, print } from "./digits.ts";

/** A word for a POSIX shell. */
export function shell(text: string): string {
  return /^[A-Za-z0-9_./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

export interface Call {
  method: string;
  url: string;
  body?: unknown;
}

/** The call as a curl line. A key comes from the environment, never from the page. */
export function curl({ method, url, body }: Call, signedIn: boolean): string {
  const parts = ["curl"];
  if (method !== "GET") parts.push("-X", method);
  parts.push(shell(url));
  if (signedIn) parts.push("-H", '"authorization: Bearer $BACKSTITCH_KEY"');
  if (body !== undefined) parts.push("-H", "'content-type: application/json'", "-d", shell(line(body)));
  return parts.join(" ");
}

/** Starting the same run again, as a curl line. */
export function startAsCurl(run: Run, origin: string, signedIn: boolean): string {
  if (run.trigger === "event") return `# The event that started it can be sent again on its page.\n${curl({ method: "GET", url: `${origin}/v1/events/${run.event ?? ""}` }, signedIn)}`;
  const parts = [run.app, run.function].map(encodeURIComponent).join("/");
  return curl({ method: "POST", url: `${origin}/v1/functions/${parts}/runs`, body: { input: run.input ?? null } }, signedIn);
}

/** The same by the command line. */
export function startAsCommand(run: Run): string {
  return `backstitch call ${shell(`${run.app}/${run.function}`)} ${shell(line(run.input ?? null))}`;
}

/** A test that replays this run: its input, what each step gave, what it waited for, how it ended. */
export function asTest(run: Run, entries: readonly Entry[]): string {
  const steps = entries.filter((entry) => entry.op === "step" && entry.seq !== null && !entry.id.startsWith("$"));
  const injected = steps.map((entry) => `    ${JSON.stringify(entry.id)}: ${entry.err ? errorOf(entry.err.name, entry.err.message) : value(entry.ok, 4)},`);
  const signals = entries.filter((entry) => entry.op === "waitSignal" && entry.seq !== null && entry.ok !== undefined && typeof entry.params.signal === "string" && !entry.params.signal.startsWith("$"));
  const sent = signals.map((entry) => `  run.signal(signal(${JSON.stringify(entry.params.signal)}), ${value(entry.ok, 2)});`);
  const end = run.status === "completed"
    ? `  assert.deepEqual(await run.result(), ${value(run.ok, 2)});`
    : run.status === "failed"
      ? `  await assert.rejects(run.result(), (error: TestRunError) => error.error?.name === ${JSON.stringify(run.err?.name ?? "Error")});`
      : `  await run.result();`;
  const failed = run.status === "failed";
  return [
    `import assert from "node:assert/strict";`,
    `import { test } from "node:test";`,
    ...(sent.length > 0 ? [`import { signal } from "backstitch";`] : []),
    `import { testRun${failed ? ", type TestRunError" : ""} } from "backstitch/testing";`,
    `import { ${identifier(run.function)} } from "./${run.function}.js";`,
    ``,
    `test(${JSON.stringify(`${run.app}/${run.function} as in ${run.id}`)}, async () => {`,
    `  const run = testRun(${identifier(run.function)}, {`,
    `    input: ${value(run.input, 4)},`,
    ...(injected.length > 0 ? [`    steps: {`, ...injected.map((line) => `  ${line}`), `    },`] : []),
    `  });`,
    ...sent,
    end,
    `});`,
    ``,
  ].join("\n");
}

function value(json: Json | undefined, indent: number): string {
  return print(json ?? null).replaceAll("\n", `\n${" ".repeat(indent)}`);
}

function errorOf(name = "Error", message = ""): string {
  return name === "Error" ? `new Error(${JSON.stringify(message)})` : `Object.assign(new Error(${JSON.stringify(message)}), { name: ${JSON.stringify(name)} })`;
}

function identifier(id: string): string {
  const camel = id.replace(/[^A-Za-z0-9]+(.)?/g, (_, next: string | undefined) => (next ?? "").toUpperCase());
  return /^[A-Za-z_$]/.test(camel) ? camel : `fn${camel}`;
}
