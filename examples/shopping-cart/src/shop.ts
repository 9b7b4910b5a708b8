/** Shops as somebody: `npm run shop -- ann`. Adds from two tabs at once, looks, and checks out. Run it again: the orders are counted on. */
import { Client } from "backstitch/client";
import { cart } from "./cart.js";

const [customer = "ann"] = process.argv.slice(2);
const client = new Client();
const { add, checkout, show } = cart(customer);

await Promise.all([
  client.call(add, { sku: "lamp", cents: 4_900, count: 1 }),
  client.call(add, { sku: "bulb", cents: 300, count: 2 }),
  client.call(add, { sku: "bulb", cents: 300, count: 1 }),
]);
const { items, cents } = await client.call(show, null);
console.log(`${customer} has ${items.map((item) => `${item.count} ${item.sku}`).sort().join(" and ")}, for ${cents} cents`);
const receipt = await client.call(checkout, null);
console.log(`receipt: ${JSON.stringify(receipt)}`);
