/** The prices, and a stand-in for a payment provider that knows its requests by their keys, as real ones do: the same key pays once. */

/** What one can subscribe to. */
export type Plan = "basic" | "pro";

/** What a period costs, in cents. */
export const PRICES: Record<Plan, number> = { basic: 900, pro: 2_900 };

const charges = new Map<string, number>();

/** Takes money, once a key. Resolves to what was taken. */
export async function charge(key: string, cents: number): Promise<number> {
  if (!charges.has(key)) {
    charges.set(key, cents);
    console.log(`charged ${cents} cents`);
  }
  return charges.get(key) ?? cents;
}
