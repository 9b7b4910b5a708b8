/**
 * A stand-in for a model: a process of its own that speaks the chat-completions format and always gives the same answer to the same
 * messages. As real ones do, it fails now and then (every third request is a 500) and takes its time (every fourth is slow).
 *
 * Run it with `node dist/model.js [port]`; it prints where it listens. `startModel` does the same for programs.
 */
import { type ChildProcess, fork } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Action, Note } from "./llm.js";

const SLOW_MS = 700;

/** What the model says, by what it is asked for. */
function answer(system: string, { question, notes = [] }: { question: string; notes?: Note[] }): object {
  if (system.startsWith("You plan")) return { steps: [`search the library for: ${question}`, "read what is free", "buy the study if it is needed", "write"] };
  if (system.startsWith("You act")) return act(question, notes);
  const facts = notes.filter((note) => note.tool !== "search").map((note) => note.found);
  return { report: `${question} ${facts.join(" ")}` };
}

/** Searches, reads the first find that is free, buys the first that is not, and has enough. */
function act(question: string, notes: Note[]): Action {
  const search = notes.find((note) => note.tool === "search");
  if (search === undefined) return { tool: "search", argument: question };
  const finds = search.found.split(/, (?=\S+ \()/).map((find) => ({ id: find.split(" ")[0] ?? "", costs: find.includes("EUR") }));
  const done = (tool: string): boolean => notes.some((note) => note.tool === tool);
  const next = (tool: string, costs: boolean): Action | undefined => {
    const find = finds.find((one) => one.costs === costs && one.id.includes("-"));
    return find === undefined || done(tool) ? undefined : { tool, argument: find.id };
  };
  return next("read", false) ?? next("buy", true) ?? { tool: "finish", argument: "" };
}

/** Serves the model. */
function serve(port: number): void {
  let requests = 0;
  const server = createServer(async (request, response) => {
    const nth = ++requests;
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk;
    if (nth % 4 === 2) await pause(SLOW_MS);
    if (nth % 3 === 1) return void response.writeHead(500).end("the model has fallen asleep");
    const { messages } = JSON.parse(body) as { messages: { content: string }[] };
    const content = JSON.stringify(answer(messages[0]?.content ?? "", JSON.parse(messages.at(-1)?.content ?? "{}")));
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ choices: [{ message: { role: "assistant", content } }] }));
  });
  server.listen(port, "127.0.0.1", () => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    console.log(`the stand-in for a model listens at ${url}`);
    process.send?.(url);
  });
  // A child ends with its parent, however that ended.
  process.once("disconnect", () => process.exit());
}

/** Starts the stand-in as a child process on a free port. Resolves to its address. */
export async function startModel(): Promise<{ url: string; process: ChildProcess }> {
  const child = fork(fileURLToPath(import.meta.url), ["0"], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const url = await new Promise<string>((resolve, reject) => {
    child.once("message", (message) => resolve(String(message)));
    child.once("exit", (code) => reject(new Error(`failed to start the stand-in for a model: it ended with code ${code}`)));
  });
  return { url, process: child };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) serve(Number(process.argv[2] ?? 4010));
