/**
 * The main journeys in a real browser, against a real server with real handlers: a run that failed at night is found, understood and mended;
 * what waits is sent what it waits for; many runs are acted on at once; everything can be reached, in both themes and on a phone.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, page } from "./lib/browser.mjs";
import { HOSTILE } from "./lib/hostile.mjs";
import { morning, open } from "./lib/world.mjs";

let world, browser, ids;
before(async () => {
  world = await open();
  browser = await launch();
  ids = await morning(world);
});
after(async () => {
  await browser?.close();
  await world?.close();
});

/** Does something in a page of its own, and holds the page to having no complaints. */
async function on(path, act, options) {
  const view = await page(browser, world, options);
  try {
    await view.goto(`${world.url}/ui/${path}`);
    await act(view);
    assert.deepEqual(view.complaints, []);
  } finally {
    await view.context().close();
  }
}

test("a run that failed is found, understood, and mended by a fork", () => on("", async (view) => {
  await view.getByRole("link", { name: /OutOfStock/ }).first().click();
  await view.getByRole("link", { name: /Newest/ }).first().click();
  await view.getByText("It failed after").waitFor();
  await view.getByText("connect ECONNREFUSED 10.0.0.7:5432").first().waitFor();
  await view.getByRole("button", { name: /^step reserve/ }).click();
  await view.getByText("Attempts that failed").waitFor();
  assert.equal(await view.locator(".attempts > li").count(), 3);
  await view.getByRole("button", { name: "Fork from here" }).click();
  const dialog = view.getByRole("dialog");
  await dialog.getByLabel("Outcome of reserve").fill('{"sku": "vase", "shelf": 9}');
  await dialog.getByText("Kept, not done again").waitFor();
  const before = view.url();
  await dialog.getByRole("button", { name: "Fork", exact: true }).click();
  await view.waitForURL((url) => url.href !== before && /runs\/run_/.test(url.pathname));
  const fork = view.url().match(/run_\w+/)[0];
  const run = await world.until(fork, (run) => run.status === "suspended" && run.wakeAt !== null);
  assert.equal(run.previous.origin, "fork");
  await view.getByText(/waits for signal/).waitFor();
}));

test("what waits says why, and is sent what it waits for", () => on(`runs/${ids.order}`, async (view) => {
  await view.getByText(/waits for signal/).waitFor();
  await view.getByText("Send signal approve …").click();
  await view.getByLabel("Data of the signal approve").fill('{"by": "ann"}');
  await view.getByRole("button", { name: "Send signal approve" }).click();
  // The page follows the run by itself: nobody reloads.
  await view.getByText(/It completed after/).waitFor();
  await view.getByRole("button", { name: /^step ship.* done/ }).waitFor();
  assert.equal((await world.run(ids.order)).ok.parcel.by, "ann");
}));

test("time travel shows the journal as the handler saw it", () => on(`runs/${ids.report}`, async (view) => {
  await view.getByRole("heading", { name: "Timeline" }).waitFor();
  const rows = view.locator(".timeline li");
  const all = await rows.count();
  assert.ok(all >= 5, `${all} rows`);
  await view.keyboard.press("[");
  await view.getByRole("slider", { name: /How many outcomes/ }).fill("0");
  await view.getByText("the handler knew its input").waitFor();
  await view.keyboard.press("]");
  await view.getByText(/1 of \d+, .* told of/).waitFor();
  assert.equal(await view.locator(".timeline .line[data-outcome=done]").count(), 1);
  await view.keyboard.press("Escape");
  await view.getByText("as it is now").waitFor();
}));

test("of a long timeline only what is looked for is shown, and a link to it shows the same", async () => {
  const id = await world.start("report", { regions: Array.from({ length: 12 }, (_, n) => `region-${n}`) });
  await world.until(id, (run) => run.status === "completed");
  await on(`runs/${id}`, async (view) => {
    const rows = view.locator(".timeline li");
    await view.getByLabel("Find entries by id, kind or error").fill("region-11");
    await view.getByText(/^1 of 1\d entries/).waitFor();
    assert.equal(await rows.count(), 1);
    await view.reload();
    await view.getByText(/^1 of 1\d entries/).waitFor();
    await view.getByRole("button", { name: "Trouble", exact: true }).click();
    await view.getByText("No entry is what is looked for.").waitFor();
    await view.getByRole("button", { name: "Show all" }).click();
    await view.getByText(/^1\d entries in/).waitFor();
  });
});

test("the list filters by the address, follows changes, and walks by keys", () => on("runs?status=failed", async (view) => {
  await view.locator(".rows .tr").first().waitFor();
  const statuses = await view.locator(".rows .tr .status").allTextContents();
  assert.deepEqual([...new Set(statuses)], ["failed"]);
  await view.getByRole("button", { name: "failed", exact: true }).click();
  await view.waitForURL((url) => !url.search.includes("status"));
  await view.locator(".rows .tr .status[data-status=completed]").first().waitFor();
  const id = await world.start("echo", { live: true });
  await view.locator(`.rows .tr a[href$="${id}"]`).waitFor();
  await view.getByRole("rowgroup", { name: /Use the arrow keys/ }).focus();
  await view.keyboard.press("j");
  await view.keyboard.press("j");
  await view.keyboard.press("k");
  await view.keyboard.press("Enter");
  await view.waitForURL(/runs\/run_/);
}));

test("many runs are cancelled at once: counted first, with progress", async () => {
  await world.call("POST", "/v1/functions/shop/bulk/pause");
  for (let i = 0; i < 3; i++) await world.call("POST", "/v1/events", Array.from({ length: 20 }, (_, n) => ({ name: "bulk/started", data: { n } })));
  await on("runs?function=bulk", async (view) => {
    await view.getByText("60 runs").waitFor();
    await view.getByRole("button", { name: "All that match" }).click();
    await view.getByRole("menuitem", { name: /Cancel/ }).click();
    await view.getByRole("button", { name: "Cancel 60 runs" }).click();
    await view.getByText(/60 of 60 done/).waitFor();
  });
  const { items } = await world.call("GET", "/v1/runs?function=bulk&status=cancelled&limit=200");
  assert.equal(items.length, 60);
});

test("one group of failures is shown, counted and retried alone", async () => {
  const other = await world.start("report", { regions: ["north"], broken: "sum" });
  await world.until(other, (run) => run.status === "failed");
  await on("failures", async (view) => {
    const group = view.locator("tr", { hasText: "reading 'total'" });
    await group.getByRole("link", { name: /^Runs/ }).click();
    await view.getByText("1 run", { exact: true }).waitFor();
    // The row says what went wrong, and so does the filter.
    await view.locator(`.rows .tr:has(a[href$="${ids.broken}"])`).getByText("TypeError: Cannot read properties of undefined (reading 'total')").waitFor();
    await view.getByRole("button", { name: /^message .*Remove the filter/ }).waitFor();
    assert.match(view.url(), /error=TypeError/);
    await view.goBack();
    await view.locator("tr", { hasText: "reading 'total'" }).getByRole("button", { name: "Retry …" }).click();
    await view.getByRole("button", { name: "Retry 1 run", exact: true }).click();
    await view.getByText(/1 of 1 done/).waitFor();
  });
  const forks = async (run) => (await world.call("GET", `/v1/runs?previous=${run}`)).items.length;
  assert.deepEqual([await forks(ids.broken), await forks(other)], [1, 0]);
});

test("a run that fails while the list is open says why there, on a phone as well", () => on("runs?function=report", async (view) => {
  await view.locator(".rows .tr").first().waitFor();
  const id = await world.start("report", { regions: ["north"], broken: "phone" });
  const row = view.locator(`.rows .tr:has(a[href$="${id}"])`);
  await row.getByText("(reading 'phone')", { exact: false }).waitFor();
  const done = view.locator(`.rows .tr:has(a[href$="${ids.report}"])`);
  await done.locator(".own-id").getByText(ids.report.slice(-8), { exact: false }).waitFor();
  const [first, second] = await view.locator(".rows .tr").evaluateAll((rows) => rows.map((one) => one.getBoundingClientRect()).sort((a, b) => a.top - b.top));
  assert.ok(first.bottom <= second.top + 1, "rows do not lie upon one another");
}, { width: 390, height: 844 }));

test("an event is sent by a form that follows the schema, and leads to its run", () => on("send?event=order%2Fcreated", async (view) => {
  await view.getByLabel("id", { exact: true }).fill("2001");
  await view.getByLabel("sku").selectOption({ label: "lamp" });
  await view.getByLabel("cents").fill("700");
  await view.getByRole("button", { name: "Send the event" }).click();
  await view.getByText("It started:").waitFor();
  await view.getByRole("link", { name: /shop\/order run_/ }).click();
  await view.getByText('"2001"').first().waitFor();
}));

test("a form follows what the event itself says that it looks like", () => on("send?event=order%2Fcomplained", async (view) => {
  await view.getByLabel("order", { exact: true }).fill("1001");
  await view.getByLabel("stars (optional)").fill("2");
  await view.getByRole("button", { name: "Send the event" }).click();
  await view.getByText("It started:").waitFor();
  const [sent] = (await world.call("GET", "/v1/events?name=order%2Fcomplained&limit=1")).items;
  assert.deepEqual(sent.data, { order: "1001", stars: 2 });
}));

test("a payload that looks like markup stays text", async () => {
  const id = await world.start("echo", { [HOSTILE]: HOSTILE, list: [HOSTILE] }, { runId: HOSTILE.slice(0, 60) });
  await world.until(id, (run) => run.status === "completed");
  await world.send("hostile/sent", { html: HOSTILE });
  await world.call("POST", `/v1/objects/shop/cart/${encodeURIComponent(HOSTILE.slice(0, 60))}/add`, { input: { sku: HOSTILE } });
  for (const path of ["", "runs", `runs/${id}`, `runs/${id}?view=code`, "events", "objects", "failures"]) {
    await on(path, async (view) => {
      await view.waitForLoadState("networkidle").catch(() => undefined);
      await view.locator("main h1").first().waitFor();
      assert.equal(await view.locator("main img, main script").count(), 0, path);
      assert.doesNotMatch(await view.title(), /owned/, path);
    });
  }
});

test("what went over the wire is there to look at", () => on(`runs/${ids.report}?view=wire`, async (view) => {
  await view.getByRole("button", { name: /shop\/report/ }).first().click();
  await view.getByText(/POST http:\/\/localhost:\d+/).waitFor();
  await view.getByText('"south-west"').first().waitFor();
}));

test("a filter is saved under a name, and found again", () => on("runs?status=backoff", async (view) => {
  await view.getByRole("button", { name: "Saved" }).click();
  await view.getByRole("menuitem", { name: /Save this filter/ }).click();
  await view.getByLabel("Name of the filter").fill("what hurts");
  await view.getByRole("button", { name: "Save", exact: true }).click();
  await view.goto(`${world.url}/ui/runs`);
  await view.getByRole("button", { name: "Saved" }).click();
  await view.getByRole("menuitem", { name: "what hurts" }).click();
  await view.waitForURL(/status=backoff/);
  await view.locator(".rows .tr .status[data-status=backoff]").first().waitFor();
}));

test("keys lead everywhere, and a run is found by its id", () => on("", async (view) => {
  await view.getByRole("heading", { name: "Overview" }).waitFor();
  await view.keyboard.press("g");
  await view.keyboard.press("f");
  await view.getByRole("heading", { name: "Functions" }).waitFor();
  await view.keyboard.press("Control+k");
  await view.getByRole("combobox", { name: "Go to" }).fill(ids.done);
  await view.keyboard.press("Enter");
  await view.waitForURL((url) => url.pathname.endsWith(ids.done));
  await view.keyboard.press("?");
  await view.getByRole("dialog", { name: "Keyboard" }).waitFor();
  await view.keyboard.press("Escape");
}));

test("where the server wants a key, the page asks for one and sends it with everything", async () => {
  const view = await page(browser, world);
  // The server has no keys yet; what it will answer without one is given here.
  await view.route(/\/(v1|dev)\//, (route) => (route.request().headers().authorization === "Bearer bsk_good" ? route.continue() : route.fulfill({ status: 401, contentType: "application/problem+json", body: JSON.stringify({ status: 401, code: "unauthorized", detail: "failed to know who asks: send an API key" }) })));
  await view.goto(`${world.url}/ui/runs`);
  await view.getByLabel("API key").fill("bsk_bad");
  await view.getByRole("button", { name: "Sign in" }).click();
  await view.getByText("failed to know who asks", { exact: false }).waitFor();
  await view.getByLabel("API key").fill("bsk_good");
  await view.getByRole("button", { name: "Sign in" }).click();
  await view.locator(".rows .tr").first().waitFor();
  assert.equal(await view.evaluate(() => sessionStorage.getItem("backstitch.key")), "bsk_good");
  assert.equal(await view.evaluate(() => Object.values(localStorage).join().includes("bsk_")), false);
  await view.context().close();
});

test("an app that cannot be reached says so, and what to look at", async () => {
  await world.stopShop();
  await world.call("POST", "/v1/apps/shop/sync").catch(() => undefined);
  await on("apps/shop", async (view) => {
    await view.getByText("The server cannot reach this app.").waitFor();
    await view.getByText("Does it listen at", { exact: false }).waitFor();
  });
  await on("", async (view) => view.getByText(/cannot be reached/).first().waitFor());
});
