/** A stand-in for a payment provider that knows its requests by their keys, as real ones do: the same key pays once. */
import { setTimeout as pause } from "node:timers/promises";

/** Money that was taken. */
export interface Charge {
  id: string;
  cents: number;
}

const charges = new Map<string, Charge>();

/** Takes money. */
export async function charge(key: string, cents: number): Promise<Charge> {
  let taken = charges.get(key);
  if (taken === undefined) {
    taken = { id: `ch_${charges.size + 1}`, cents };
    charges.set(key, taken);
  }
  await pause(Number(process.env.PROVIDER_MS ?? 300));
  return taken;
}
