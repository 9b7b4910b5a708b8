/**
 * Problems: every refusal of the SDK, typed so that the server knows what to hold and people know what to do.
 */

/** The kinds of refusals. */
export type ProblemCode = "signature" | "unknown_function" | "protocol" | "too_large" | "raw_body_unavailable" | "sdk";

const TITLES: Record<ProblemCode, string> = {
  signature: "The request is not signed by the server of this app",
  unknown_function: "This app has no such function",
  protocol: "The request cannot be read",
  too_large: "The request is too large",
  raw_body_unavailable: "The request's raw bytes are gone",
  sdk: "The SDK failed",
};

/** A refusal, thrown inside the SDK and printed at its edge. */
export class Problem extends Error {
  override readonly name = "Problem";

  constructor(
    readonly status: number,
    readonly code: ProblemCode,
    readonly detail: string,
  ) {
    super(`${TITLES[code]}: ${detail}`);
  }

  /** The body of the response. */
  print(): string {
    return JSON.stringify({ type: "about:blank", title: TITLES[this.code], status: this.status, code: this.code, detail: this.detail });
  }
}

/** What an adapter throws whose host has read the body already. `fix` says how this host is told to leave it alone. */
export function rawBodyUnavailable(fix: string): Problem {
  return new Problem(500, "raw_body_unavailable", `something read the body before Backstitch did, and the signature covers the raw bytes: ${fix}`);
}
