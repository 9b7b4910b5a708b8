/**
 * Stands where Lambda's runtime for Node has native code: what posts a buffered answer or an error to the Runtime API, and returns when it
 * is out, so that nothing of it is left when the instance is frozen. Loaded before the runtime, which asks for `rapid-client.node`.
 */
const http = require("node:http");
const Module = require("node:module");
const { isMainThread, parentPort, Worker, workerData } = require("node:worker_threads");

if (isMainThread) {
  const sent = new Int32Array(new SharedArrayBuffer(4));
  const sender = new Worker(__filename, { workerData: sent, execArgv: [] });
  sender.unref();
  const post = (id, what, body) => {
    Atomics.store(sent, 0, 0);
    sender.postMessage({ path: `/2018-06-01/runtime/invocation/${id}/${what}`, body });
    Atomics.wait(sent, 0, 0);
  };
  const client = { initializeClient() {}, done: (id, body) => post(id, "response", body), error: (id, body) => post(id, "error", body) };
  const load = Module._load;
  Module._load = (request, ...rest) => (request.endsWith("rapid-client.node") ? client : load(request, ...rest));
} else {
  const [hostname, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
  // One connection for each answer: none is left idle while the instance is frozen.
  parentPort.on("message", ({ path, body }) => {
    const done = () => {
      Atomics.store(workerData, 0, 1);
      Atomics.notify(workerData, 0);
    };
    http.request({ hostname, port, method: "POST", path, agent: false }, (response) => response.resume().once("end", done)).once("error", done).end(body);
  });
}
