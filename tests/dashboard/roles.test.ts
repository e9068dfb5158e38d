// Who sees what, and what an edit does, in a browser.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  BROWSER,
  bookCall,
  type DashboardStack,
  PASSWORD,
  type Person,
  startDashboard,
} from "./browser.ts";

describe.skipIf(!BROWSER)("roles", () => {
  let stack: DashboardStack;
  let acme: { id: string };
  let globex: { id: string };
  let owner: Person;
  let member: Person;

  beforeAll(async () => {
    stack = await startDashboard();
    acme = await stack.createTenant({ name: "Acme" });
    globex = await stack.createTenant({ name: "Globex" });
    owner = await stack.person(acme.id, "owner");
    member = await stack.person(acme.id, "member");
    const stranger = await stack.person(globex.id, "owner");
    await bookCall(stack, acme.id, owner.id, 2000);
    await bookCall(stack, acme.id, member.id, 1000);
    await bookCall(stack, globex.id, stranger.id, 9000);
  }, 120_000);

  afterAll(() => stack?.stop());

  it("a wrong password is told, the right one opens the tenant, and signing out closes it", async () => {
    const { page, signIn, close } = await stack.open();
    await page.goto(`${stack.url}/dashboard/`);
    await page.getByLabel("Email").fill(owner.email);
    await page.getByLabel("Password").fill("wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    expect(await page.getByRole("alert").innerText()).not.toBe("");

    await signIn(owner);
    expect(await page.locator("h1").innerText()).toBe("Overview");
    expect(page.url()).toContain(acme.id);

    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Password").waitFor();
    await close();
  });

  it("who signs up is a member of no tenant, and is told his id", async () => {
    const { page, close } = await stack.open();
    await page.goto(`${stack.url}/dashboard/`);
    await page.getByRole("button", { name: "Sign up" }).click();
    await page.getByLabel("Email").fill("new@example.com");
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Sign up" }).click();
    await page.getByText("You are a member of no tenant yet").waitFor();
    const [{ id }] =
      (await stack.sql`select id from auth.users where email = 'new@example.com'`) as unknown as [
        { id: string },
      ];
    expect(await page.locator("#main").innerText()).toContain(id);
    await close();
  });

  it("an owner sees no other tenant: not in an answer, and not by a forged address", async () => {
    const { page, signIn, go, complaints, close } = await stack.open();
    const bodies: Promise<string>[] = [];
    page.on("response", (response) => bodies.push(response.text().catch(() => "")));
    await signIn(owner);
    for (const screen of ["", "/usage", "/people", "/calls", "/changes", "/channels"]) {
      await go(`/tenants/${globex.id}${screen}`);
      expect(await page.locator("h1").innerText()).toBe("No such tenant");
    }
    for (const screen of [
      "fleet",
      "near-limit",
      "holds",
      "refusals",
      "unusual",
      "limits",
      "prices",
      "channels",
      "health",
    ]) {
      await go(`/operator/${screen}`);
      expect(await page.locator("h1").innerText()).toBe("For operators");
    }
    for (const screen of ["", "/usage", "/people", "/calls", "/changes", "/channels"]) {
      await go(`/tenants/${acme.id}${screen}`);
    }
    const seen = (await Promise.all(bodies)).join("\n") + (await page.content());
    expect(seen).toContain("Acme");
    expect(seen).not.toContain("Globex");
    expect(complaints).toEqual([]);
    await close();
  });

  it("a member sees his own call and no screen of the tenant's people; an owner sees both calls", async () => {
    const seen = await stack.open();
    await seen.signIn(member);
    await seen.go(`/tenants/${acme.id}/calls`);
    expect(await seen.page.getByRole("row").count()).toBe(1 + 1);
    expect(await seen.page.getByRole("link", { name: "People" }).count()).toBe(0);
    await seen.go(`/tenants/${acme.id}/changes`);
    await seen.page.getByText("For owners and admins of the tenant").waitFor();
    await seen.go(`/tenants/${acme.id}/channels`);
    await seen.page.getByText("For owners and admins of the tenant").waitFor();
    expect(seen.complaints).toEqual([]);
    await seen.close();

    const all = await stack.open();
    await all.signIn(owner);
    await all.go(`/tenants/${acme.id}/calls`);
    expect(await all.page.getByRole("row").count()).toBe(1 + 2);
    await all.close();
  });

  it("an owner lowers a member's limit: before and after are shown, the next call is refused, the change is in the list", async () => {
    const { page, signIn, go, close } = await stack.open();
    await signIn(owner);
    await go(`/tenants/${acme.id}/people`);
    await page.getByRole("button", { name: `Add a limit for ${member.email}` }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Limit in USD").fill("0.0001");
    await dialog.getByRole("button", { name: "Review" }).click();
    const row = dialog.getByRole("row", { name: /LLM calls per month/ });
    expect(await row.innerText()).toMatch(/no limit of their own\s+\$0\.00010?$/);
    const before = await stack.sql`select from spend.cost_quotas where scope_id = ${member.id}`;
    expect(before).toHaveLength(0);
    await dialog.getByRole("button", { name: "Set $0.0001" }).click();
    await dialog.waitFor({ state: "detached" });
    await page
      .getByRole("button", { name: `Change LLM calls per month of ${member.email}` })
      .waitFor();

    await expect(bookCall(stack, acme.id, member.id)).rejects.toThrow(/user quota|tenant quota/);
    await go(`/tenants/${acme.id}/changes`);
    await page.getByText(`Limit added: LLM calls per month of ${member.email}`).waitFor();
    const [{ user_id }] = (await stack.sql`
      select user_id from spend.audit_log where table_name = 'cost_quotas' order by id desc limit 1`) as unknown as [
      { user_id: string },
    ];
    expect(user_id).toBe(owner.id);

    await go(`/tenants/${acme.id}/people`);
    await page
      .getByRole("button", { name: `Remove LLM calls per month of ${member.email}` })
      .click();
    await dialog.getByRole("button", { name: "Remove the limit" }).click();
    await dialog.waitFor({ state: "detached" });
    await bookCall(stack, acme.id, member.id);
    await close();
  });

  it("what the database refuses is told with its code and remedy, and nothing changes", async () => {
    const { page, signIn, go, close } = await stack.open();
    await signIn(owner);
    await go(`/tenants/${acme.id}/people`);
    await page.getByRole("button", { name: `Add a limit for ${member.email}` }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Limit in USD").fill("100000");
    await dialog.getByRole("button", { name: "Review" }).click();
    await dialog.getByRole("button", { name: "Set $100,000.00" }).click();
    const alert = dialog.getByRole("alert").last();
    await alert.getByText("above_tenant_limit").waitFor();
    expect(
      await stack.sql`select from spend.cost_quotas where scope_id = ${member.id}`,
    ).toHaveLength(0);
    await close();
  });

  it("a limit with three warnings is set as 50, 80, 95 percent, and what is no percent is told at its field", async () => {
    const { page, signIn, go, complaints, close } = await stack.open();
    await signIn(owner);
    await go(`/tenants/${acme.id}/people`);
    await page.getByRole("button", { name: `Add a limit for ${member.email}` }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Limit in USD").fill("20");
    const warnings = dialog.getByLabel("Warn at, in percent");
    expect(await warnings.inputValue()).toBe("80");
    for (const wrong of ["", "0", "101", "80, many", "1,2,3,4,5,6,7,8,9,10,11"]) {
      await warnings.fill(wrong);
      expect(await dialog.getByRole("button", { name: "Review" }).isDisabled()).toBe(true);
      expect(await warnings.getAttribute("aria-invalid")).toBe("true");
    }
    await warnings.fill("95, 50,80 50");
    await dialog.getByRole("button", { name: "Review" }).click();
    expect(await dialog.getByRole("row", { name: /Warns at/ }).innerText()).toMatch(
      /–\s+50, 80, 95\s%$/,
    );
    await dialog.getByRole("button", { name: "Set $20.00" }).click();
    await dialog.waitFor({ state: "detached" });
    const [quota] = await stack.sql`
      select warning_thresholds = '{0.5,0.8,0.95}' as are_right from spend.cost_quotas where scope_id = ${member.id}`;
    expect(quota?.are_right).toBe(true);
    await page
      .getByRole("button", { name: `Change LLM calls per month of ${member.email}` })
      .click();
    expect(await warnings.inputValue()).toBe("50, 80, 95");
    await page.keyboard.press("Escape");
    await stack.sql`delete from spend.cost_quotas where scope_id = ${member.id}`;
    expect(complaints).toEqual([]);
    await close();
  });

  it("an editor gives a plan two warnings", async () => {
    const editor = await stack.operator("editor");
    const { page, signIn, go, close } = await stack.open();
    await signIn(editor);
    await go("/operator/limits");
    await page
      .getByRole("button", {
        name: "Change Sandboxes per month for each tenant of the plan default",
      })
      .click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Warn at, in percent").fill("60, 90");
    await dialog.getByRole("button", { name: "Review" }).click();
    await dialog.getByRole("button", { name: "Change the plan" }).click();
    await dialog.waitFor({ state: "detached" });
    const [quota] = await stack.sql`
      select warning_thresholds = '{0.6,0.9}' as are_right, trim_scale(limit_usd)::text as usd from spend.plan_quotas
      where plan_id = 'default' and resource_type = 'e2b'`;
    expect(quota).toEqual({ are_right: true, usd: "50" });
    await close();
  });

  it("an editor's edit changes the next admission and stands in the audit log; a viewer has no button", async () => {
    const editor = await stack.operator("editor");
    const viewer = await stack.operator("viewer");
    const looking = await stack.open();
    await looking.signIn(viewer);
    await looking.go(`/tenants/${globex.id}`);
    await looking.page.getByRole("progressbar").first().waitFor();
    expect(await looking.page.getByRole("button", { name: /Change the limit/ }).count()).toBe(0);
    expect(looking.complaints).toEqual([]);
    await looking.close();

    const { page, signIn, go, complaints, close } = await stack.open();
    await signIn(editor);
    await go(`/tenants/${globex.id}`);
    await page.getByRole("button", { name: "Change the limit: LLM calls per month" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Limit in USD").fill("0.001");
    await dialog.getByRole("button", { name: "Review" }).click();
    expect(await dialog.getByRole("row", { name: /^Limit/ }).innerText()).toMatch(
      /\$100\.00\s+\$0\.001/,
    );
    await dialog
      .getByRole("alert")
      .getByText(/is spent already/)
      .waitFor();
    await dialog.getByRole("button", { name: "Change the limit" }).click();
    await dialog.waitFor({ state: "detached" });

    const [stranger] =
      await stack.sql`select user_id from spend.tenant_members where tenant_id = ${globex.id}`;
    await expect(bookCall(stack, globex.id, stranger?.user_id)).rejects.toThrow(
      /user quota|tenant quota/,
    );
    const [change] = await stack.sql`
      select user_id, new_row ->> 'limit_usd' as limit_usd from spend.audit_log order by id desc limit 1`;
    expect(change).toMatchObject({ user_id: editor.id });
    expect(Number(change?.limit_usd)).toBe(0.001);

    // At its limit: the bar says by how much, and the operator's list has it.
    await go("/operator/near-limit");
    expect(await page.getByRole("row", { name: /Globex/ }).innerText()).toContain(
      "over the limit of $0.001",
    );
    await go("/operator/refusals");
    await page
      .getByRole("row", { name: /Globex/ })
      .first()
      .waitFor();
    expect(complaints).toEqual([]);
    await close();
  });

  it("a price that is ten times the old one is warned of, and one that is not is not", async () => {
    const editor = await stack.operator("editor");
    const { page, signIn, go, close } = await stack.open();
    await signIn(editor);
    await go("/operator/prices?search=openai/gpt-4o-mini");
    await page
      .getByRole("button", { name: "Change openai/gpt-4o-mini, input tokens", exact: true })
      .click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("USD per 1,000,000").fill("0.2");
    await dialog.getByRole("button", { name: "Review" }).click();
    expect(await dialog.getByRole("alert").count()).toBe(0);
    await dialog.getByRole("button", { name: "Back" }).click();
    await dialog.getByLabel("USD per 1,000,000").fill("1.5");
    await dialog.getByLabel("In force from (UTC)").fill("2099-01-01T00:00");
    await dialog.getByRole("button", { name: "Review" }).click();
    await dialog.getByRole("alert").getByText("The new price is 10 times the old one").waitFor();
    expect(await dialog.getByRole("row", { name: /^Per/ }).innerText()).toMatch(
      /\$0\.15\s+\$1\.50 \(\+900 %\)/,
    );
    const [line] = await stack.sql`
      select amount_usd::text as usd from spend.explain_cost('openai', 'gpt-4o-mini', '{"input_tokens": 1000}')`;
    expect(Number(line?.usd)).toBe(0.00015);
    expect(await dialog.getByRole("row", { name: /^1,000 tokens/ }).innerText()).toMatch(
      /\$0\.00015\s+\$0\.0015/,
    );
    await dialog.getByRole("button", { name: "Insert the price" }).click();
    await dialog.waitFor({ state: "detached" });
    const [price] =
      await stack.sql`select usd, effective_from = '2099-01-01T00:00:00Z' as is_dated from spend.prices order by id desc limit 1`;
    expect(Number(price?.usd)).toBe(1.5);
    expect(price?.is_dated).toBe(true);
    await page.getByText("changes 1 Jan 2099, 00:00").waitFor();
    await close();
  });

  it("the form of a plan's limit begins with the limit as it is, whole hundreds too", async () => {
    const editor = await stack.operator("editor");
    const { page, signIn, go, close } = await stack.open();
    await signIn(editor);
    await go("/operator/limits");
    const [limit] = await stack.sql`
      select limit_usd::text as usd from spend.plan_quotas
      where plan_id = 'default' and scope = 'tenant' and resource_type = 'llm'`;
    // As the release inserts it: without decimals.
    expect(limit).toEqual({ usd: "100" });
    await page
      .getByRole("row", { name: /LLM calls per month.*\$100\.00/ })
      .getByRole("button", { name: /Change/ })
      .click();
    expect(await page.getByRole("dialog").getByRole("textbox").first().inputValue()).toBe("100");
    await close();
  });

  it("an editor releases a hold, with a reason", async () => {
    const editor = await stack.operator("editor");
    const usage = { provider: "openai", model: "gpt-4o", input_tokens: 1000, output_tokens: 1000 };
    const { data } = await stack.service
      .rpc("reserve", { tenant_id: acme.id, user_id: owner.id, resource_type: "llm", usage })
      .throwOnError();
    const { reservation_id } = data as unknown as { reservation_id: string };
    const { page, signIn, go, close } = await stack.open();
    await signIn(editor);
    await go("/operator/holds");
    await page.getByRole("button", { name: "Release $0.0125 of Acme" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Reason").fill("the worker was killed");
    await dialog.getByRole("button", { name: "Review" }).click();
    await dialog.getByRole("button", { name: "Release the hold" }).click();
    await page.getByText("No call is open").waitFor();
    const [call] =
      await stack.sql`select status, release_reason from spend.reservations where id = ${reservation_id}`;
    expect(call).toEqual({ status: "released", release_reason: "the worker was killed" });
    await close();
  });

  it("an operator reads who was refused and who holds; an owner reads who has left", async () => {
    const viewer = await stack.operator("viewer");
    const gone = await stack.person(acme.id, "member");
    await bookCall(stack, acme.id, gone.id);
    await stack.sql`delete from spend.tenant_members where user_id = ${gone.id}`;
    const usage = { provider: "openai", model: "gpt-4o-mini", input_tokens: 1, output_tokens: 1 };
    const [hold] = await stack.sql`
      select reservation_id as id from spend.reserve(${acme.id}, ${member.id}, 'llm', ${stack.sql.json(usage)})`;
    const { page, signIn, go, complaints, close } = await stack.open();
    await signIn(viewer);
    await go("/operator/holds");
    await page.getByRole("row", { name: new RegExp(member.email) }).waitFor();
    await stack.sql`select spend.release(${hold?.id})`;
    await go("/operator/refusals");
    const [refused] = await stack.sql`
      select u.email from spend.refusals_by_hour as r join auth.users as u on u.id = r.user_id limit 1`;
    await page
      .getByRole("row", { name: new RegExp(refused?.email) })
      .first()
      .waitFor();
    expect(complaints).toEqual([]);
    await close();

    const seen = await stack.open();
    await seen.signIn(owner);
    await seen.go(`/tenants/${acme.id}/calls`);
    await seen.page.getByRole("row", { name: new RegExp(gone.email) }).waitFor();
    await seen.go(`/tenants/${acme.id}/changes`);
    await seen.page.getByText(`Member removed: ${gone.email}`).waitFor();
    expect(seen.complaints).toEqual([]);
    await seen.close();
  });

  it("a viewer pages through 51 holds, and back", async () => {
    const viewer = await stack.operator("viewer");
    const usage = { provider: "openai", model: "gpt-4o-mini", input_tokens: 1, output_tokens: 1 };
    const held: string[] = [];
    for (let call = 0; call < 51; call++) {
      const [hold] = await stack.sql`
        select reservation_id as id from spend.reserve(
          ${acme.id}, ${owner.id}, 'llm', ${stack.sql.json(usage)}
        )`;
      held.push(hold?.id);
    }
    const { page, signIn, go, complaints, close } = await stack.open();
    await signIn(viewer);
    await go("/operator/holds");
    const pages = page.getByRole("navigation", { name: "Pages of holds" });
    await pages.getByText("1 to 50 of 51").waitFor();
    await pages.getByRole("button", { name: "Next" }).click();
    await pages.getByText("51 to 51 of 51").waitFor();
    expect(await page.getByRole("table", { name: "Holds" }).getByRole("row").count()).toBe(1 + 1);
    expect(await page.getByRole("button", { name: /Release/ }).count()).toBe(0);
    await pages.getByRole("button", { name: "Previous" }).click();
    await pages.getByText("1 to 50 of 51").waitFor();
    for (const id of held) await stack.sql`select spend.release(${id})`;
    expect(complaints).toEqual([]);
    await close();
  });

  it("a viewer sees what a reprice would book, to the last decimal, and nothing is booked", async () => {
    const viewer = await stack.operator("viewer");
    await bookCall(stack, acme.id, owner.id);
    const [used] = await stack.sql`
      select provider, product from spend.cost_events where provider is not null order by id desc limit 1`;
    await stack.sql`
      insert into spend.prices (resource_type, provider, product, meter, unit_size, usd, effective_from, revision, note)
      select p.resource_type, p.provider, p.product, p.meter, p.unit_size, p.usd * 2, p.effective_from, 1, 'Found late'
      from spend.prices as p
      where p.provider = ${used?.provider} and p.product = ${used?.product} and p.revision = 0
        and p.service_tier = 'standard' and p.effective_from <= now()`;
    const [line] = await stack.sql`
      select difference_usd::text as usd from spend.reprice(
        ${used?.provider}, ${used?.product}, now() - interval '30 days', now() + interval '1 day'
      ) where tenant_id = ${acme.id}`;
    const [before] = await stack.sql`select count(*)::int as events from spend.cost_events`;
    const { page, signIn, go, complaints, close } = await stack.open();
    await signIn(viewer);
    await go(`/operator/prices?search=${used?.provider}/${used?.product}`);
    await page
      .getByRole("button", { name: `Reprice ${used?.provider}/${used?.product}, input tokens` })
      .first()
      .click();
    const row = page.getByRole("dialog").getByRole("row", { name: /Acme/ });
    await row.waitFor();
    expect(Number(line?.usd)).toBeGreaterThan(0);
    expect(await row.innerText()).toContain(`$${line?.usd.replace(/0+$/, "")}`);
    expect(await stack.sql`select count(*)::int as events from spend.cost_events`).toEqual([
      before,
    ]);
    expect(complaints).toEqual([]);
    await close();
  });

  it("when polling fails the old figures stay, and a badge says since when; then it goes", async () => {
    const { page, signIn, go, close } = await stack.open();
    await signIn(owner);
    await go(`/tenants/${acme.id}`);
    await page.route("**/rest/v1/**", (route) => route.abort());
    await page.evaluate('document.dispatchEvent(new Event("visibilitychange"))');
    const badge = page.getByText(/As of \d\d:\d\d; updating fails/);
    await badge.waitFor({ timeout: 40_000 });
    expect(await page.getByRole("progressbar").count()).toBeGreaterThan(0);
    await page.unroute("**/rest/v1/**");
    await page.getByRole("button", { name: "Try again" }).click();
    await badge.waitFor({ state: "detached" });
    await close();
  });
});
