/**
 * Requests to the server's links over `node:http`: a quarter of what `fetch` costs on Node, and a checkpoint is made of little else.
 *
 * One exchange, no second try, no redirections: whether to try again is decided in `links/request.ts`.
 */
import { Agent as HttpAgent, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Exchange, Said } from "../../links/request.js";

/** Connections are kept, since the next checkpoint follows at once; idle ones do not keep the process alive. */
const agents = { http: new HttpAgent({ keepAlive: true }), https: new HttpsAgent({ keepAlive: true }) };

/** Sends one request. Rejects if there was no whole response. */
export function exchange({ url, method, headers, body, signal }: Exchange): Promise<Said> {
  return new Promise((resolve, reject) => {
    const secure = url.startsWith("https:");
    const length = body === undefined ? {} : { "content-length": Buffer.byteLength(body) };
    const options = { method, headers: { ...headers, ...length }, signal, agent: secure ? agents.https : agents.http };
    const request = (secure ? httpsRequest : httpRequest)(url, options, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => void chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
    });
    request.on("error", reject);
    request.end(body);
  });
}
