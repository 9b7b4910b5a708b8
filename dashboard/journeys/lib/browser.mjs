/** The browser of the journeys: Debian's Chromium without a window, with everything that it would do by itself switched off. */
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

/** How long something may take to appear. Nothing waits for it: it is what a machine that builds at the same time may need. */
const PATIENCE_MS = 40_000;
const PLACES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export async function launch() {
  const executablePath = PLACES.find((path) => path && existsSync(path));
  if (!executablePath) throw new Error("there is no Chromium: on Debian `apt-get install chromium`, or set CHROMIUM to its path");
  return chromium.launch({
    executablePath,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

/** A page of the dashboard that fails the test when the page itself complains. */
export async function page(browser, world, { width = 1440, height = 900, theme = "light" } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, baseURL: `${world.url}/ui/`, reducedMotion: "reduce", locale: "en-GB", timezoneId: "UTC" });
  const made = await context.newPage();
  made.setDefaultTimeout(PATIENCE_MS);
  made.complaints = [];
  made.on("pageerror", (error) => made.complaints.push(String(error)));
  made.on("console", (message) => message.type() === "error" && made.complaints.push(message.text()));
  return made;
}
