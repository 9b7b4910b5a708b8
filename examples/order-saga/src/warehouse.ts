/**
 * A stand-in for a warehouse: it has lamps and no vases. Deliveries may come any minute, so being out of stock is worth a few more tries.
 */
import { setTimeout as pause } from "node:timers/promises";

/** Goods set aside for an order. */
export interface Reservation {
  sku: string;
  shelf: number;
}

const STOCK: ReadonlyMap<string, { left: number; shelf: number }> = new Map([
  ["lamp", { left: 1_000, shelf: 4 }],
  ["vase", { left: 0, shelf: 7 }],
]);

/** Sets goods aside. Throws `OutOfStock`. */
export async function reserve(sku: string): Promise<Reservation> {
  await pause(100);
  const goods = STOCK.get(sku);
  if (goods === undefined || goods.left === 0) throw Object.assign(new Error(`there is no ${sku} left`), { name: "OutOfStock" });
  return { sku, shelf: goods.shelf };
}

/** Puts goods back. */
export async function release(held: Reservation): Promise<string> {
  await pause(100);
  return `${held.sku} is back on shelf ${held.shelf}`;
}

/** Hands goods to the carrier; resolves to the parcel's number. */
export async function ship(held: Reservation): Promise<string> {
  await pause(100);
  return `1Z-${held.shelf}-${held.sku}`;
}
