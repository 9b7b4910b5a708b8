/** Asks the agent something and waits for its report: `npm run ask -- "Why do seams hold?"`. */
import { Client } from "backstitch/client";
import { research } from "./agent.js";

const question = process.argv[2] ?? "Why do seams hold?";
const run = await new Client().start(research, { question });
console.log(`asked, as ${run.id}. It will ask before it buys anything; answer with one of`);
console.log(`  backstitch signal ${run.id} approve '{"by":"ann"}'`);
console.log(`  backstitch signal ${run.id} reject '{"by":"ann","reason":"too dear"}'`);
const { report, notes } = await run.result();
for (const note of notes) console.log(`- ${note.tool} ${note.argument}: ${note.found}`);
console.log(`\n${report}`);
