/**
 * The HTTP side of an app, without a host: a request in, a response out. Adapters only translate.
 *
 * Everything outside is refused here, typed, before user code is reached: unsigned, unreadable, oversized, unknown. Errors of user
 * code are answers, not problems.
 */
import type { Backstitch } from "./app.js";
import { durationMs } from "./duration.js";
import { execute } from "./execute.js";
import type { FunctionDefinition } from "./function.js";
import { answerLate, HttpCheckpoints, Reach } from "./links/checkpoints.js";
import { RemoteJournal } from "./links/journal.js";
import { KeptJournals } from "./links/kept.js";
import { byFetch, type Caller, type Transport } from "./links/request.js";
import { Together } from "./links/together.js";
import { Stale } from "./replay/checkpointer.js";
import { Abandoned, type ReplayOptions } from "./replay/replay.js";
import { type Answer, type Op, printAnswer } from "./wire/answer.js";
import { type Invocation, InvocationError, readInvocation } from "./wire/invocation.js";
import { readKeys, type VerifyingKey } from "./wire/keys.js";
import { ANSWER_RESERVE_MS, INVOCATION_MS_MAX, PROTOCOL, SDK, SLOW_AFTER_MS } from "./wire/limits.js";
import { type Env, type HostLimits, makeManifest, type Manifest } from "./wire/manifest.js";
import { Problem } from "./wire/problem.js";
import { type Claims, verifySignature } from "./wire/signature.js";

/** A request, as far as it matters. */
export interface HttpRequest {
  readonly method: string;
  header(name: string): string | null;
  /** The raw body, or null if it has more bytes than that. */
  body(bytesMax: number): Promise<Uint8Array<ArrayBuffer> | null>;
  /** Aborts when the server has gone away. */
  readonly signal?: AbortSignal;
}

/** A response. A body that is a promise is slow: send status, headers and a newline at once, then a newline every 10 s, then the text. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string | Promise<string>;
  /**
   * Offers the answer to the server once more, for up to a minute: to be called if the connection was gone before the body was out.
   * Absent where there is no way.
   */
  readonly undelivered?: () => Promise<void>;
}

/** What the host says and can. All of it is found out by itself where it is left out. */
export interface ServeOptions {
  /** Variables of the environment; those of the process if left out. */
  env?: Env;
  /** What the host can take, where the SDK does not know it. `outbound: false` says that the app cannot reach the server: it then never tries. */
  limits?: Partial<HostLimits>;
  /**
   * Where the app is served, for hosts whose deployments have addresses of their own (Vercel): `/api/backstitch` if left out. With
   * `backstitch/node` and `backstitch/koa` it is also the only path that is answered.
   */
  path?: string;
  /**
   * For how many milliseconds an invocation is kept open when nothing can be done but something may settle soon. 1,000 with the adapters of
   * servers that stay (`node`, `express`, `fastify`, `koa`, `bun`, `deno`); 0 with the others, whose hosts charge for it.
   */
  lingerMs?: number;
}

/** What a host knows about one request. */
export interface HostFacts {
  /** Milliseconds until the host ends the request. */
  readonly remainingMs?: number;
  /** The time, in milliseconds since 1970: for tests. */
  readonly nowMs?: number;
  /** After how many milliseconds an answer becomes slow: for tests. */
  readonly slowAfterMs?: number;
}

/** An invocation under way. */
interface Running {
  readonly text: Promise<string>;
  readonly undelivered?: () => Promise<void>;
}

const decoder = new TextDecoder("utf-8", { fatal: true });

function processEnv(): Env {
  return (globalThis as { process?: { env?: Env } }).process?.env ?? {};
}

/** An app behind HTTP. */
export class HttpHandler {
  readonly #app: Backstitch;
  readonly #dev: boolean;
  readonly #keys: readonly VerifyingKey[];
  readonly #limits: Partial<HostLimits>;
  readonly #env: Env;
  readonly #path: string;
  readonly #lingerMs: number;
  readonly #transport: Transport;
  readonly #together: Together | undefined;
  readonly #reach = new Reach();
  readonly #kept = new KeptJournals();
  #described: { manifest: Manifest; hash: string; functions: number } | undefined;

  /** A transport of the host's own may serve several invocations at once. Throws `MisuseError` if the key cannot be read. */
  constructor(app: Backstitch, options: ServeOptions = {}, transport?: Transport) {
    this.#app = app;
    this.#env = options.env ?? processEnv();
    this.#limits = options.limits ?? {};
    this.#path = (options.path ?? "/api/backstitch").replace(/^\/*/, "/");
    this.#transport = transport ?? byFetch;
    this.#together = transport === undefined ? undefined : new Together(transport);
    this.#lingerMs = options.lingerMs ?? 0;
    this.#dev = this.#env.BACKSTITCH_DEV === "1";
    this.#keys = readKeys(typeof this.#env.BACKSTITCH_KEY === "string" ? this.#env.BACKSTITCH_KEY : undefined);
  }

  /** What the app says about itself. */
  get manifest(): Manifest {
    return this.#describe().manifest;
  }

  /** How requests are checked: `signed`, `open` (dev, without a key), or `closed` (no key, not dev). */
  get access(): "signed" | "open" | "closed" {
    return this.#keys.length > 0 ? "signed" : this.#dev ? "open" : "closed";
  }

  /** Answers one request. Never rejects, unless the request was aborted. */
  async handle(request: HttpRequest, host: HostFacts = {}): Promise<HttpResponse> {
    try {
      if (request.method === "GET") return await this.#discover(request, host);
      if (request.method === "POST") return await this.#invoke(request, host);
      throw new Problem(405, "protocol", `${request.method} is not spoken here: GET describes the app, POST invokes a function`);
    } catch (error) {
      if (error instanceof Abandoned) throw error;
      return this.#problem(error instanceof Problem ? error : new Problem(500, "sdk", `${(error as Error).name}: ${(error as Error).message}`));
    }
  }

  #describe(): { manifest: Manifest; hash: string } {
    const { functions } = this.#app;
    // Functions may be defined after the handler was made, as modules load.
    if (this.#described?.functions !== functions.size) {
      const described = this.#app.describe();
      this.#described = { ...makeManifest(this.#app.id, described.functions, described.objects, { env: this.#env, limits: this.#limits, path: this.#path }), functions: functions.size };
    }
    return this.#described as { manifest: Manifest; hash: string };
  }

  async #discover(request: HttpRequest, host: HostFacts): Promise<HttpResponse> {
    const { functions } = this.#app;
    if (request.header("authorization") === null && (request.header("accept") ?? "").includes("text/html")) {
      const count = functions.size === 1 ? "1 function" : `${functions.size} functions`;
      return this.#respond(200, "text/plain; charset=utf-8", `Backstitch app \`${this.#app.id}\`, ${count}. This is where a Backstitch server calls it; there is nothing to see for a browser.\n`);
    }
    const claims = await this.#verify(request, new Uint8Array(), host);
    if (claims !== null && claims.sub !== "discover") throw new Problem(401, "signature", "the token is for an invocation, not for discovery");
    return this.#respond(200, "application/json", JSON.stringify(this.manifest));
  }

  async #invoke(request: HttpRequest, host: HostFacts): Promise<HttpResponse> {
    const { limits } = this.manifest;
    const version = request.header("backstitch-protocol");
    if (version !== null && !(Number(version) >= PROTOCOL.min && Number(version) <= PROTOCOL.max)) {
      throw new Problem(400, "protocol", `this SDK speaks versions ${PROTOCOL.min} to ${PROTOCOL.max} of the protocol, not ${version}: update the older of server and SDK`);
    }
    const body = await request.body(limits.requestBytes);
    if (body === null) throw new Problem(413, "too_large", `the request has more than ${limits.requestBytes} bytes, which is \`limits.requestBytes\` of this app`);
    const claims = await this.#verify(request, body, host);
    const invocation = read(body);
    if (claims !== null && claims.sub !== invocation.run.id) throw new Problem(401, "signature", "the token is for another run than the body");
    if (claims !== null && claims.inv !== invocation.token) throw new Problem(401, "signature", "the token is for another invocation than the body");
    return this.#soon(await this.#execute(invocation, request, host), invocation, host);
  }

  async #verify(request: HttpRequest, body: Uint8Array<ArrayBuffer>, host: HostFacts): Promise<Claims | null> {
    if (this.access === "open") return null;
    if (this.access === "closed") {
      throw new Problem(
        401,
        "signature",
        "this app has no key, so it cannot know who is asking. For development set BACKSTITCH_DEV=1; anywhere else set BACKSTITCH_KEY=bsk_… to the key that the server has for this app",
      );
    }
    return verifySignature(request.header("authorization"), body, { keys: this.#keys, app: this.#app.id, nowMs: host.nowMs ?? Date.now() });
  }

  /** Begins the invocation. The answer is wrapped, since it is not to be waited for here. */
  async #execute(received: Invocation, request: HttpRequest, host: HostFacts): Promise<Running> {
    const { run, links, token } = received;
    const fn = this.#functionOf(received);
    const { limits } = this.manifest;
    const caller: Caller = { token, transport: this.#transport };
    const rest = limits.outbound && links.journal !== null ? new RemoteJournal(links.journal, caller, this.#kept) : undefined;
    const invocation = rest === undefined ? received : await rest.complete(received);
    const reports = limits.outbound ? links.checkpoint : null;
    const hostMs = host.remainingMs ?? (limits.seconds ?? Number.POSITIVE_INFINITY) * 1000;
    const ownMs = durationMs(fn.options.timeouts?.invocation ?? INVOCATION_MS_MAX);
    const options: ReplayOptions = {
      // A handler that can report, or bring its answer late, need not stop when the connection closes: the server may be back in a moment.
      ...(request.signal === undefined || reports !== null ? {} : { signal: request.signal }),
      timeoutMs: Math.max(0, Math.min(hostMs, ownMs) - ANSWER_RESERVE_MS),
      ...(reports === null || !this.#reach.open ? {} : { checkpointer: this.#reporter(reports, caller, received) }),
      ...(rest === undefined ? {} : { fetchEntry: (id: string) => rest.entry(id) }),
      ...(this.#dev ? { warn: (message: string) => this.#app.log.warn(`backstitch: ${message}`, { run: run.id }) } : {}),
    };
    const answer = execute(this.#app, fn, invocation, options).catch((error: unknown): Answer => {
      // Nobody reads this: it is only there to end the request.
      if (error instanceof Stale) return { token, seen: 0, ops: [] };
      throw error;
    });
    if (this.#dev) answer.then(({ ops }) => this.#tell(ops, invocation)).catch(() => undefined);
    const text = answer.then((a) => printAnswer(a, limits.responseBytes));
    if (reports === null) return { text };
    const late = async (): Promise<void> => void (await answerLate(reports, caller, printAnswer(await answer, limits.responseBytes, true)));
    return { text, undelivered: () => late().catch(() => undefined) };
  }

  #functionOf({ run }: Invocation): FunctionDefinition {
    const fn = this.#app.functions.get(run.function);
    if (run.app !== this.#app.id) throw new Problem(404, "unknown_function", `this is the app \`${this.#app.id}\`, the run belongs to \`${run.app}\`: register this URL for \`${this.#app.id}\` only`);
    if (fn !== undefined) return fn;
    const known = [...this.#app.functions.keys()].slice(0, 20).map((id) => `\`${id}\``).join(", ");
    throw new Problem(404, "unknown_function", `the app \`${run.app}\` has no function \`${run.function}\`. It has: ${known === "" ? "none" : known}. If it was renamed, keep the old id until its runs are over`);
  }

  #reporter(url: string, caller: Caller, invocation: Invocation): HttpCheckpoints {
    const tell = this.#dev ? { tell: (ops: readonly Op[]) => this.#tell(ops, invocation) } : {};
    const together = invocation.links.reports === null ? undefined : this.#together?.to(invocation.links.reports);
    return new HttpCheckpoints({ url, caller, together, lingerMs: this.#lingerMs, reach: this.#reach, ...tell });
  }

  /** In dev, what failed is shown where the developer looks: in the app's own output. */
  #tell(ops: readonly Op[], { run }: Invocation): void {
    for (const op of ops) {
      if ((op.op !== "fail" && op.op !== "step") || op.err === undefined) continue;
      const what = op.op === "fail" ? `function \`${run.function}\`` : `step \`${op.id}\` (attempt ${op.attempt})`;
      const next = op.err.retryable === false ? "final" : "the server decides when to try again";
      this.#app.log.warn(`backstitch: ${what} failed: ${op.err.name}: ${op.err.message} (${next})`, { run: run.id });
    }
  }

  /** Gives the answer in one piece, or, if it takes long and the host can, slowly. */
  async #soon({ text, undelivered }: Running, invocation: Invocation, host: HostFacts): Promise<HttpResponse> {
    const respond = (body: string | Promise<string>): HttpResponse => ({ ...this.#respond(200, "application/json", body), ...(undelivered === undefined ? {} : { undelivered }) });
    if (!this.manifest.limits.streams) return respond(await text);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const slow = new Promise<null>((resolve) => {
      timer = setTimeout(() => resolve(null), host.slowAfterMs ?? SLOW_AFTER_MS);
    });
    try {
      const whole = await Promise.race([text, slow]);
      if (whole !== null) return respond(whole);
    } finally {
      clearTimeout(timer);
    }
    // The status is on its way, so from here on a defect of the SDK is an answer too.
    const late = text.catch((error: unknown) => {
      if (error instanceof Abandoned) throw error;
      return printAnswer({ token: invocation.token, seen: 0, ops: [{ op: "fail", err: { name: "SdkError", message: String(error), retryable: true } }] }, 1 << 20);
    });
    return respond(late);
  }

  #problem(problem: Problem): HttpResponse {
    if (this.#dev) this.#app.log.warn(`backstitch: answered ${problem.status} ${problem.code}: ${problem.detail}`);
    const { headers, ...response } = this.#respond(problem.status, "application/problem+json", problem.print());
    return { ...response, headers: problem.status === 405 ? { ...headers, allow: "GET, POST" } : headers };
  }

  #respond(status: number, type: string, body: string | Promise<string>): HttpResponse {
    const { manifest, hash } = this.#describe();
    const headers = {
      "content-type": type,
      "cache-control": "no-store",
      "backstitch-sdk": SDK,
      "backstitch-deployment": `${manifest.deployment.id};${hash}`,
    };
    return { status, headers, body };
  }
}

function read(body: Uint8Array): Invocation {
  try {
    return readInvocation(decoder.decode(body));
  } catch (error) {
    if (error instanceof InvocationError) throw new Problem(400, "protocol", error.message);
    throw new Problem(400, "protocol", "the body is not UTF-8");
  }
}
