/**
 * The processes of the demo: the real server and a real handler, started as a user would start them and killed as a machine would kill
 * them. Every one that was started is ended, by its id, however the demo ends.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const START_MS_MAX = 15_000;
/** Characters of a process's output that are kept, to be shown if it ends when nobody asked it to. */
const OUTPUT_CHARS_MAX = 4_000;

const alive = new Set();
process.once("exit", () => {
  for (const child of alive) child.kill("SIGKILL");
});

/** The server's binary: `BACKSTITCH_BIN`, or what `cargo build` made. */
export function serverBinary(repository) {
  const target = process.env.CARGO_TARGET_DIR ?? join(repository, "target");
  const binary = process.env.BACKSTITCH_BIN ?? join(target, "debug", "backstitch");
  if (!existsSync(binary)) throw new Error(`there is no server at ${binary}: run \`make demo\`, or set BACKSTITCH_BIN`);
  return binary;
}

/** A port that is free now. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/**
 * Starts a process. `onLine` gets each line that it prints to its standard output. `ready`, if given, is a URL that answers with any status
 * once the process serves.
 */
export async function start(name, command, args, { cwd, env, onLine, ready } = {}) {
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const started = { name, pid: child.pid, child, output: "", killed: false };
  alive.add(child);
  started.ended = new Promise((resolve) => {
    child.once("error", (error) => resolve(`failed to start ${command}: ${error.message}`));
    child.once("close", (code, signal) => {
      alive.delete(child);
      resolve(signal ?? code);
    });
  });
  for (const stream of [child.stdout, child.stderr]) readLines(stream, (line) => {
    started.output = `${started.output}${line}\n`.slice(-OUTPUT_CHARS_MAX);
    if (stream === child.stdout) onLine?.(line);
  });
  if (ready !== undefined) await untilReady(started, ready);
  return started;
}

/** Kills a process without giving it a chance to say anything, and waits until it is gone. */
export async function kill(started) {
  started.killed = true;
  started.child.kill("SIGKILL");
  await started.ended;
}

async function untilReady(started, url) {
  let ended;
  started.ended.then((how) => (ended = how));
  for (const until = Date.now() + START_MS_MAX; Date.now() < until; await pause(30)) {
    if (ended !== undefined) throw new Error(`the ${started.name} ended while it started (${ended}):\n${started.output}`);
    // Any status will do: who answers is there. What is not there refuses the connection.
    const answered = await fetch(url, { signal: AbortSignal.timeout(1_000) }).then((response) => response.status !== 503, () => false);
    if (answered) return;
  }
  throw new Error(`the ${started.name} does not answer at ${url} after ${START_MS_MAX / 1000} s:\n${started.output}`);
}

function readLines(stream, onLine) {
  let rest = "";
  stream.setEncoding("utf8").on("data", (chunk) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop();
    lines.forEach(onLine);
  });
}
