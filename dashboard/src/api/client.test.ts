/** Server-sent events in pieces, addresses, and entries in their places. */
import { expect, test } from "vitest";
import { address, messages, path } from "./client.ts";
import { put } from "./run.ts";
import { entry } from "../lib/waterfall.test.ts";

test("messages are whole, however the stream is cut", () => {
  const text = ": alive\n\nevent: run\nid: 1\ndata: {\"a\":1}\r\n\r\ndata: x\ndata: y\n\nevent: end\ndata: {}\n\n";
  for (const size of [1, 2, 3, 7, 1_000]) {
    const found: string[] = [];
    const feed = messages(({ event, id, data }) => found.push(`${event} ${id} ${data}`));
    for (let i = 0; i < text.length; i += size) feed(text.slice(i, i + size));
    expect(found).toEqual(['run 1 {"a":1}', "message 1 x\ny", "end 1 {}"]);
  }
});

test("addresses leave out what is empty and encode the rest", () => {
  expect(address("/v1/runs", { status: "failed,paused", app: undefined, key: "", text: "a&b c" })).toBe("/v1/runs?status=failed%2Cpaused&text=a%26b+c");
  expect(path("objects", "shop", "cart", "a/b?")).toBe("/objects/shop/cart/a%2Fb%3F");
});

test("an entry replaces the one of its place", () => {
  const [a, b] = [entry("a", "step", 0, 1, { idx: 1 }), entry("b", "step", 0, 1, { idx: 2 })];
  expect(put([b], a).map((one) => one.id)).toEqual(["a", "b"]);
  expect(put([a, b], { ...a, ok: 1 })[0]!.ok).toBe(1);
});
