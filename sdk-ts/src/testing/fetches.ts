/**
 * Calls of the server in a test: what stands in for them, or else the real thing, tried again as the server would, with pauses that
 * are skipped.
 */
import { durationMs } from "../duration.js";
import { base64, type FetchValue } from "../fetch.js";
import type { Duration, Json } from "../types.js";
import type { WireError } from "../wire/error.js";
import { nextAttemptMs, type Outcome } from "./journal.js";

/** A request as the server would send it. */
export interface TestFetch {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The body: text, or base64 where `encoding` says so. */
  readonly body?: string;
  readonly encoding?: "base64";
  /** Which attempt, from 1. */
  readonly attempt: number;
}

/** Stands in for an answer: status 200 and no headers where nothing is said; a body that is no text goes out as JSON. An error is no answer. */
export type TestAnswer = { readonly status?: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string | Uint8Array | Json } | Error;

/** Stands in for a call: its answer, or what to answer to each attempt. */
export type InjectedFetch = TestAnswer | ((request: TestFetch) => TestAnswer | Promise<TestAnswer>);

/** What came of a call in the end, after so many attempts and so many milliseconds of pauses. */
export interface Fetched {
  readonly outcome: Outcome;
  readonly attempts: number;
  readonly pausesMs: number;
}

const RETRY_ON = [408, 429, 500, 502, 503, 504];
const FETCH_MS = 300_000;

/** Makes a call until it is answered, or has had its attempts. */
export async function fetched(key: string, params: any, injected: InjectedFetch | undefined): Promise<Fetched> {
  const { request, retry, retryOn = RETRY_ON, timeout, scheduleToClose } = params;
  const closeMs = scheduleToClose === undefined ? Number.POSITIVE_INFINITY : durationMs(scheduleToClose as Duration);
  let pausesMs = 0;
  for (let attempt = 1; ; attempt++) {
    const asked: TestFetch = { ...request, headers: { "idempotency-key": key, ...request.headers }, attempt };
    const answer = await answerOf(asked, injected, timeout === undefined ? FETCH_MS : durationMs(timeout as Duration));
    const outcome: Outcome = answer instanceof Error ? { err: failed(asked, answer) } : { ok: answer as unknown as Json };
    const error = answer instanceof Error ? failed(asked, answer, true) : retryOn.includes(answer.status) ? busy(asked, answer) : undefined;
    const pause = error === undefined ? null : nextAttemptMs(retry, attempt, error);
    if (pause === null || pausesMs + pause > closeMs) return { outcome, attempts: attempt, pausesMs };
    pausesMs += pause;
  }
}

async function answerOf(request: TestFetch, injected: InjectedFetch | undefined, timeoutMs: number): Promise<FetchValue | Error> {
  try {
    const answer = injected === undefined ? await really(request, timeoutMs) : typeof injected === "function" ? await injected(request) : injected;
    return answer instanceof Error ? answer : valueOf(answer);
  } catch (thrown) {
    return thrown instanceof Error ? thrown : new Error(String(thrown));
  }
}

/** Makes the call from this process. */
async function really({ url, method, headers, body, encoding }: TestFetch, timeoutMs: number): Promise<TestAnswer> {
  const sent = body === undefined ? {} : { body: encoding === "base64" ? Uint8Array.from(atob(body), (c) => c.charCodeAt(0)) : body };
  const response = await fetch(url, { method, headers, ...sent, redirect: "manual", signal: AbortSignal.timeout(timeoutMs) });
  return { status: response.status, headers: Object.fromEntries(response.headers), body: new Uint8Array(await response.arrayBuffer()) };
}

function valueOf(answer: Exclude<TestAnswer, Error>): FetchValue {
  const { status = 200, headers = {}, body = "" } = answer;
  const head = { status, headers: { ...headers } };
  if (typeof body === "string") return { ...head, body, encoding: "utf8" };
  if (!(body instanceof Uint8Array)) return { ...head, body: JSON.stringify(body), encoding: "utf8" };
  try {
    return { ...head, body: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body), encoding: "utf8" };
  } catch {
    return { ...head, body: base64(body), encoding: "base64" };
  }
}

const failed = ({ url }: TestFetch, error: Error, retryable = false): WireError => ({ name: "FetchFailed", message: `${url.split("?")[0]}: ${error.message}`, code: "lost", retryable });

function busy({ url }: TestFetch, { status, headers }: FetchValue): WireError {
  const seconds = Number(headers["retry-after"]);
  const later = Number.isFinite(seconds) && headers["retry-after"] !== undefined ? { retryAfter: seconds * 1_000 } : {};
  return { name: "HttpStatus", message: `${url.split("?")[0]} answered ${status}`, code: String(status), retryable: true, ...later };
}
