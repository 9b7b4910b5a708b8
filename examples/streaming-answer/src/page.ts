/**
 * The page, and the one route that it needs: `POST /ask` starts a run and makes a token with which the page reads that run's stream, and
 * nothing else. The browser talks to the Backstitch server for the stream alone, so no key ever leaves the backend.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Client } from "backstitch/client";
import { answer } from "./answer.js";

const BODY_BYTES_MAX = 10_000;

/** Where browsers reach the Backstitch server: it has to be started with `--cors-origin` and the origin of this page. */
const STREAMS = process.env.STREAMS_URL ?? process.env.BACKSTITCH_URL ?? "http://127.0.0.1:8484";

/** Answers `GET /page` with the page, and `POST /ask` with `{"stream", "token"}`. */
export async function page(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === "GET") {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(PAGE);
    return;
  }
  const { question, die } = JSON.parse(await bodyOf(request));
  if (typeof question !== "string" || question === "") {
    response.writeHead(400).end("ask something");
    return;
  }
  const client = new Client();
  const run = await client.start(answer, { question, die: die === true });
  const { token } = await client.subscriptionToken({ run, topics: ["tokens", "stage"], ttl: "10m" });
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ run: run.id, stream: `${STREAMS}/v1/runs/${run.id}/stream`, token }));
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const piece of request) {
    body += piece;
    if (body.length > BODY_BYTES_MAX) throw new Error("the question is too long");
  }
  return body;
}

const PAGE = `<!doctype html>
<meta charset="utf-8">
<title>Ask</title>
<form><input name="question" size="60" value="How does a seam hold?"> <button>Ask</button> <label><input type="checkbox" name="die"> and die in the middle</label></form>
<p id="stage"></p>
<p id="answer"></p>
<script>
  const form = document.querySelector("form");
  form.onsubmit = async (event) => {
    event.preventDefault();
    const body = JSON.stringify({ question: form.question.value, die: form.die.checked });
    const { stream, token } = await (await fetch("/ask", { method: "POST", body })).json();
    let said = [];
    const show = () => {
      const of = (topic) => said.filter((message) => message.topic === topic).map((message) => message.data);
      document.querySelector("#stage").textContent = of("stage").at(-1) ?? "";
      document.querySelector("#answer").textContent = of("tokens").join("");
    };
    // The browser reconnects by itself, and says where it was.
    const source = new EventSource(stream + "?token=" + encodeURIComponent(token));
    source.onmessage = ({ data, lastEventId }) => {
      said.push({ ...JSON.parse(data), id: Number(lastEventId) });
      show();
    };
    // An attempt died in the middle: what it said does not count.
    source.addEventListener("cut", ({ data }) => {
      const { step, from } = JSON.parse(data);
      said = said.filter((message) => message.step !== step || message.id < from);
      show();
    });
    source.addEventListener("end", () => source.close());
  };
</script>
`;
