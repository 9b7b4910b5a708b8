/**
 * Signatures: is this request from the server of this app, and is it this request? See docs/reference/protocol.md, section 3.
 */
import type { VerifyingKey } from "./keys.js";
import { SIGNATURE_S_MAX, SKEW_S } from "./limits.js";
import { Problem } from "./problem.js";
import { fromBase64url, hex } from "./sha256.js";

/** What a valid signature says. */
export interface Claims {
  readonly sub: string;
  readonly inv: string | undefined;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const refuse = (detail: string): Problem => new Problem(401, "signature", detail);

async function verified(key: VerifyingKey, data: Uint8Array<ArrayBuffer>, signature: Uint8Array<ArrayBuffer>): Promise<boolean> {
  const algorithm = key.algorithm === "HS256" ? "HMAC" : "Ed25519";
  return crypto.subtle.verify(algorithm, await key.imported(), signature, data);
}

function readClaims(encoded: string): Record<string, unknown> {
  const bytes = fromBase64url(encoded);
  try {
    const claims: unknown = JSON.parse(decoder.decode(bytes ?? new Uint8Array()));
    if (typeof claims === "object" && claims !== null) return claims as Record<string, unknown>;
  } catch {
    // Falls through to the refusal.
  }
  throw refuse("the token's claims cannot be read");
}

function checkTimes(claims: Record<string, unknown>, nowS: number): void {
  const { iat, exp } = claims;
  if (typeof iat !== "number" || typeof exp !== "number") throw refuse("the token lacks `iat` or `exp`");
  if (exp - iat > SIGNATURE_S_MAX) throw refuse(`the token is valid for ${exp - iat} s, at most ${SIGNATURE_S_MAX} s are allowed`);
  const skew = `The clocks of server and handler may differ by ${SKEW_S} s: compare them.`;
  if (exp < nowS - SKEW_S) throw refuse(`the token expired ${Math.round(nowS - exp)} s ago. ${skew}`);
  if (iat > nowS + SKEW_S) throw refuse(`the token was issued ${Math.round(iat - nowS)} s in the future. ${skew}`);
}

/** Checks the signature of a request over its raw body. Throws a 401 `Problem` that says which check failed. */
export async function verifySignature(
  authorization: string | null,
  body: Uint8Array<ArrayBuffer>,
  expected: { keys: readonly VerifyingKey[]; app: string; nowMs: number },
): Promise<Claims> {
  const token = /^Bearer\s+(\S+)$/i.exec(authorization ?? "")?.[1];
  if (token === undefined) throw refuse("the request has no bearer token. BACKSTITCH_KEY is set, so every request must be signed: give the server the same key for this app");
  const [head, payload, encoded, more] = token.split(".");
  const signature = fromBase64url(encoded ?? "-");
  if (head === undefined || payload === undefined || signature === null || encoded === undefined || more !== undefined) throw refuse("the bearer token is not a JWT");
  const data = encoder.encode(`${head}.${payload}`);
  let good = false;
  for (const key of expected.keys) good ||= await verified(key, data, signature);
  if (!good) throw refuse("no key of BACKSTITCH_KEY fits the signature: it belongs to another app or environment, or the key was changed on one side only");
  const claims = readClaims(payload);
  if (claims.aud !== expected.app) throw refuse(`the token is for the app \`${String(claims.aud)}\`, this is \`${expected.app}\``);
  checkTimes(claims, expected.nowMs / 1000);
  const bod = hex(new Uint8Array(await crypto.subtle.digest("SHA-256", body)));
  if (claims.bod !== bod) throw refuse("the body is not the one that was signed: something between server and handler changes it");
  if (typeof claims.sub !== "string") throw refuse("the token lacks `sub`");
  return { sub: claims.sub, inv: typeof claims.inv === "string" ? claims.inv : undefined };
}
