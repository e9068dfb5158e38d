// npm run screenshots: docs/images, from the stack that runs (npm start) with its fleet (npm run demo -- --fleet).
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { FLEET_PASSWORD } from "../demo/fleet.ts";
import { runningStack } from "../stack/local_ports.ts";
import { main } from "../stack/main.ts";
import { PROJECT } from "../stack/paths.ts";
import { StackError } from "../stack/ports.ts";
import { localSettings } from "../stack/settings.ts";
import { CHROMIUM, launchBrowser, NO_CHROMIUM } from "./browser.ts";

const FOLDER = join(PROJECT, "docs/images");

interface Shot {
  file: string;
  person: "owner" | "operator";
  /** Below the tenant of the owner, or from the root. */
  address: string;
  theme: "light" | "dark";
  width?: number;
  height?: number;
}

const SHOTS: Shot[] = [
  { file: "overview", person: "owner", address: "tenant", theme: "light", height: 1000 },
  { file: "usage", person: "owner", address: "tenant/usage", theme: "dark" },
  { file: "people", person: "owner", address: "tenant/people", theme: "light" },
  { file: "phone", person: "owner", address: "tenant", theme: "dark", width: 390, height: 844 },
  { file: "fleet", person: "operator", address: "/operator/fleet", theme: "light" },
  { file: "near-limit", person: "operator", address: "/operator/near-limit", theme: "dark" },
  { file: "limits", person: "operator", address: "/operator/limits", theme: "light" },
];

await main(async () => {
  if (!CHROMIUM) throw new StackError(NO_CHROMIUM);
  const stack = await runningStack(localSettings().data);
  if (!stack) {
    throw new StackError("No stack is running. Run `npm start`, then `npm run demo -- --fleet`.");
  }
  const url = `${stack.url}/dashboard/`;
  await mkdir(FOLDER, { recursive: true });
  const browser = await launchBrowser();
  try {
    for (const { file, person, address, theme, width = 1280, height = 800 } of SHOTS) {
      const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme });
      const page = await context.newPage();
      await page.goto(url);
      await page.getByLabel("Email").fill(`${person}@example.com`);
      await page.getByLabel("Password").fill(FLEET_PASSWORD);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.locator("#main h1").waitFor();
      if (address.startsWith("tenant")) {
        // The tenant with most to show.
        const option = page
          .getByLabel("Tenant", { exact: true })
          .locator("option", { hasText: "Northwind" });
        const tenant = await option.getAttribute("value");
        await page.goto(`${url}#${address.replace("tenant", `/tenants/${tenant}`)}`);
      } else {
        await page.goto(`${url}#${address}`);
      }
      await page.reload();
      await page.waitForLoadState("networkidle");
      await page.screenshot({ path: join(FOLDER, `${file}.png`) });
      console.log(`docs/images/${file}.png`);
      await context.close();
    }
  } finally {
    await browser.close();
  }
});
