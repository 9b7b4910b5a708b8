/**
 * How every page looks and reads: the accessibility rules of axe in both themes, nothing wider than the screen from phone to desk, and pictures
 * of all of it for people to look at (SCREENSHOTS names a folder). It ends with a list as long as RUNS says.
 */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, page } from "./lib/browser.mjs";
import { busyHour, morning, open, schedules } from "./lib/world.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const folder = process.env.SCREENSHOTS;
const SIZES = [[1440, 900], [1024, 768], [390, 844]];
/** Rows of the long list; `RUNS=100000` is the whole of what the list is made for. */
const RUNS = Number(process.env.RUNS ?? 20_000);

/** Each page by a name: its path, or that and what is done there. */
let world, browser, places;
let gate = 0;
before(async () => {
  world = await open();
  browser = await launch();
  await schedules(world);
  await world.call("POST", "/v1/schedules/shop/totals/backfill", { from: new Date(Date.now() - 11 * 86_400_000).toISOString(), until: new Date().toISOString(), concurrency: 4 });
  await busyHour(world);
  const ids = await morning(world);
  places = {
    overview: ["", (view) => view.locator(".chart rect.completed").first().waitFor()], runs: "runs", run: `runs/${ids.order}?scale=folded`, entry: `runs/${ids.retried}?entry=reserve&scale=folded`, failed: `runs/${ids.failed}`, code: `runs/${ids.report}?view=code`, failures: "failures", events: "events",
    functions: "functions", function: "functions/shop/order", apps: "apps", app: "apps/shop", objects: "objects", jobs: "jobs", send: "send", schedules: "schedules", schedule: "schedules/shop/totals", held: "schedules/shop/cleanup-hourly", scheduled: "functions/shop/cleanup",
    found: "runs?tag=web&attribute=total%3Agte%3A50", ticks: "runs?schedule=shop%2Ftotals", nothing: "runs?tag=nobody-has-this", unschedulable: "schedules/shop/no-such-one", wire: "wire", lost: "no/such/page",
    backfill: ["schedules/shop/totals", async (view) => {
      await view.getByRole("button", { name: "Backfill …" }).click();
      await view.getByText(/times get a run|have a run already/).waitFor();
    }],
    pause: ["schedules/shop/probe", async (view) => {
      await view.getByRole("button", { name: "Pause …" }).click();
      await view.getByLabel("Note (optional)").waitFor();
    }],
    retry: ["failures", async (view) => {
      await view.getByRole("button", { name: "Retry …" }).first().click();
      await view.getByRole("button", { name: /^Retry \d/ }).waitFor();
    }],
    wrong: ["runs?attribute=total%3Abig", (view) => view.getByRole("alert").waitFor()],
    clock: ["send", async (view) => {
      await view.getByLabel("How far").fill("yesterday");
      await view.getByRole("button", { name: "Go" }).click();
      await view.getByRole("alert").waitFor();
    }],
    // Only who was there hears that something is taken back: a run for each picture.
    stream: [async () => `runs/${await world.start("answer", { gate: `looks-${++gate}` })}?view=stream`, async (view) => {
      await view.getByText("Perhaps it is a knot.").waitFor();
      await world.open(`looks-${gate}/1`);
      await view.locator(".stream del").waitFor();
    }],
  };
  if (folder) mkdirSync(folder, { recursive: true });
});
after(async () => {
  await browser?.close();
  await world?.close();
});

for (const theme of ["light", "dark"]) {
  test(`every page is accessible and fits, ${theme}`, async () => {
    const view = await page(browser, world, { theme });
    const problems = [];
    for (const [name, place] of Object.entries(places)) {
      const [path, act] = [place].flat();
      await view.setViewportSize({ width: SIZES[0][0], height: SIZES[0][1] });
      await view.goto(`${world.url}/ui/${typeof path === "string" ? path : await path()}`);
      await view.locator("main h1, main h2").first().waitFor();
      await view.locator(".skeleton").first().waitFor({ state: "detached" });
      await act?.(view);
      for (const [width, height] of SIZES) {
        await view.setViewportSize({ width, height });
        const wide = await view.evaluate(() => document.documentElement.scrollWidth - innerWidth + Math.max(0, document.querySelector("main").scrollWidth - document.querySelector("main").clientWidth));
        if (wide > 0) problems.push(`${name} is ${wide} px too wide at ${width}`);
        if (folder) await view.screenshot({ path: join(folder, `${name}-${width}-${theme}.png`) });
        if (width === 1024) continue;
        // The policy of the page forbids scripts from elsewhere, so axe comes in through the debugger.
        await view.evaluate(axe);
        const { violations } = await view.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
        for (const one of violations) problems.push(`${name} at ${width}: ${one.id}: ${one.nodes.slice(0, 3).map((node) => `${node.target.join(" ")} ${node.failureSummary.split("\n").slice(1, 3).join(" ")}`).join("; ")}`);
      }
    }
    assert.deepEqual(problems, []);
    await view.context().close();
  });
}

test("what is loaded at first is small", async () => {
  const view = await page(browser, world);
  let bytes = 0;
  view.on("response", (response) => {
    // The page may be closed while a stream of changes is still open: that one has no size.
    response.request().sizes().then((sizes) => { if (response.url().includes("/ui/")) bytes += sizes.responseBodySize; }, () => {});
  });
  await view.goto(`${world.url}/ui/runs`);
  await view.locator(".rows .tr").first().waitFor();
  await view.waitForTimeout(300);
  assert.ok(bytes > 50_000 && bytes <= 250 * 1024, `${bytes} bytes`);
  await view.context().close();
});

test(`${RUNS.toLocaleString("en")} runs scroll`, async () => {
  await world.call("POST", "/v1/functions/shop/bulk/pause");
  for (let sent = 0; sent < RUNS; sent += 1_000) await world.call("POST", "/v1/events", Array.from({ length: 1_000 }, (_, n) => ({ name: "bulk/started", data: n })));
  const view = await page(browser, world);
  await view.goto(`${world.url}/ui/runs?function=bulk`);
  await view.locator(".rows .tr").first().waitFor();
  // Scrolls through what is there at first, then to the end as fast as pages come, then through all of it.
  const measured = await view.evaluate(async (wanted) => {
    const rows = document.querySelector(".rows");
    const count = () => Number(document.querySelector(".table-note .faint").textContent.replace(/\D/g, ""));
    // The median frame on a way through the whole list.
    const through = async () => {
      const frames = [];
      for (let i = 0; i <= 60; i++) {
        const begin = performance.now();
        rows.scrollTop = (rows.scrollHeight * i) / 61;
        await new Promise(requestAnimationFrame);
        frames.push(performance.now() - begin);
      }
      return frames.toSorted((a, b) => a - b)[30];
    };
    const short = await through();
    const until = performance.now() + 400_000;
    while (count() < wanted && performance.now() < until) {
      rows.scrollTop = rows.scrollHeight;
      await new Promise(requestAnimationFrame);
    }
    return { count: count(), short, long: await through(), elements: document.querySelectorAll(".rows .tr").length };
  }, RUNS);
  console.log(measured);
  assert.ok(measured.count >= RUNS, JSON.stringify(measured));
  assert.ok(measured.elements < 120, `${measured.elements} rows are in the page`);
  // How fast a frame is depends on the machine; that a long list costs no more than a short one does not.
  assert.ok(measured.long < 3 * measured.short + 34, JSON.stringify(measured));
  await view.context().close();
});
