/**
 * Keys: `BACKSTITCH_KEY` read into material that WebCrypto can use. The kind of key decides the algorithm, never the token.
 */
import { MisuseError } from "../errors.js";
import { fromBase64url } from "./sha256.js";

/** A key as WebCrypto holds it. */
type CryptoKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/** A key that verifies requests. */
export interface VerifyingKey {
  readonly algorithm: "HS256" | "EdDSA";
  /** The key as WebCrypto takes it. */
  imported(): Promise<CryptoKey>;
}

/**
 * Imports when a request first asks, and keeps the value, never the promise: where each request has its own I/O (workerd), a promise that one
 * request began may never settle for another one; and at module scope nothing may begin at all.
 */
function lazily(importKey: () => Promise<CryptoKey>): () => Promise<CryptoKey> {
  let key: CryptoKey | undefined;
  return async () => (key ??= await importKey());
}

const ADVICE =
  "Write `bsk_` (a secret) or `bspk_` (an Ed25519 public key) and 32 bytes in base64url, two of them comma-separated while you change keys; " +
  "the server must have the same key for this app.";

function readKey(text: string, nth: number): VerifyingKey {
  const [, kind, encoded] = /^(bsk|bspk)_(.+)$/.exec(text) ?? [];
  const bytes = encoded === undefined ? null : fromBase64url(encoded);
  // The key itself is never shown: errors end up in logs.
  if (bytes === null || bytes.length !== 32) throw new MisuseError(`failed to read key ${nth} of BACKSTITCH_KEY (${text.length} characters). ${ADVICE}`);
  if (kind === "bsk") {
    return { algorithm: "HS256", imported: lazily(() => crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["verify"])) };
  }
  return { algorithm: "EdDSA", imported: lazily(() => crypto.subtle.importKey("raw", bytes, { name: "Ed25519" }, false, ["verify"])) };
}

/** The keys of `BACKSTITCH_KEY`; none if it is empty or not set. */
export function readKeys(variable: string | undefined): VerifyingKey[] {
  const texts = (variable ?? "").split(",").map((t) => t.trim());
  const keys = texts.filter((t) => t !== "").map((t, i) => readKey(t, i + 1));
  if (keys.length > 2) throw new MisuseError(`failed to read BACKSTITCH_KEY: it holds ${keys.length} keys, at most two are allowed. ${ADVICE}`);
  return keys;
}
