/**
 * Orders something and waits for the receipt: `npm run order -- 17 lamp`. Run it twice with one id, and the second finds the first's run:
 * the name `order-17` is taken. Stop it and run it again, and it goes on waiting.
 */
import { Client, RunFailedError } from "backstitch/client";
import { order } from "./order.js";

const [id = "17", sku = "lamp"] = process.argv.slice(2);

const coolOff = process.env.COOL_OFF ?? "5s";

const run = await new Client().start(order, { id, sku, cents: 4_900, coolOff }, { runId: `order-${id}` });
console.log(`${run.created ? "started" : "found"} order-${id} as ${run.id}`);
console.log(`approve it with: backstitch signal shop/order/order-${id} approve '{"by":"ann"}'`);
try {
  console.log(`receipt: ${JSON.stringify(await run.result())}`);
} catch (error) {
  if (!(error instanceof RunFailedError)) throw error;
  console.log(`the order failed, and what was paid is refunded: ${error.name}: ${error.message}`);
  process.exitCode = 1;
}
