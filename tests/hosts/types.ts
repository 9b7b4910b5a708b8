/** What a user writes, compiled against the real types of each framework. Nothing here runs. */
import { Backstitch } from "backstitch";
import { serve as bun } from "backstitch/bun";
import { serve as express } from "backstitch/express";
import { serve as fastify } from "backstitch/fastify";
import { serve as hono } from "backstitch/hono";
import { serve as koa } from "backstitch/koa";
import { serve as lambda, serveStream } from "backstitch/lambda";
import { serve as next } from "backstitch/next";
import { serve as pages } from "backstitch/next/pages";
import type { APIGatewayProxyHandlerV2, APIGatewayProxyHandler, ALBHandler, LambdaFunctionURLHandler } from "aws-lambda";
import Express from "express";
import Fastify from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import type { NextApiHandler } from "next";
import type { NextRequest } from "next/server";

const app = new Backstitch({ id: "types" });

Express().use("/api/backstitch", express(app));
Express().all("/api/backstitch", express(app, { limits: { seconds: 60 } }));
Fastify().register(fastify(app), { prefix: "/api/backstitch" });
new Koa().use(koa(app, { path: "/api/backstitch" }));
new Hono().all("/api/backstitch", hono(app));
new Hono<{ Bindings: { BACKSTITCH_KEY: string } }>().all("/api/backstitch", hono(app));

export const { GET, POST } = next(app) satisfies Record<"GET" | "POST", (request: NextRequest) => Promise<Response>>;
export const page: NextApiHandler = pages(app);
export const url: LambdaFunctionURLHandler = (event, context) => lambda(app)(event, context);
export const rest: APIGatewayProxyHandler = (event, context) => lambda(app)(event, context);
export const http: APIGatewayProxyHandlerV2 = (event, context) => lambda(app)(event, context);
export const balanced: ALBHandler = (event, context) => lambda(app)(event, context);
export const streamed = serveStream(app);
export const server = bun(app) satisfies { fetch: (request: Request) => Promise<Response> };
