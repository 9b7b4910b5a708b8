/**
 * AWS Lambda in small: the Runtime API, which hands out events and takes answers over plain HTTP, and the Function URL before it. Between
 * two invocations the function's process is stopped, as Lambda freezes it; one that overruns its time is killed.
 *
 * The function itself runs in Lambda's own runtime for Node (`aws-lambda-ric`): its loader, its event loop, its streams. Only what sends
 * buffered answers from native code there, and is not built here, is replaced (`rapid-client.cjs`).
 */
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { isAbsolute } from "node:path";
import { fileURLToPath } from "node:url";
import { Process } from "./processes.mjs";

const TEXT = /^(text\/|application\/(json|javascript|xml|problem\+json))/;
const PRELUDE_END = Buffer.alloc(8);

const listen = (server, port = 0) => new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(server.address().port)));

async function bytesOf(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A request as a Function URL writes it down. */
function eventOf(request, body) {
  const { pathname, search } = new URL(request.url, "http://x");
  const domainName = "abcdefghijklmnopqrstuvwxyz012345.lambda-url.eu-central-1.on.aws";
  const text = TEXT.test(request.headers["content-type"] ?? "text/");
  return {
    version: "2.0",
    routeKey: "$default",
    rawPath: pathname,
    rawQueryString: search.slice(1),
    headers: { ...request.headers, host: domainName },
    requestContext: { domainName, http: { method: request.method, path: pathname }, timeEpoch: Date.now(), stage: "$default" },
    ...(body.length === 0 ? {} : { body: body.toString(text ? "utf8" : "base64") }),
    isBase64Encoded: body.length > 0 && !text,
  };
}

export class Lambda {
  #queue = [];
  #taken = new Map();
  #idle;
  #frozen = false;
  invocations = 0;

  static async start(handler, env, { timeoutMs = 900_000 } = {}) {
    const lambda = new Lambda();
    lambda.timeoutMs = timeoutMs;
    lambda.api = createServer((request, response) => void lambda.#runtime(request, response));
    lambda.front = createServer((request, response) => void lambda.#invoke(request, response));
    // Longer than a slow machine leaves a connection alone.
    lambda.api.keepAliveTimeout = lambda.front.keepAliveTimeout = 75_000;
    const runtime = await listen(lambda.api);
    const port = await listen(lambda.front, Number(env.PORT ?? 0));
    lambda.url = `http://127.0.0.1:${port}/api/backstitch`;
    lambda.launch = () => {
      // A handler by name runs in the runtime for Node; a path is a program that brings the runtime for Rust.
      const [command, args] = isAbsolute(handler) ? [handler, []] : [process.execPath, [
        "--require", fileURLToPath(new URL("rapid-client.cjs", import.meta.url)),
        fileURLToPath(new URL("../node_modules/aws-lambda-ric/bin/index.mjs", import.meta.url)),
        handler,
      ]];
      lambda.function = new Process(`lambda ${handler}`, command, args, {
        cwd: fileURLToPath(new URL("../hosts", import.meta.url)),
        env: {
          AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${runtime}`,
          AWS_LAMBDA_NODEJS_USE_ALTERNATIVE_CLIENT_1: "true",
          AWS_LAMBDA_FUNCTION_NAME: "shop",
          AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
          AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "512",
          ...env,
        },
      });
    };
    lambda.launch();
    return lambda;
  }

  get output() {
    return this.function.output;
  }

  printed(pattern) {
    return this.function.printed(pattern);
  }

  /** The instance dies; the address stays, and cuts the connections of what was under way. */
  async kill() {
    this.function.child.kill("SIGCONT");
    await this.function.kill();
    for (const { response, overdue } of this.#taken.values()) {
      clearTimeout(overdue);
      response.destroy();
    }
    this.#taken.clear();
    this.#idle = undefined;
  }

  async stop() {
    await this.kill();
    for (const server of [this.api, this.front]) {
      server.closeAllConnections();
      server.close();
    }
  }

  async #invoke(request, response) {
    const event = eventOf(request, await bytesOf(request));
    this.#queue.push({ id: randomUUID(), event, response });
    this.#next();
  }

  /** Hands out an event, if there is one and the instance waits for it. */
  #next() {
    if (this.#idle === undefined) return;
    const invocation = this.#queue.shift();
    if (invocation === undefined) {
      // Nothing to do: from now on nothing of the function moves.
      this.#frozen = true;
      this.function.child.kill("SIGSTOP");
      return;
    }
    const api = this.#idle;
    this.#idle = undefined;
    if (this.#frozen) this.function.child.kill("SIGCONT");
    this.#frozen = false;
    this.invocations++;
    this.#taken.set(invocation.id, invocation);
    invocation.overdue = setTimeout(() => {
      // Overdue: Lambda ends the instance, and begins the next invocation in a new one.
      this.timeouts = (this.timeouts ?? 0) + 1;
      void this.kill().then(this.launch);
    }, this.timeoutMs);
    api.writeHead(200, {
      "content-type": "application/json",
      "lambda-runtime-aws-request-id": invocation.id,
      "lambda-runtime-deadline-ms": Date.now() + this.timeoutMs,
      "lambda-runtime-invoked-function-arn": "arn:aws:lambda:eu-central-1:123456789012:function:shop",
    });
    api.end(JSON.stringify(invocation.event));
  }

  async #runtime(request, api) {
    const [, id, what] = /^\/2018-06-01\/runtime\/invocation\/([^/]+)\/?(\w*)$/.exec(request.url) ?? [];
    if (id === "next") {
      this.#idle = api;
      api.once("close", () => {
        if (this.#idle === api) this.#idle = undefined;
      });
      return this.#next();
    }
    const invocation = this.#taken.get(id);
    if (invocation === undefined || (what !== "response" && what !== "error")) {
      const body = await bytesOf(request);
      console.error(`lambda: ${request.url}: ${body}`);
      return api.writeHead(404).end();
    }
    const streamed = request.headers["lambda-runtime-function-response-mode"] === "streaming";
    if (what === "error") invocation.response.writeHead(502, { "content-type": "application/json" }).end(await bytesOf(request));
    else if (streamed) await this.#stream(request, invocation.response);
    else this.#answer(JSON.parse(await bytesOf(request)), invocation.response);
    clearTimeout(invocation.overdue);
    this.#taken.delete(id);
    api.writeHead(202).end();
  }

  #answer({ statusCode, headers, body = "", isBase64Encoded = false }, response) {
    const bytes = Buffer.from(body, isBase64Encoded ? "base64" : "utf8");
    response.writeHead(statusCode, { ...headers, "content-length": bytes.length }).end(bytes);
  }

  /** Status and headers come first, as JSON that eight zeros end; the rest is the body, passed on as it comes. */
  async #stream(request, response) {
    let head = Buffer.alloc(0);
    let begun = false;
    for await (const chunk of request) {
      if (begun) {
        response.write(chunk);
        continue;
      }
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf(PRELUDE_END);
      if (end < 0) continue;
      begun = true;
      const { statusCode, headers } = JSON.parse(head.subarray(0, end));
      response.writeHead(statusCode, headers);
      const rest = head.subarray(end + PRELUDE_END.length);
      if (rest.length > 0) response.write(rest);
    }
    if (begun) response.end();
    else response.writeHead(502).end();
  }
}
