/**
 * What an operator does, in a real browser against a real server with real handlers: looks after schedules and makes up for days that were
 * missed, reads what a run says while it works, finds a run by what is known of it, and, in development, moves the clock.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, page } from "./lib/browser.mjs";
import { morning, open, schedules } from "./lib/world.mjs";

let world, browser, ids;
before(async () => {
  world = await open();
  browser = await launch();
  ids = await morning(world);
  await schedules(world);
});
after(async () => {
  await browser?.close();
  await world?.close();
});

/** Does something in a page of its own, and holds the page to having no complaints but those that are told here. */
async function on(path, act, { complaints = [], ...options } = {}) {
  const view = await page(browser, world, options);
  try {
    await view.goto(`${world.url}/ui/${path}`);
    await act(view);
    assert.deepEqual(view.complaints.filter((one) => !complaints.some((known) => known.test(one))), []);
  } finally {
    await view.context().close();
  }
}

test("schedules say when, why not, and what becomes of a tick that is early", () => on("schedules", async (view) => {
  const row = (name) => view.locator("tr", { has: view.getByRole("link", { name: `shop/${name}`, exact: true }) });
  await row("totals").getByText("Europe/Berlin").waitFor();
  await row("totals").getByText(/^in /).waitFor();
  await row("probe").getByText("every 6h").waitFor();
  await row("cleanup-hourly").getByText("paused").waitFor();
  await view.getByRole("link", { name: "shop/cleanup-hourly" }).click();
  await view.getByText("the warehouse moves").waitFor();
  await view.getByText("the tick is skipped").waitFor();
  assert.ok((await view.locator(".calendar-days time").count()) >= 5);
}));

test("a schedule is paused with a note, resumed, and started by hand", () => on("schedules/shop/probe", async (view) => {
  await view.getByText(/^Waits for its tick of/).waitFor();
  await view.getByRole("button", { name: "Pause …" }).click();
  await view.getByLabel("Note (optional)").fill("the line is cut");
  await view.getByRole("button", { name: "Pause", exact: true }).click();
  await view.getByText(/Paused since .*the line is cut/).waitFor();
  await view.getByText("none of these starts a run").waitFor();
  assert.equal((await world.call("GET", "/v1/schedules/shop/probe")).paused.note, "the line is cut");
  await view.getByRole("button", { name: "Resume" }).click();
  await view.getByText(/^Waits for its tick of/).waitFor();
  await view.getByRole("button", { name: "Start one now" }).click();
  await view.waitForURL(/runs\/run_/);
  await view.getByText(/It completed after/).waitFor();
  await view.goto(`${world.url}/ui/schedules/shop/probe`);
  await view.locator(".list .status[data-status=completed]").first().waitFor();
}));

test("days that were missed are made up for: seen first, then with progress", () => on("schedules/shop/totals", async (view) => {
  const dialog = view.getByRole("dialog", { name: "Backfill" });
  await view.getByRole("button", { name: "Backfill …" }).click();
  await dialog.getByLabel("From").fill("2026-03-01T00:00");
  await dialog.getByLabel("Until").fill("2026-02-01T00:00");
  await dialog.getByText("it begins after its end").waitFor();
  assert.ok(await dialog.getByRole("button", { name: "Start" }).isDisabled());
  await dialog.getByLabel("Until").fill("2026-03-11T00:00");
  await dialog.getByText("10 of 10 times get a run:").waitFor();
  // Nothing was started by looking.
  assert.equal((await world.call("GET", "/v1/schedules/shop/totals/runs")).items.length, 0);
  await dialog.getByLabel("Runs at a time").fill("2");
  const progress = [];
  await dialog.getByRole("button", { name: "Start 10 runs" }).click();
  const bar = dialog.getByRole("progressbar");
  await bar.waitFor();
  for (let done = -1; done < 10; ) {
    done = Number(await bar.getAttribute("aria-valuenow"));
    if (progress.at(-1) !== done) progress.push(done);
    await view.waitForTimeout(100);
  }
  assert.ok(progress.length >= 3, `its progress was ${progress}`);
  await dialog.getByText("10 of 10 done").waitFor();
  await dialog.getByRole("link", { name: "Its runs" }).click();
  await view.getByText("10 runs").waitFor();
  // They have their runs now.
  await view.goto(`${world.url}/ui/schedules/shop/totals`);
  await view.getByRole("button", { name: "Backfill …" }).click();
  await dialog.getByLabel("From").fill("2026-03-01T00:00");
  await dialog.getByLabel("Until").fill("2026-03-11T00:00");
  await dialog.getByText("All 10 times in this range have a run already.").waitFor();
  await dialog.getByLabel("Times that have a run").selectOption("all");
  await dialog.getByText("10 of 10 times get a run:").waitFor();
  // A range that lies in the time to come is refused by the server, and can be mended.
  await dialog.getByLabel("Until").fill("2099-01-01T00:00");
  await dialog.getByRole("alert").waitFor();
  await dialog.getByLabel("Until").fill("2026-03-02T00:00");
  await dialog.getByText("1 of 1 time gets a run:").waitFor();
}, { complaints: [/status of 422/] }));

test("what a run says comes as it is said, and what an attempt took back is crossed out", async () => {
  const id = await world.start("answer", { gate: "answer" });
  await on("", async (view) => {
    // The first connection breaks in the middle of the answer.
    const asked = [];
    await view.route(/\/stream(\?|$)/, async (route) => {
      asked.push(new URL(route.request().url()).searchParams.get("after"));
      if (asked.length > 1) return route.continue();
      await route.fulfill({ contentType: "text/event-stream", body: await beginning(route.request().url(), "knot.") });
    });
    await view.goto(`${world.url}/ui/runs/${id}?view=stream`);
    const words = (text) => view.locator(".stream-data", { hasText: text });
    await words("Perhaps it is a knot.").waitFor();
    assert.equal(await view.locator(".stream del").count(), 0);
    await world.open("answer/1");
    await view.locator("del", { hasText: "Perhaps it is a knot." }).waitFor();
    await words(/^A seam holds because each $/).waitFor();
    await world.open("answer/2");
    await words("A seam holds because each stitch holds the next.").waitFor();
    await view.getByText("The run has ended: nothing follows.").waitFor();
    // It was gone on with behind what was heard, and nothing was heard twice.
    assert.equal(asked.length, 2);
    assert.ok(Number(asked[1]) > 0, asked.join());
    assert.deepEqual(await view.locator(".stream li:not([data-cut=true]) .tag").allTextContents(), ["stage", "tokens", "usage", "stage"]);
    // Whoever comes later never hears of what was taken back.
    await view.reload();
    await view.locator(".stream-data", { hasText: "A seam holds because each stitch holds the next." }).waitFor();
    assert.equal(await view.locator(".stream del").count(), 0);
  });
});

/** What a stream says from its beginning to some words. */
async function beginning(url, words) {
  const stop = new AbortController();
  const response = await fetch(url, { headers: { accept: "text/event-stream" }, signal: stop.signal });
  let text = "";
  for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
    text += bytes;
    if (text.includes(words) && text.endsWith("\n\n")) break;
  }
  stop.abort();
  return text;
}

test("a run is found by what is known of it", () => on("runs", async (view) => {
  const field = (name) => view.locator(`input[name=${name}]`);
  const found = async (...wanted) => {
    await view.getByText(`${wanted.length} ${wanted.length === 1 ? "run" : "runs"}`, { exact: true }).waitFor();
    const links = await view.locator(".rows .whole-row").evaluateAll((all) => all.map((link) => link.href.match(/run_\w+/)[0]));
    assert.deepEqual(links.sort(), [...wanted].sort());
  };
  await field("tag").fill("web");
  await found(ids.order, ids.retried, ids.failed, ids.failedToo);
  await field("attribute").fill("total:gte:75");
  await found(ids.retried, ids.failedToo);
  // What is done with all that match goes by the same filter.
  await view.getByRole("button", { name: "All that match" }).click();
  await view.getByRole("menuitem", { name: "Pause …" }).click();
  await view.getByRole("button", { name: "Pause 1 run" }).waitFor();
  await view.keyboard.press("Escape");
  await view.getByRole("button", { name: "failed", exact: true }).click();
  await found(ids.failedToo);
  assert.match(view.url(), /tag=web/);
  // Whoever gets the link sees the same.
  await view.reload();
  await found(ids.failedToo);
  await view.getByRole("link", { name: "Clear" }).click();
  await field("text").fill("EVENING-mail");
  await found(ids.delayed);
  await view.getByText("evening-mail", { exact: true }).waitFor();
  await field("text").fill("");
  await field("key").fill("bob");
  await view.getByText("1 run", { exact: true }).waitFor();
  await view.getByText("key bob").waitFor();
  await world.call("POST", "/v1/schedules/shop/probe/trigger");
  const ticks = await world.call("GET", "/v1/runs?schedule=shop%2Fprobe");
  await view.goto(`${world.url}/ui/runs?schedule=shop%2Fprobe`);
  await found(...ticks.items.map((run) => run.id));
  await view.getByRole("button", { name: /schedule shop\/probe/ }).click();
  await view.waitForURL((url) => !url.search.includes("schedule"));
  const { event } = await world.run(ids.order);
  await view.goto(`${world.url}/ui/runs?event=${event}`);
  await found(ids.order);
  await view.goto(`${world.url}/ui/runs?tag=nobody-has-this`);
  await view.getByText("No run matches").waitFor();
  await view.getByRole("button", { name: "Show all runs" }).click();
  await view.locator(".rows .tr").first().waitFor();
}));

test("a run that comes to match later takes its place in the list, and so does a fork", async () => {
  const [older, newer] = [await world.start("invoice", { number: "late" }), await world.start("invoice", { number: "early" })];
  for (const id of [older, newer]) await world.until(id, (run) => run.status === "suspended");
  await world.call("POST", `/v1/runs/${newer}/kill`);
  await on("runs?status=cancelled&function=invoice", async (view) => {
    const links = () => view.locator(".rows .whole-row").evaluateAll((all) => all.map((link) => link.href.match(/run_\w+/)[0]));
    await view.getByText("1 run", { exact: true }).waitFor();
    await view.locator(".live.on").waitFor();
    await world.call("POST", `/v1/runs/${older}/kill`);
    await view.getByText("2 runs", { exact: true }).waitFor();
    assert.deepEqual(await links(), [newer, older]);
    const forks = [];
    for (const id of [older, newer, older]) forks.push((await world.call("POST", `/v1/runs/${id}/fork`, {})).id);
    for (const id of forks) await world.call("POST", `/v1/runs/${id}/kill`);
    await view.getByText("5 runs", { exact: true }).waitFor();
    assert.deepEqual(await links(), [...forks.reverse(), newer, older]);
  });
});

test("a filter that makes no sense is refused with the reason, and mended in its place", () => on("runs", async (view) => {
  const refused = [];
  view.on("response", (response) => response.status() === 422 && refused.push(response.url()));
  const field = view.locator("input[name=attribute]");
  await view.locator(".rows .tr").first().waitFor();
  // Nobody is told off in the middle of a word.
  await field.pressSequentially("total:g", { delay: 120 });
  await view.waitForTimeout(600);
  assert.deepEqual(refused, []);
  await field.press("Enter");
  await view.getByRole("alert").getByText("it has no operator, or no value", { exact: false }).waitFor();
  assert.equal(await view.getByText("it has no operator, or no value", { exact: false }).count(), 1);
  assert.equal(await view.getByRole("alert").getByRole("button").count(), 0);
  // What was refused is not asked for again and again.
  await world.start("echo", "while the filter is wrong");
  await view.waitForTimeout(2_000);
  assert.equal(refused.length, 1, refused.join(" "));
  await field.fill("total:gte:100");
  await view.locator(".rows .tr", { hasText: "total 129" }).waitFor();
  assert.equal(await view.getByRole("alert").count(), 0);
}, { complaints: [/status of 422/] }));

test("a run shows its tags and attributes, and leads to those that have the same", () => on(`runs/${ids.retried}`, async (view) => {
  const facts = view.locator(".facts").first();
  await facts.getByText("total 129").waitFor();
  await facts.getByRole("link", { name: "web" }).click();
  await view.getByText("4 runs", { exact: true }).waitFor();
  await view.goBack();
  await facts.getByRole("link", { name: "sku chair" }).click();
  await view.getByText("1 run", { exact: true }).waitFor();
  assert.equal(await view.locator("input[name=attribute]").inputValue(), 'sku:eq:"chair"');
}));

test("the overview says what the server counts", () => on("", async (view) => {
  const counts = (query = "") => world.call("GET", `/v1/runs/counts${query}`);
  const { total, statuses } = await counts();
  const ended = ["completed", "failed", "cancelled", "continued"].reduce((sum, status) => sum + (statuses[status] ?? 0), 0);
  const tile = (name) => view.locator(".tile", { hasText: name });
  await tile("Runs created").getByText(String(total), { exact: true }).waitFor();
  const share = (100 * statuses.failed) / ended;
  await tile("Failed").getByText(`${share.toFixed(share < 10 ? 1 : 0)}%`, { exact: true }).waitFor();
  await tile("Waiting").getByText(String(statuses.suspended), { exact: true }).waitFor();
  // The columns, as a screen reader has them, come to the same.
  const chart = (caption) => view.locator(".chart-frame table", { hasText: caption });
  const cells = await chart("Runs by the time of their creation").locator("tbody td").allTextContents();
  assert.equal(cells.reduce((sum, cell) => sum + Number(cell), 0), total);
  // A run that fails now is among them a moment later.
  const id = await world.start("report", { regions: ["north"], broken: "discount" });
  await world.until(id, (run) => run.status === "failed");
  await tile("Runs created").getByText(String(total + 1), { exact: true }).waitFor();
  // The page keeps none of it: who comes later sees the same past.
  await view.reload();
  await chart("How long runs took").locator("tbody tr").first().waitFor({ state: "attached" });
  await chart("Share of the runs that ended which failed").locator("tbody tr").first().waitFor({ state: "attached" });
  const stats = await world.call("GET", "/v1/stats?span=1h");
  const open = stats.pieces.filter((piece) => piece.open !== null).length;
  assert.ok(open > 0, "the server has counted the open runs");
  assert.equal(await chart("The most runs that were open at once").locator("tbody tr").count(), open);
  await tile("Failed").click();
  await view.locator(`.rows a[href$="${id}"]`).waitFor();
}));

test("failures that differ in ids and numbers only are one line, and are tried again together", () => on("failures", async (view) => {
  const row = view.locator("tr", { hasText: "OutOfStock" });
  await row.getByText("shop/order").waitFor();
  assert.equal((await row.locator("td").nth(2).textContent()).trim(), "2");
  const { items } = await world.call("GET", "/v1/failures");
  assert.equal(await view.locator("tbody tr").count(), items.length);
  await row.getByRole("button", { name: "Retry …" }).click();
  const dialog = view.getByRole("dialog");
  // It says which runs it means.
  await dialog.getByText("the warehouse has no vase on shelf …", { exact: false }).waitFor();
  await dialog.getByRole("button", { name: "Retry 2 runs" }).click();
  await dialog.getByText("2 of 2 done").waitFor();
  const forks = (await world.call("GET", `/v1/runs?previous=${ids.failed}`)).items;
  assert.equal(forks.length, 1);
}));

test("a calendar shows the days that have their runs, and those to come", async () => {
  const until = Date.now();
  const from = until - 4 * 86_400_000;
  await world.call("POST", "/v1/schedules/shop/totals/backfill", { from: new Date(from).toISOString(), until: new Date(until).toISOString(), concurrency: 4 });
  await on("schedules/shop/totals", async (view) => {
    const marks = view.locator(".weeks .mark[data-status=completed]");
    await marks.nth(3).waitFor();
    assert.equal(await marks.count(), 4);
    await view.locator(".weeks td[data-today=true]").waitFor();
    assert.ok((await view.locator(".weeks .mark", { hasText: "to come" }).count()) >= 4);
  });
});

test("an old version is drained, and its runs are moved to the current one", async () => {
  const ends = [await world.pinned("v1")];
  const id = (await world.call("POST", "/v1/functions/pinned/hold/runs", {})).id;
  await world.until(id, (run) => run.status === "suspended");
  ends.push(await world.pinned("v2"));
  await on("apps/pinned", async (view) => {
    const row = (version) => view.locator("tr", { hasText: version });
    await row("v2").getByText("current").waitFor();
    assert.equal(await row("v1").locator("td").nth(3).textContent(), "1");
    await row("v1").getByRole("button", { name: "Drain" }).click();
    await row("v1").getByText("draining").waitFor();
    await row("v1").getByRole("button", { name: "Move its runs …" }).click();
    await view.getByRole("button", { name: "Move 1 run", exact: true }).click();
    await view.getByText("1 of 1 done").waitFor();
    await view.getByRole("button", { name: "Close", exact: true }).last().click();
    await row("v1").getByText("retired").waitFor();
  });
  const { items } = await world.call("GET", "/v1/apps/pinned/deployments");
  assert.equal((await world.run(id)).deployment, items.find((one) => one.version === "v2").id);
  await Promise.all(ends.map((end) => end()));
});

test("an event says what it started and woke, and is sent again", async () => {
  const { id } = (await world.call("POST", "/v1/events", { name: "payment/settled", data: { invoice: "R-77" } })).events[0];
  await world.until(ids.invoice, (run) => run.status === "completed");
  await on(`events/${id}`, async (view) => {
    await view.getByRole("heading", { name: "It woke" }).waitFor();
    await view.getByRole("link", { name: /shop\/invoice/ }).click();
    await view.waitForURL((url) => url.pathname.endsWith(ids.invoice) && url.search.includes("entry=bank"));
  });
  const order = (await world.call("GET", "/v1/events?name=order%2Fcreated")).items.find((one) => one.data.id === "1003");
  await on(`events/${order.id}`, async (view) => {
    await view.getByRole("link", { name: /shop\/order/ }).first().waitFor();
    await view.getByRole("link", { name: "Send it again …" }).click();
    await view.getByLabel("id", { exact: true }).fill("1003-again");
    await view.getByRole("button", { name: "Send the event" }).click();
    await view.getByText("It started:").waitFor();
  });
  const [newest] = (await world.call("GET", "/v1/events?name=order%2Fcreated&limit=1")).items;
  assert.deepEqual(newest.data, { ...order.data, id: "1003-again" });
});

test("runs that match are made again at once, each as a fork", () => on(`runs?function=echo&status=completed`, async (view) => {
  const { total } = await world.call("GET", "/v1/runs/counts?function=echo&status=completed");
  await view.getByRole("button", { name: "All that match" }).click();
  await view.getByRole("menuitem", { name: /Fork/ }).click();
  await view.getByRole("button", { name: `Fork ${total} ${total === 1 ? "run" : "runs"}`, exact: true }).click();
  await view.getByText(`${total} of ${total} done`).waitFor();
  assert.equal((await world.call("GET", `/v1/runs?previous=${ids.done}`)).items.length, 1);
}));

test("a run is copied as calls, as commands and as a test", () => on(`runs/${ids.report}?view=code`, async (view) => {
  await view.getByText(`curl ${world.url}/v1/runs/${ids.report}`, { exact: false }).first().waitFor();
  await view.getByRole("tab", { name: "Command line" }).click();
  await view.getByText(`backstitch run ${ids.report}`, { exact: false }).first().waitFor();
  await view.getByRole("tab", { name: "Test" }).click();
  await view.getByText('"regions/north/sum"', { exact: false }).first().waitFor();
  await view.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await view.getByRole("button", { name: "Copy", exact: true }).last().click();
  await view.getByText("Copied", { exact: true }).first().waitFor({ state: "attached" });
  assert.match(await view.evaluate(() => navigator.clipboard.readText()), /testRun\(report, \{/);
}));

test("the clock is moved on, and what waited for a time goes on", async () => {
  const id = await world.start("trial", null);
  await world.until(id, (run) => run.status === "suspended");
  await on("send", async (view) => {
    const clock = view.getByRole("region", { name: "Clock" });
    const now = async () => (await world.call("GET", "/dev/clock")).now;
    const before = Date.parse(await now());
    await clock.getByRole("button", { name: "1 hour" }).click();
    await clock.getByText(/It is .* now\./).waitFor();
    const after = Date.parse(await now());
    assert.ok(after - before >= 3_600_000, `${after - before} ms`);
    await clock.getByText(/ahead of this machine's/).waitFor();
    const { next } = await world.call("GET", "/dev/clock");
    await clock.getByRole("button", { name: "To the next timer" }).click();
    await clock.getByText(/It stopped at \d+ timers? on its way/).waitFor();
    assert.ok(Date.parse(await now()) >= Date.parse(next));
    await clock.getByLabel("How far").fill("yesterday");
    await clock.getByRole("button", { name: "Go" }).click();
    await clock.getByRole("alert").waitFor();
  }, { complaints: [/status of 4\d\d/] });
  await on(`runs/${id}`, async (view) => {
    await view.getByRole("button", { name: /^skip 6d/ }).click();
    await view.getByText(/It completed after 7d/).waitFor();
  });
});
