/**
 * The manifest: what an app says about itself on discovery, and which version of it is speaking.
 * See docs/reference/protocol.md, section 1.
 */
import { BODY_BYTES_MAX, LAMBDA_BODY_BYTES_MAX, PROTOCOL, SDK, VERCEL_BODY_BYTES_MAX } from "./limits.js";
import type { Duration, Json } from "../types.js";
import { hex, sha256 } from "./sha256.js";

/** Variables of the environment. */
export type Env = Readonly<Record<string, unknown>>;

/** What starts a function. */
export type ManifestTrigger = { event: string; if?: string; schema?: object } | ({ cron: string; tz?: string } & ManifestSchedule) | ({ every: Duration; offset?: Duration } & ManifestSchedule) | { failureOf: string };

/** How a schedule goes about its times. */
export interface ManifestSchedule {
  id?: string;
  jitter?: Duration;
  overlap?: string;
  catchUp?: Duration;
  input?: Json;
}

/** A function in the manifest. */
export interface ManifestFunction {
  id: string;
  name?: string;
  triggers: ManifestTrigger[];
  retry?: object;
  timeouts?: object;
  cancelOn?: object[];
  input?: object;
}

/** An object in the manifest. Its handlers' ids are their own, without the object's. */
export interface ManifestObject {
  id: string;
  handlers: (ManifestFunction & { mode: "exclusive" | "shared" })[];
}

/** What the host can take. */
export interface HostLimits {
  /** Bytes of a request. */
  requestBytes: number;
  /** Bytes of a response. */
  responseBytes: number;
  /** Seconds that an invocation may last, if the host ends it. */
  seconds?: number;
  /** Whether a response can be sent slowly. */
  streams: boolean;
  /** Whether the handler can reach the server. */
  outbound: boolean;
}

/** Which version of the app this is. */
export interface Deployment {
  id: string;
  url?: string;
  immutable: boolean;
}

/** The manifest. */
export interface Manifest {
  protocol: { min: number; max: number };
  sdk: string;
  app: string;
  deployment: Deployment;
  limits: HostLimits;
  functions: ManifestFunction[];
  /** Left out where there are none. */
  objects?: ManifestObject[];
}

const text = (env: Env, name: string): string | undefined => (typeof env[name] === "string" && env[name] !== "" ? (env[name] as string) : undefined);

/**
 * The deployment, where the host or the environment says which it is. Immutable is one with an address of its own, that serves this code for
 * ever: Vercel's have one, others have what `BACKSTITCH_DEPLOYMENT_URL` says.
 */
function recognised(env: Env, path: string): Deployment | undefined {
  const vercel = text(env, "VERCEL_DEPLOYMENT_ID");
  const vercelUrl = text(env, "VERCEL_URL");
  // Variables that were pulled to a laptop name a deployment that this code is not.
  const deployed = text(env, "VERCEL_ENV") !== "development";
  if (vercel !== undefined && vercelUrl !== undefined && deployed) return { id: vercel, url: `https://${vercelUrl}${path}`, immutable: true };
  const id = text(env, "BACKSTITCH_VERSION") ?? lambdaVersion(env) ?? workersVersion(env) ?? text(env, "DENO_DEPLOYMENT_ID");
  const url = text(env, "BACKSTITCH_DEPLOYMENT_URL");
  return id === undefined ? undefined : url === undefined ? { id, immutable: false } : { id, url, immutable: true };
}

/** The published version of a function on Lambda. Its address is an alias's or the newest version's, which leads elsewhere tomorrow. */
function lambdaVersion(env: Env): string | undefined {
  const version = text(env, "AWS_LAMBDA_FUNCTION_VERSION");
  return version === undefined || version === "$LATEST" ? undefined : `${text(env, "AWS_LAMBDA_FUNCTION_NAME") ?? "lambda"}-${version}`;
}

/** The version of a Worker, where it has the binding that tells. */
function workersVersion({ CF_VERSION_METADATA: metadata }: Env): string | undefined {
  const id = (metadata as { id?: unknown } | undefined)?.id;
  return typeof id === "string" && id !== "" ? id : undefined;
}

function defaultLimits(env: Env): HostLimits {
  const bytes = text(env, "VERCEL") !== undefined ? VERCEL_BODY_BYTES_MAX : text(env, "AWS_LAMBDA_FUNCTION_NAME") !== undefined ? LAMBDA_BODY_BYTES_MAX : BODY_BYTES_MAX;
  // A Lambda's response is buffered unless its URL says otherwise, and newlines would then help nobody.
  return { requestBytes: bytes, responseBytes: bytes, streams: text(env, "AWS_LAMBDA_FUNCTION_NAME") === undefined || text(env, "VERCEL") !== undefined, outbound: true };
}

/** What the host says for the manifest. */
export interface ManifestHost {
  readonly env: Env;
  readonly limits: Partial<HostLimits>;
  /** Where the app is served at a deployment's own address. */
  readonly path: string;
}

/** Makes the manifest, and the hash that tells two of them apart. */
export function makeManifest(app: string, functions: ManifestFunction[], objects: ManifestObject[], { env, limits, path }: ManifestHost): { manifest: Manifest; hash: string } {
  const body = { protocol: PROTOCOL, sdk: SDK, app, limits: { ...defaultLimits(env), ...limits }, functions, ...(objects.length === 0 ? {} : { objects }) };
  const known = recognised(env, path);
  const hash = hex(sha256(JSON.stringify([body, known ?? null]))).slice(0, 16);
  const deployment = known ?? { id: hash, immutable: false };
  return { manifest: { protocol: body.protocol, sdk: SDK, app, deployment, limits: body.limits, functions, ...(objects.length === 0 ? {} : { objects }) }, hash };
}
