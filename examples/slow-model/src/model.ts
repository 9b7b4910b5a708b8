/**
 * A stand-in for a model: a process of its own that thinks for a while before each answer, that is busy for every third request, and
 * that refuses what has no words. It knows a request by its `idempotency-key`: one that comes again, since whoever asked has died, gets the answer that it would have got.
 *
 * Run it with `node dist/model.js [port]`; it prints where it listens. `startModel` does the same for programs.
 */
import { type ChildProcess, fork } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const THINK_MS = Number(process.env.THINK_MS ?? 3_000);

/** The first words of a text stand for its summary. */
function answer({ task, text }: { task: string; text: string }): string {
  const words = text.split(/\s+/).slice(0, task === "title" ? 3 : 6);
  return task === "title" ? words.join(" ") : `${words.join(" ")}.`;
}

function serve(port: number): void {
  let requests = 0;
  const answers = new Map<string, string>();
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk;
    if (++requests % 3 === 1) return void response.writeHead(503, { "retry-after": "0" }).end("all of me is thinking");
    const key = String(request.headers["idempotency-key"]);
    const asked = JSON.parse(body);
    if (asked.text.trim() === "") return void response.writeHead(400).end("there is nothing to read");
    const text = answers.get(key) ?? answer(asked);
    answers.set(key, text);
    console.log(`thinks about ${key}`);
    await pause(THINK_MS);
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ text, thoughtMs: THINK_MS }));
  });
  server.listen(port, "127.0.0.1", () => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    console.log(`the stand-in for a model listens at ${url}`);
    process.send?.(url);
  });
  // A child ends with its parent, however that ended.
  process.once("disconnect", () => process.exit());
}

/** Starts the stand-in as a child process on a free port. Resolves to its address. */
export async function startModel(): Promise<{ url: string; process: ChildProcess }> {
  const child = fork(fileURLToPath(import.meta.url), ["0"], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const url = await new Promise<string>((resolve, reject) => {
    child.once("message", (message) => resolve(String(message)));
    child.once("exit", (code) => reject(new Error(`failed to start the stand-in for a model: it ended with code ${code}`)));
  });
  return { url, process: child };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) serve(Number(process.argv[2] ?? 4020));
