/**
 * A stand-in for a payment provider: a ledger in a file that knows every request by its key, as real providers do. A request that comes
 * twice under one key moves money once and gets the same answer twice.
 */
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { appendLine } from "./step-log.js";

/** A line of the ledger. */
export interface Booking {
  kind: "charge" | "refund";
  id: string;
  key: string;
  cents: number;
  at: string;
}

/** Where the ledger is, `LEDGER`, and how long the provider takes to answer once the money has moved, `PROVIDER_MS`. */
const settings = () => ({ file: process.env.LEDGER ?? "ledger.jsonl", answerMs: Number(process.env.PROVIDER_MS ?? 300) });

/** Takes money. */
export async function charge(key: string, cents: number): Promise<Booking> {
  return book("charge", key, () => cents);
}

/** Gives back what a charge took. */
export async function refund(key: string, chargeId: string): Promise<Booking> {
  return book("refund", key, (ledger) => {
    const charged = ledger.find((booking) => booking.id === chargeId);
    if (charged === undefined) throw new Error(`failed to refund ${chargeId}: the ledger has no such charge`);
    return -charged.cents;
  });
}

async function book(kind: Booking["kind"], key: string, cents: (ledger: Booking[]) => number): Promise<Booking> {
  const { file, answerMs } = settings();
  const ledger = existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line) as Booking) : [];
  let booking = ledger.find((known) => known.key === key);
  if (booking === undefined) {
    const id = `${kind === "charge" ? "ch" : "re"}_${ledger.length + 1}`;
    booking = { kind, id, key, cents: cents(ledger), at: new Date().toISOString() };
    appendLine(file, booking);
  }
  // The money has moved; the answer is still on its way. A process that dies now does not know whether it paid.
  await pause(answerMs);
  return booking;
}
