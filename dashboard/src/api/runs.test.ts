/** A list reads on where a page has no match, asks after long enough, and leaves a server alone that has refused. */
import { afterEach, expect, test, vi } from "vitest";
import { RunsList } from "./runs.ts";

const page = (items: { id: string }[], next: string | null): Response => new Response(JSON.stringify({ items, next }));

/** Answers pages by their number; the stream of changes is refused, as an older server does. */
function serve(pages: (n: number) => Response): { asked: string[] } {
  const asked: string[] = [];
  vi.stubGlobal("sessionStorage", { getItem: () => null });
  vi.stubGlobal("document", { visibilityState: "hidden" });
  vi.stubGlobal("fetch", (url: string) => {
    if (url.startsWith("/v1/watch")) return Promise.resolve(new Response("{}", { status: 404 }));
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
