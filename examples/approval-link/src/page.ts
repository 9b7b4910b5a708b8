/**
 * The page behind the link. Looking at it changes nothing, since mail scanners follow links, too; pressing a button posts the decision,
 * and the app hands it to the server with nothing but the token.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Client, ClientError } from "backstitch/client";
import type { Decision } from "./expense.js";

const TOKEN = /^awk_[A-Za-z0-9_.-]{1,600}$/;
const FORM_BYTES_MAX = 10_000;

/** Answers `GET /decide?token=…` with two buttons, and `POST /decide` with what became of the decision. */
export async function decide(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const form = request.method === "POST" ? new URLSearchParams(await readForm(request)) : new URL(request.url ?? "/", "http://localhost").searchParams;
  const token = form.get("token") ?? "";
  if (!TOKEN.test(token)) return page(response, 400, "<p>This link is not complete. Copy all of it from the mail.</p>");
  if (request.method !== "POST") return page(response, 200, buttons(token));

  const decision: Decision = { approved: form.get("decision") === "approve", comment: form.get("comment") ?? "" };
  try {
    await new Client().resolve(token, decision);
    page(response, 200, `<p>Thank you. The expense is ${decision.approved ? "approved" : "declined"}.</p>`);
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    const known = error.status >= 400 && error.status < 500;
    page(response, known ? 409 : 502, known ? "<p>This was decided before, or the link is not valid.</p>" : "<p>That did not work. Try again in a minute.</p>");
  }
}

// A token has no character that HTML gives a meaning: `TOKEN` sees to it.
function buttons(token: string): string {
  return `<form method="post" action="/decide">
<input type="hidden" name="token" value="${token}">
<p><label>Comment <input name="comment" maxlength="500"></label></p>
<p><button name="decision" value="approve">Approve</button> <button name="decision" value="decline">Decline</button></p>
</form>`;
}

function page(response: ServerResponse, status: number, body: string): void {
  const headers = { "content-type": "text/html; charset=utf-8", "cache-control": "no-store", "referrer-policy": "no-referrer" };
  response.writeHead(status, headers).end(`<!doctype html><meta charset="utf-8"><title>Expense</title><h1>Expense</h1>\n${body}\n`);
}

async function readForm(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) {
    text += chunk;
    if (text.length > FORM_BYTES_MAX) throw new Error("the form is too long");
  }
  return text;
}
