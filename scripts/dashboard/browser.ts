// The browser that is installed: for screenshots, and for the tests of the dashboard.
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const PLACES = [
  process.env.SPENDGATE_CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/** Path of a Chromium; undefined where there is none. */
export const CHROMIUM = PLACES.find((place) => place && existsSync(place));

export const NO_CHROMIUM =
  "There is no Chromium. Install it (apt-get install chromium), or set SPENDGATE_CHROMIUM to its path.";

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: ["--headless", "--no-sandbox", "--disable-gpu"],
  });
}
