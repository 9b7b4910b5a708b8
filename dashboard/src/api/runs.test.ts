/** A list puts what is new where it belongs, reads on where a page has no match, asks after long enough, and leaves a server alone that has refused. */
import { afterEach, expect, test, vi } from "vitest";
import { RunsList } from "./runs.ts";

const page = (items: object[], next: string | null): Response => new Response(JSON.stringify({ items, next }));

/** Answers pages by their number. The stream of changes says what it is given and stays open; without that it is refused, as an older server does. */
function serve(pages: (n: number) => Response, changes?: ReadableStream<Uint8Array>): { asked: string[] } {
  const asked: string[] = [];
  vi.stubGlobal("sessionStorage", { getItem: () => null });
  vi.stubGlobal("document", { visibilityState: "hidden" });
  vi.stubGlobal("fetch", (url: string) => {
    if (url.startsWith("/v1/watch")) return Promise.resolve(changes ? new Response(changes) : new Response("{}", { status: 404 }));
    asked.push(url);
    return Promise.resolve(pages(asked.length));
  });
  return { asked };
}

/** Waits until the list stands as wanted. */
async function stands(list: RunsList, wanted: object): Promise<void> {
  await vi.waitFor(() => expect(list.read()).toMatchObject(wanted));
}

let list: RunsList;
afterEach(() => {
  list.stop();
  vi.unstubAllGlobals();
});

test("empty pages are not the end", async () => {
  const { asked } = serve((n) => (n < 4 ? page([], `c${n}`) : page([{ id: "run_a" }], null)));
  list = new RunsList({ text: "rare" });
  list.start();
  await stands(list, { loading: false, complete: true, barren: false, rows: [{ id: "run_a" }] });
  expect(asked).toEqual(["", "&cursor=c1", "&cursor=c2", "&cursor=c3"].map((rest) => `/v1/runs?text=rare&limit=200${rest}`));
});

test("after ten pages without a match somebody is asked", async () => {
  const { asked } = serve((n) => (n < 15 ? page([], `c${n}`) : page([{ id: "run_a" }], null)));
  list = new RunsList({ text: "rare" });
  list.start();
  await stands(list, { loading: false, complete: false, barren: true, rows: [] });
  expect(asked.length).toBe(10);
  list.more();
  await stands(list, { complete: true, barren: false, rows: [{ id: "run_a" }] });
});

test("runs take their places by the time of their creation, whatever their ids are", async () => {
  const run = (id: string, second: number): object => ({ id, status: "failed", createdAt: `2026-01-01T00:00:0${second}.000Z` });
  let say: (items: object[]) => void = () => undefined;
  const changes = new ReadableStream<Uint8Array>({
    start(stream) {
      say = (items) => stream.enqueue(new TextEncoder().encode(`event: runs\ndata: ${JSON.stringify({ items })}\n\n`));
    },
  });
  serve(() => page([run("run_m", 7), run("run_k", 5), run("run_i", 3)], "older"), changes);
  list = new RunsList({ status: "failed" });
  list.start();
  await stands(list, { loading: false, live: true });
  const ids = (): string[] => list.read().rows.map((one) => one.id);
  // A fork that is newer than all, one that was created earlier and failed now, and one for a page that is still to come.
  say([run("run_a", 8), run("run_z", 4), run("run_b", 1)]);
  await vi.waitFor(() => expect(ids()).toEqual(["run_a", "run_m", "run_k", "run_z", "run_i"]));
  // A list does not move under a finger.
  list.top(false);
  say([run("run_c", 6)]);
  await stands(list, { unseen: 1 });
  expect(ids()).not.toContain("run_c");
  list.reveal();
  expect(ids()).toEqual(["run_a", "run_m", "run_c", "run_k", "run_z", "run_i"]);
});

test("where more came than a page has, the list begins anew instead of hiding some", async () => {
  const many = (from: number): object[] => Array.from({ length: 3 }, (_, i) => ({ id: `run_${from - i}`, status: "ready", createdAt: `2026-01-01T00:00:0${from - i}.000Z` }));
  let missed: () => void = () => undefined;
  const changes = new ReadableStream<Uint8Array>({
    start(stream) {
      missed = () => stream.enqueue(new TextEncoder().encode('event: missed\ndata: {"changes":9}\n\n'));
    },
  });
  let newest = 3;
  serve(() => page(many(newest), "older"), changes);
  list = new RunsList({});
  list.start();
  const ids = (): string[] => list.read().rows.map((one) => one.id);
  await stands(list, { loading: false, live: true });
  newest = 6;
  missed();
  await vi.waitFor(() => expect(ids()).toEqual(["run_6", "run_5", "run_4"]));
  expect(list.read().complete).toBe(false);
  list.top(false);
  newest = 9;
  missed();
  await stands(list, { unseen: 3 });
  expect(ids()).toEqual(["run_6", "run_5", "run_4"]);
  list.reveal();
  await vi.waitFor(() => expect(ids()).toEqual(["run_9", "run_8", "run_7"]));
});
