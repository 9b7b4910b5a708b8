/** Asks for a digest, and waits for it: `npm run ask`. */
import { Client } from "backstitch/client";
import { digest } from "./digest.js";

const texts = [
  "A backstitch goes back over the last stitch before it makes the next one.",
  "Cut the thread anywhere, and the seam holds.",
  "The machine makes a lockstitch, which two threads hold.",
  "", // The model refuses this one.
];
const began = Date.now();
const run = await new Client().start(digest, { texts });
console.log(`asked, as ${run.id}; see \`backstitch explain ${run.id}\``);
const { title, summaries, leftOut, thoughtMs } = await run.result({ wait: "5m" });
console.log(`\n${title}`);
for (const summary of summaries) console.log(`- ${summary}`);
if (leftOut.length > 0) console.log(`Left out, since the model refused: text ${leftOut.map((place) => place + 1).join(", ")}.`);
console.log(`\nThe model thought for ${thoughtMs} ms in all. It took ${Date.now() - began} ms.`);
