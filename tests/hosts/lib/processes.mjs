/**
 * Processes of the tests: started in a folder of their own, waited for by what they print, ended with the test run whatever happens.
 */
import { spawn } from "node:child_process";

const START_MS_MAX = 60_000;
/** Characters of a process's output that are kept, to be shown when something fails. */
const OUTPUT_CHARS_MAX = 20_000;

const alive = new Set();
process.once("exit", () => {
  for (const child of alive) child.kill("SIGKILL");
});

export class Process {
  output = "";
  #waiting = new Set();

  /** `env` replaces what this process would inherit of Backstitch's variables. Further pipes are numbered from 3. */
  constructor(name, command, args, { env = {}, cwd, pipes = 0 } = {}) {
    this.name = name;
    const inherited = Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^(BACKSTITCH|VERCEL|AWS|NODE_TEST)/.test(key)));
    this.child = spawn(command, args, { cwd, env: { ...inherited, ...env }, stdio: ["ignore", "pipe", "pipe", ...Array(pipes).fill("pipe")] });
    alive.add(this.child);
    this.ended = new Promise((resolve) => {
      this.child.once("error", (error) => resolve(error.message));
      this.child.once("close", (code, signal) => resolve(signal ?? code));
    });
    this.ended.then((how) => {
      alive.delete(this.child);
      this.how = how;
      this.#look();
    });
    for (const stream of this.child.stdio.slice(1)) {
      stream.setEncoding("utf8").on("data", (text) => {
        this.output = (this.output + text).slice(-OUTPUT_CHARS_MAX);
        this.#look();
      });
    }
  }

  /** What `pattern` finds in the output, as soon as it is there. */
  printed(pattern, ms = START_MS_MAX) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => fail(`did not print ${pattern} within ${ms} ms`), ms);
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(look);
      };
      const fail = (why) => {
        done();
        reject(new Error(`${this.name} ${why}; it printed:\n${this.output}`));
      };
      const look = () => {
        const found = pattern.exec(this.output);
        if (found !== null) {
          done();
          resolve(found);
        } else if (this.how !== undefined) fail(`ended (${this.how})`);
      };
      this.#waiting.add(look);
      look();
    });
  }

  /** Ends it as a machine would, and waits until it is gone. */
  async kill() {
    this.child.kill("SIGKILL");
    await this.ended;
  }

  #look() {
    for (const look of this.#waiting) look();
  }
}
