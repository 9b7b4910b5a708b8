// Reads a run's stream with the client of TypeScript's SDK, and prints what counts in the end: `node streams.client.mjs SERVER RUN`.
import { Client, Transcript } from "../../../sdk-ts/dist/client/index.js";

const [url, run] = process.argv.slice(2);
const transcript = new Transcript();
for await (const event of new Client({ url }).stream(run, { topics: ["words"] })) transcript.take(event);
const of = (side) => transcript.messages.filter(({ step }) => step === side).map(({ data }) => data);
console.log(JSON.stringify({ left: of("left"), right: of("right"), status: transcript.end?.status }));
