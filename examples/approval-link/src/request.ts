/** Asks for money and waits for the decision: `npm run request`. The link is in the log of the app. */
import { Client } from "backstitch/client";
import { expense } from "./expense.js";

const run = await new Client().start(expense, { what: "a lamp for the office", cents: 4_900, by: "ann" });
console.log(`asked, as ${run.id}; follow the link that the app prints`);
console.log("how it stands:", (await run.status()).value ?? "not looked at yet");
console.log("decision:", await run.result());
