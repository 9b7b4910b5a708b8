/**
 * A shopping cart for each customer: an object whose key is the customer. One change of a cart runs at a time, in the order of arrival, so
 * nothing is lost when two tabs add at once, also while a checkout waits for the payment; looking does not wait for anybody.
 */
import { Backstitch, exclusive, NonRetriableError, type ObjectContext, shared, type SharedContext } from "backstitch";
import { charge } from "./payments.js";

/** What lies in a cart. */
export interface Item {
  sku: string;
  cents: number;
  count: number;
}

/** What is kept of a cart. */
export interface Cart {
  items: Item[];
  /** How often it was checked out. */
  orders: number;
}

/** What a checkout comes to. */
export interface Receipt {
  order: string;
  charge: string;
  cents: number;
}

export const app = new Backstitch({ id: "carts" });

/** The cart of a customer: `cart("ann").add`. */
export const cart = app.object({ id: "cart" }, {
  /** Puts something in; resolves to what all of it costs. */
  add: exclusive(async ({ state, input }: ObjectContext<Cart, Item>) => {
    const items = state.get("items") ?? [];
    const others = items.filter((item) => item.sku !== input.sku);
    const same = items.find((item) => item.sku === input.sku);
    state.set("items", [...others, { ...input, count: input.count + (same?.count ?? 0) }]);
    return total(state.get("items") ?? []);
  }),

  /** Pays for what is in the cart, and empties it. Whoever adds in the meantime waits, and finds an empty cart. */
  checkout: exclusive(async ({ key, state, step, run }: ObjectContext<Cart, null>): Promise<Receipt> => {
    const items = state.get("items") ?? [];
    if (items.length === 0) throw new NonRetriableError(`the cart of ${key} is empty`, { name: "EmptyCart" });
    run.setStatus({ phase: "paying", cents: total(items) });
    const paid = await step.run("charge", ({ idempotencyKey }) => charge(idempotencyKey, total(items)), { retry: { attempts: 5 } });
    const orders = (state.get("orders") ?? 0) + 1;
    state.set({ items: [], orders });
    return { order: `${key}-${orders}`, charge: paid.id, cents: paid.cents };
  }),

  /** What is in the cart. */
  show: shared(async ({ state }: SharedContext<Cart, null>) => {
    const items = state.get("items") ?? [];
    return { items, cents: total(items), orders: state.get("orders") ?? 0 };
  }),
});

function total(items: readonly Item[]): number {
  return items.reduce((sum, item) => sum + item.cents * item.count, 0);
}
