// The functions that are measured, with the peer's TypeScript SDK, on PORT of loopback: over one stream of HTTP/2 as it does
// by default, or with MODE=request-response as serverless hosts have it.
import { createServer } from "node:http";
import * as http2 from "node:http2";
import * as restate from "@restatedev/restate-sdk";

// Its SDK counts on a newer Node.js than the oldest that ours runs on.
Promise.withResolvers ??= function withResolvers() {
  const made = {};
  made.promise = new this((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

const bench = restate.service({
  name: "Bench",
  handlers: {
    noop: async (_ctx, input) => input,
    steps: async (ctx, steps) => {
      for (let nth = 0; nth < steps; nth++) {
        await ctx.run(`step-${nth}`, () => nth);
      }
      return steps;
    },
  },
});

const endpoint = restate.endpoint().bind(bench);
const server = process.env.MODE === "request-response" ? createServer(endpoint.http1Handler()) : http2.createServer(endpoint.http2Handler());
server.listen(Number(process.env.PORT), "127.0.0.1");
