// The meter in an app with a chat, on the gate itself.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BROWSER, type DashboardStack, startDashboard } from "./browser.ts";

describe.skipIf(!BROWSER)("<SpendMeter>", () => {
  let stack: DashboardStack;

  beforeAll(async () => {
    stack = await startDashboard();
  }, 120_000);

  afterAll(() => stack?.stop());

  it("shows what an answer cost, then that the quota refused, with the words of the 429", async () => {
    const tenant = await stack.createTenant({ name: "Acme" });
    const member = await stack.person(tenant.id);
    await stack.sql`
      insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
      values ('user', ${tenant.id}, ${member.id}, 'llm', 'day', 0.0006)`;
    const { page, signIn, close } = await stack.open();
    await page.goto(`${stack.url}/dashboard/example.html`);
    await page.getByRole("link", { name: "Sign in" }).waitFor();
    await signIn(member);

    await page.goto(`${stack.url}/dashboard/example.html?tenant=${tenant.id}`);
    const bar = page.getByRole("progressbar", { name: "Spent of your quota" });
    await bar.waitFor();
    // Of the tenant's $100 and the member's own, the member's.
    expect(await bar.getAttribute("aria-valuetext")).toBe(
      "$0.00 spent, $0.00 held, $0.0006 left of $0.0006 today",
    );

    const message = page.getByLabel("Message", { exact: true });
    await message.fill("Hello");
    await message.press("Enter");
    await page.getByText(/last answer \$0\.00/).waitFor();
    const [call] =
      await stack.sql`select actual_cost_usd::float as usd from spend.reservations where user_id = ${member.id}`;
    const shown = /last answer \$([\d.]+)/.exec(await page.locator("main").innerText())?.[1];
    expect(Number(shown)).toBeCloseTo(call?.usd, 7);
    await expect
      .poll(() => bar.getAttribute("aria-valuetext"))
      .toMatch(/^\$0\.000\d+ spent, \$0\.00 held/);

    for (let calls = 0; calls < 30; calls++) {
      await page.getByRole("button", { name: "Send" }).isEnabled();
      await message.fill(`Tell me more, part ${calls}.`);
      await message.press("Enter");
      await page.getByRole("button", { name: "Send", disabled: false }).waitFor();
      if ((await page.locator("[data-state=full]").count()) > 0) break;
    }
    expect(await page.getByRole("status").last().innerText()).toMatch(
      /user quota of \$0\.0006 per day for llm/,
    );
    expect(
      await stack.sql`select from spend.refusals_by_hour where user_id = ${member.id}`,
    ).toHaveLength(1);
    await close();
  });
});
