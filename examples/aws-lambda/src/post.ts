/** A stand-in for a service that sends letters: it prints them, and knows what it has sent. */

/** A letter. */
export interface Post {
  kind: "invoice" | "reminder" | "warning" | "overdue";
  to: string;
  cents: number;
  /** One letter is sent for one key, however often it is asked for. */
  key: string;
}

/** Sends a letter; gives its number. */
export async function post({ kind, to, cents, key }: Post): Promise<string> {
  console.log(`letter to ${to}: ${kind} of ${(cents / 100).toFixed(2)} EUR (${key})`);
  return `letter-${key}`;
}
