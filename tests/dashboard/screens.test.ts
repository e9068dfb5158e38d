// Every screen, full of data, for those who cannot see it well, have no mouse, or a small display.
import axe, { type AxeResults, type RunOptions } from "axe-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FLEET_PASSWORD, makeFleet } from "../../scripts/demo/fleet.ts";
import { BROWSER, type DashboardPage, type DashboardStack, startDashboard } from "./browser.ts";

const RULES: RunOptions = {
  runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  // What is well takes as long to describe as what is not.
  resultTypes: ["violations"],
};
const THEMES = ["light", "dark"] as const;

const TENANT_SCREENS = ["", "/usage", "/people", "/calls", "/changes", "/channels"];
const OPERATOR_SCREENS = [
  "/operator/fleet",
  "/operator/near-limit?percent=0&quota=1",
  "/operator/holds",
  "/operator/refusals?days=30",
  "/operator/unusual",
  "/operator/limits",
  "/operator/prices?search=gpt-4o",
  "/operator/channels",
  "/operator/health",
];

describe.skipIf(!BROWSER)("screens", () => {
  let stack: DashboardStack;
  let dashboard: DashboardPage;
  let tenant: string;

  beforeAll(async () => {
    // Where mail is sent, one may sign in by a code, too.
    stack = await startDashboard({ mail: { send: async () => {} } });
    await makeFleet({
      url: stack.url,
      publishableKey: stack.keys.publishable,
      databaseUrl: stack.database.url,
      tenants: 8,
    });
    expect(await stack.sql`select * from spend.verify_balances()`).toEqual([]);
    // One person who sees everything: an owner, and an operator too.
    const [owner] = await stack.sql`select id from auth.users where email = 'owner@example.com'`;
    await stack.sql`insert into spend.operators (user_id, role) values (${owner?.id}, 'editor')`;
    dashboard = await stack.open();
    await dashboard.signIn({ email: "owner@example.com" }, FLEET_PASSWORD);
    const [first] = await stack.sql`
      select m.tenant_id from spend.tenant_members as m join spend.tenants as t on t.id = m.tenant_id
      where m.user_id = ${owner?.id} and t.plan_id = 'business'`;
    tenant = `/tenants/${first?.tenant_id}`;
  }, 180_000);

  afterAll(() => stack?.stop());

  const SCREENS = [...TENANT_SCREENS.map((screen) => `tenant${screen}`), ...OPERATOR_SCREENS];
  const addressOf = (screen: string) => screen.replace(/^tenant/, tenant);

  const shownTheme = "document.documentElement.dataset.theme";

  async function violations(): Promise<string[]> {
    const { page } = dashboard;
    if (await page.evaluate("typeof axe === 'undefined'")) await page.evaluate(axe.source);
    const found = (await page.evaluate(
      `axe.run(document, ${JSON.stringify(RULES)})`,
    )) as AxeResults;
    return found.violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
  }

  // A screen is loaded once: it follows the system's theme and the window's width.
  it.each(SCREENS)(
    "axe finds nothing on %s, light or dark, wide or narrow, and 390 px need no sideways scroll",
    async (screen) => {
      const { page, go } = dashboard;
      await page.setViewportSize({ width: 1280, height: 900 });
      await go(addressOf(screen));
      for (const theme of THEMES) {
        await page.emulateMedia({ colorScheme: theme });
        await page.setViewportSize({ width: 1280, height: 900 });
        await expect.poll(() => page.evaluate(shownTheme)).toBe(theme);
        expect(await violations()).toEqual([]);

        await page.setViewportSize({ width: 390, height: 844 });
        await expect.poll(() => page.evaluate("document.documentElement.scrollWidth")).toBe(390);
        expect(await violations()).toEqual([]);
      }
    },
  );

  describe.each(THEMES)("%s by choice", (theme) => {
    beforeAll(() => dashboard.page.evaluate(`localStorage.setItem("spendgate-theme", "${theme}")`));

    it("axe finds nothing in a dialog, nor on the page to sign in", async () => {
      const { page, go } = dashboard;
      await page.setViewportSize({ width: 1280, height: 900 });
      await go(`${tenant}/calls`);
      expect(await page.evaluate(shownTheme)).toBe(theme);
      await page.getByRole("table").getByRole("link").first().click();
      await page.getByRole("dialog").getByRole("table").waitFor();
      expect(await violations()).toEqual([]);
      await page.keyboard.press("Escape");

      await go("/operator/limits");
      await page
        .getByRole("button", {
          name: "Change LLM calls per month for each tenant of the plan team",
        })
        .click();
      await page.getByLabel("Limit in USD for each tenant").fill("41");
      await page.getByRole("button", { name: "Review" }).click();
      expect(await page.getByRole("dialog").innerText()).toMatch(/\d tenants? follows?/);
      expect(await violations()).toEqual([]);
      await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();

      await go(`${tenant}/channels`);
      await page.getByRole("button", { name: "Change #spend" }).click();
      await page.getByLabel("Incoming webhook URL").waitFor();
      expect(await violations()).toEqual([]);
      await page.setViewportSize({ width: 390, height: 844 });
      await expect.poll(() => page.evaluate("document.documentElement.scrollWidth")).toBe(390);
      expect(await violations()).toEqual([]);
      await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();

      await page.setViewportSize({ width: 1280, height: 900 });
      await go(`${tenant}/changes`);
      await page
        .getByRole("button", { name: /^Mute:/ })
        .first()
        .click();
      await page.getByRole("button", { name: "Review" }).click();
      await page.getByRole("table", { name: "Before and after" }).waitFor();
      expect(await violations()).toEqual([]);
      await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();

      const signedOut = await stack.open();
      await signedOut.page.emulateMedia({ colorScheme: theme });
      await signedOut.page.goto(`${stack.url}/dashboard/`);
      await signedOut.page.getByLabel("Email").waitFor();
      const kept = dashboard;
      dashboard = signedOut;
      expect(await violations()).toEqual([]);
      await signedOut.page.getByRole("button", { name: "Use a one-time code" }).click();
      await signedOut.page.getByRole("button", { name: "Send a code" }).waitFor();
      expect(await violations()).toEqual([]);
      dashboard = kept;
      await signedOut.close();
    });
  });

  it("no screen complained", () => {
    expect(dashboard.complaints).toEqual([]);
  });

  it("the keyboard alone reaches each screen, and a limit", async () => {
    const { page, go } = dashboard;
    await page.setViewportSize({ width: 1280, height: 900 });
    await go(tenant);
    const names = [
      "Usage",
      "Calls",
      "People",
      "Alerts and changes",
      "Channels",
      "Fleet",
      "Near limit",
      "Holds and sandboxes",
    ];
    names.push("Refusals", "Unusual spend", "Limits and plans", "Prices");
    names.push("Platform channels", "Health");
    for (const name of names) {
      await tabTo(name);
      await page.keyboard.press("Enter");
      await page.locator("h1", { hasText: name }).waitFor();
    }
    await tabTo("Overview", "Shift+Tab");
    await page.keyboard.press("Enter");
    await page.getByRole("progressbar").first().waitFor();
    await tabTo(/^Change the limit/);
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    // The focus is where it was.
    await expect.poll(focused).toMatch(/^Change the limit/);
  });

  async function focused(): Promise<string> {
    return (await dashboard.page.evaluate(
      "document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? ''",
    )) as string;
  }

  async function tabTo(name: string | RegExp, key = "Tab"): Promise<void> {
    for (let press = 0; press < 120; press++) {
      const at = await focused();
      if (typeof name === "string" ? at === name : name.test(at)) return;
      await dashboard.page.keyboard.press(key);
    }
    throw new Error(`${name} is not reached by ${key}`);
  }

  it("an address has all that was chosen: another browser shows the same", async () => {
    const { page, go } = dashboard;
    await go(`${tenant}/usage`);
    await page.getByLabel("Range").selectOption("90");
    await page.getByLabel("Per").selectOption("week");
    await page.getByLabel("Group by").selectOption("task");
    await page.getByRole("heading", { name: "By week" }).waitFor();
    const heading = await page.locator("section h2").first().innerText();
    expect(heading).toMatch(/^\$\d.* calls$/);
    const other = await stack.open();
    await other.signIn({ email: "owner@example.com" }, FLEET_PASSWORD);
    await other.page.goto(page.url());
    await other.page.reload();
    await other.page.getByRole("heading", { name: heading }).waitFor();
    expect(await other.page.getByLabel("Per").inputValue()).toBe("week");
    expect(await other.page.getByLabel("Group by").inputValue()).toBe("task");
    await other.close();
  });
});
