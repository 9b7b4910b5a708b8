/**
 * The demo: an order goes through while its handler and its server are killed. Run it with `make demo`.
 *
 * It starts the real server on a new data folder, and the order saga of the folder beside this one as its handler. It kills the handler
 * in the middle of a payment and the server in the middle of a sleep, both with SIGKILL; lets a second order fail and be refunded; and
 * then holds the handler's own log against the journal. It ends with 1 if any claim that it prints does not hold.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Follower, send } from "./lib/journal.mjs";
import { freePort, kill, serverBinary, start } from "./lib/processes.mjs";
import { HEADING, isWork, jsonLines, lost, recorded, rows } from "./lib/report.mjs";
import { bold, chapter, dim, green, red, say, seconds, table } from "./lib/screen.mjs";

const DEMO_S_MAX = 60;
const SLEEP = "4s";
const SLEEP_MS = 4_000;

const here = dirname(fileURLToPath(import.meta.url));
const saga = join(here, "..", "order-saga", "dist");
const folder = mkdtempSync(join(tmpdir(), "backstitch-demo-"));
const stepLog = join(folder, "steps.jsonl");
const ledgerFile = join(folder, "ledger.jsonl");

process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
for (const name of ["SIGINT", "SIGTERM"]) process.once(name, () => process.exit(130));
setTimeout(() => fail(new Error(`the demo is not done after ${DEMO_S_MAX} s`)), DEMO_S_MAX * 1000).unref();

const serverPort = await freePort();
const serverUrl = `http://127.0.0.1:${serverPort}`;
const handlerPort = await freePort();
const handlerUrl = `http://127.0.0.1:${handlerPort}`;

try {
  await story();
} catch (error) {
  fail(error);
}
process.exit();

async function story() {
  const binary = serverBinary(join(here, "..", ".."));
  console.log(`${bold("Backstitch")}: an order, a killed handler, a killed server ${dim(`(data in ${folder})`)}`);

  chapter("1. A server, a handler, an order");
  tellExecutions();
  let server = await startServer(binary);
  let handler = await startHandler();
  await send("PUT", `${serverUrl}/v1/apps/shop`, { url: handlerUrl });
  say("SERVER", `app shop is registered at ${handlerUrl}`);
  const first = follow("order-1001");
  const firstClient = order("1001", "lamp");

  chapter("2. The handler is killed while it pays");
  await until(() => jsonLines(ledgerFile).length === 1, "the payment to be in the provider's ledger");
  say("DEMO", `the money has moved, the answer is on its way: ${red(`kill -9 ${handler.pid}`)} (handler)`);
  await kill(handler);
  const handlers = [handler.pid];
  await pause(400);
  handler = await startHandler();
  handlers.push(handler.pid);

  chapter("3. The server is killed while the run sleeps");
  await first.until(() => first.entry("cool-off") !== undefined);
  await pause(500);
  say("DEMO", `the run sleeps: ${red(`kill -9 ${server.pid}`)} (server)`);
  await kill(server);
  await pause(1_000);
  server = await startServer(binary);

  chapter("4. Approval");
  await first.until(() => first.entry("approval") !== undefined);
  await send("POST", `${serverUrl}/v1/runs/${first.journal.run.id}/signals/approve`, { data: { by: "ann" }, id: "approval-1001" });
  say("DEMO", "sent the signal approve, by ann");
  await Promise.all([first.finished, firstClient.ended]);

  chapter("5. A second order, of something that is out of stock: five attempts, then the refund");
  const second = follow("order-1002");
  const secondClient = order("1002", "vase");
  await Promise.all([second.finished, secondClient.ended]);

  chapter("6. The handler's log against the journal");
  const executions = jsonLines(stepLog);
  const of = (id) => executions.filter((line) => line.order === id);
  for (const [id, follower] of [["1001", first], ["1002", second]]) {
    console.log(`\n  order-${id}: ${follower.journal.run.status}`);
    table(HEADING, rows(follower.journal, of(id)));
    for (const error of lost(follower.journal)) console.log(dim(`  1 invocation was lost: ${error.message}`));
  }
  console.log();
  check({ first: first.journal, second: second.journal, of, handlers, clients: [await firstClient.ended, await secondClient.ended] });
  await Promise.all([kill(handler), kill(server)]);
}

async function startServer(binary) {
  const begun = seconds();
  const args = ["dev", "--no-discovery", "--listen", `127.0.0.1:${serverPort}`, "--data-dir", join(folder, "data")];
  const server = await start("server", binary, args, { cwd: folder, ready: `${serverUrl}/readyz` });
  say("SERVER", `backstitch dev is ready, process ${server.pid}, after ${Math.round((seconds() - begun) * 1000)} ms`);
  return server;
}

async function startHandler() {
  const env = { PORT: String(handlerPort), BACKSTITCH_DEV: "1", BACKSTITCH_URL: serverUrl, STEP_LOG: stepLog, LEDGER: ledgerFile, PROVIDER_MS: "700" };
  // The fields that the logger adds to each line are left out: there is one run at a time here.
  const onLine = (line) => /^\d+: /.test(line) && say("HANDLER", line.replace(/ \{ run: .*$/, ""));
  const handler = await start("handler", process.execPath, [join(saga, "serve.js")], { env, onLine, ready: handlerUrl });
  say("HANDLER", `the order saga is served, process ${handler.pid}`);
  return handler;
}

/** Runs the starter as a user would: it starts the order under its name and waits for the receipt. */
function order(id, sku) {
  say("CLIENT", `node start-order.js ${id} ${sku}`);
  const env = { BACKSTITCH_URL: serverUrl, COOL_OFF: SLEEP };
  const onLine = (line) => /approve it with/.test(line) || say("CLIENT", line);
  const client = { ended: undefined };
  client.ended = start("client", process.execPath, [join(saga, "start-order.js"), id, sku], { env, onLine }).then(async (started) => ({ code: await started.ended, output: started.output }));
  return client;
}

/** Tells what the handlers' own log says: each body that begins. */
async function tellExecutions() {
  for (let told = 0; ; await pause(30)) {
    const lines = jsonLines(stepLog);
    for (const { order, step, attempt } of lines.slice(told)) say("HANDLER", `${order}: executes ${step}, attempt ${attempt}`);
    told = lines.length;
  }
}

function follow(name) {
  return new Follower(serverUrl, "shop/order", name, (sentence) => say("SERVER", sentence));
}

async function until(condition, what) {
  for (const begun = seconds(); !condition(); await pause(20)) if (seconds() - begun > 15) throw new Error(`waited 15 s for ${what}`);
}

/** Prints every claim, and throws if one does not hold. */
function check({ first, second, of, handlers, clients }) {
  const ledger = jsonLines(ledgerFile);
  const ran = (id, step) => of(id).filter((line) => line.step === step);
  const booked = (kind, journal) => ledger.filter((line) => line.kind === kind && line.key.startsWith(`${journal.run.id}/`));
  const sum = (journal) => ["charge", "refund"].flatMap((kind) => booked(kind, journal)).reduce((cents, line) => cents + line.cents, 0);
  const once = (journal) => journal.entries.filter(isWork).every((entry) => recorded(journal, entry.id) === 1);
  const numbered = (journal) => journal.entries.filter(isWork).map((entry) => entry.seq).sort((a, b) => a - b).every((seq, index) => seq === index + 1);
  const backed = (id, journal) => journal.entries.filter((entry) => entry.op === "step").every((entry) => ran(id, entry.id).length > 0) && of(id).every((line) => recorded(journal, line.step) === 1);
  const nap = first.entries.find((entry) => entry.id === "cool-off");
  const napMs = Date.parse(nap.settledAt) - Date.parse(nap.createdAt);

  const claims = [
    ["order-1001 is completed, and its client has the receipt", first.run.status === "completed" && clients[0].code === 0 && clients[0].output.includes("1Z-4-lamp")],
    ["every entry of both journals has exactly one recorded result", once(first) && once(second)],
    ["results are numbered 1 to n, without gaps or repeats", numbered(first) && numbered(second)],
    ["every recorded step was executed, and everything executed is recorded", backed("1001", first) && backed("1002", second)],
    ["the charge was executed twice, once by each handler process", ran("1001", "charge").map((line) => line.pid).join() === handlers.join()],
    ["its money moved once, since both executions had the same idempotency key", booked("charge", first).length === 1 && sum(first) === 4_900],
    ["no other step of order-1001 was executed more than once", ["reserve", "ship", "confirm"].every((step) => ran("1001", step).length === 1)],
    [`the sleep took its ${SLEEP_MS / 1000} s (${(napMs / 1000).toFixed(2)}), although the server was killed in it`, napMs >= SLEEP_MS && napMs < SLEEP_MS + 1_500],
    ["order-1002 failed with OutOfStock after five attempts", second.run.status === "failed" && ran("1002", "reserve").length === 5 && clients[1].output.includes("OutOfStock")],
    ["its charge was refunded, once", ran("1002", "$undo/charge").length === 1 && booked("refund", second).length === 1 && sum(second) === 0],
  ];
  for (const [claim, holds] of claims) console.log(`  ${holds ? green("✓") : red("✗ does not hold:")} ${claim}`);
  const broken = claims.filter(([, holds]) => !holds).length;
  if (broken > 0) throw new Error(`${broken} of ${claims.length} claims do not hold`);
  console.log(`\n  ${green(bold("All claims hold."))} ${dim(`${seconds().toFixed(1)} s`)}`);
}

function fail(error) {
  console.error(`\n${red("The demo failed:")} ${error.message}`);
  process.exit(1);
}
