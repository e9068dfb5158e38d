// Alerts in a browser: in words, at each channel, acknowledged and muted; and the channels themselves.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BROWSER, bookCall, type DashboardStack, type Person, startDashboard } from "./browser.ts";

const WEBHOOK = "https://example.com/hook?token=canary-1234";
const SECRET = "canary-secret-of-the-webhook";

describe.skipIf(!BROWSER)("alerts", () => {
  let stack: DashboardStack;
  let acme: { id: string };
  let globex: { id: string };
  let owner: Person;

  beforeAll(async () => {
    stack = await startDashboard();
    acme = await stack.createTenant({ name: "Acme" });
    globex = await stack.createTenant({ name: "Globex" });
    owner = await stack.person(acme.id, "owner");
  }, 120_000);

  afterAll(() => stack?.stop());

  it("an owner adds a channel: what is wrong is told at its field, and the secret is never shown", async () => {
    const { page, signIn, go, close } = await stack.open();
    const bodies: Promise<string>[] = [];
    page.on("response", (response) => bodies.push(response.text().catch(() => "")));
    await signIn(owner);
    await go(`/tenants/${acme.id}/channels`);
    await page.getByText("No channels yet").waitFor();
    await page.getByRole("button", { name: "Add a channel" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Kind", { exact: true }).selectOption("webhook");
    await dialog.getByLabel("Name").fill("Ops");
    const save = () => dialog.getByRole("button", { name: "Add the channel" }).click();
    for (const [label, wrong, note, right] of [
      ["URL", "https://169.254.169.254/latest", /public host/, WEBHOOK],
      ["Signing secret", "short", /16 to 200 characters/, SECRET],
    ] as const) {
      await dialog.getByLabel(label).fill(wrong);
      await save();
      await dialog.getByText(note).last().waitFor();
      await expect.poll(() => dialog.getByLabel(label).getAttribute("aria-invalid")).toBe("true");
      await dialog.getByLabel(label).fill(right);
    }
    await dialog.getByLabel("Warnings of limits").check();
    await dialog.getByLabel("Limits that are reached").check();
    await dialog.getByLabel("Send the same alert again").selectOption("480");
    await save();
    await dialog.waitFor({ state: "detached" });

    const row = page.getByRole("row", { name: /Ops/ });
    expect(await row.innerText()).toMatch(
      /Webhook example\.com\s+Warnings of limits, Limits that are reached\s+after 8 hours/,
    );
    const [kept] = await stack.sql`
      select c.tenant_id, c.created_by, s.secret::jsonb as secret
      from spend.alert_channels as c join spend_private.alert_channel_secrets as s on s.channel_id = c.id`;
    expect(kept).toMatchObject({ tenant_id: acme.id, created_by: owner.id });
    expect(kept?.secret).toEqual({ target: WEBHOOK, secret: SECRET });
    await go(`/tenants/${acme.id}/channels`);
    const seen = (await Promise.all(bodies)).join("\n") + (await page.content());
    expect(seen).toContain("example.com");
    expect(seen).not.toContain("canary");
    await close();
  });

  it("a channel is changed without its secret, paused, resumed and deleted", async () => {
    const { page, signIn, go, complaints, close } = await stack.open();
    await signIn(owner);
    await go(`/tenants/${acme.id}/channels`);
    const dialog = page.getByRole("dialog");
    const channel = async () => {
      const [row] = await stack.sql`
        select c.kinds, c.quiet_minutes, c.is_enabled, s.secret::jsonb ->> 'target' as target, s.secret::jsonb ->> 'secret' as secret
        from spend.alert_channels as c join spend_private.alert_channel_secrets as s on s.channel_id = c.id where c.name = 'Ops'`;
      return row;
    };
    await page.getByRole("button", { name: "Change Ops" }).click();
    expect(await dialog.getByLabel("URL").inputValue()).toBe("");
    await dialog.getByLabel("Warnings of limits").uncheck();
    await dialog.getByLabel("Send the same alert again").selectOption("0");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
    expect(await channel()).toEqual({
      kinds: ["quota_exceeded"],
      quiet_minutes: 0,
      is_enabled: true,
      target: WEBHOOK,
      secret: SECRET,
    });
    await page.getByRole("button", { name: "Change Ops" }).click();
    await dialog.getByLabel("Limits that are reached").uncheck();
    await dialog.getByLabel("Remove the secret").check();
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
    expect(await channel()).toMatchObject({ kinds: null, target: WEBHOOK, secret: null });

    await page.getByRole("button", { name: "Pause Ops" }).click();
    await dialog.getByRole("button", { name: "Pause the channel" }).click();
    await dialog.waitFor({ state: "detached" });
    await page.getByText("paused", { exact: true }).waitFor();
    expect(await channel()).toMatchObject({ is_enabled: false, target: WEBHOOK });
    await page.getByRole("button", { name: "Resume Ops" }).click();
    await dialog.getByRole("button", { name: "Resume the channel" }).click();
    await dialog.waitFor({ state: "detached" });
    await page.getByText("paused", { exact: true }).waitFor({ state: "detached" });

    await page.getByRole("button", { name: "Add a channel" }).click();
    await dialog.getByLabel("Name").fill("Ops");
    await dialog.getByText("There is a channel of this name").waitFor();
    expect(await dialog.getByRole("button", { name: "Add the channel" }).isDisabled()).toBe(true);
    await page.keyboard.press("Escape");

    await page.getByRole("button", { name: "Delete Ops" }).click();
    await dialog.getByRole("button", { name: "Delete the channel" }).click();
    await page.getByText("No channels yet").waitFor();
    expect(await channel()).toBeUndefined();
    expect(complaints).toEqual([]);
    await close();
  });

  it("an alert is told with its state at each channel, acknowledged by its owner, and muted for 8 hours", async () => {
    const [quota] = await stack.sql`
      update spend.cost_quotas set limit_usd = 0.001, warning_thresholds = '{0.5,0.8}'
      where tenant_id = ${acme.id} and scope = 'tenant' and resource_type = 'llm' returning id`;
    for (const [name, target] of [
      ["good", "https://example.com/good"],
      ["bad", "https://example.com/bad"],
      ["busy", "https://example.com/busy"],
    ] as const) {
      await stack.sql`select spend.save_alert_channel(${acme.id}, 'webhook', ${name}, ${target})`;
    }
    await stack.sql`select spend.save_alert_channel(null, 'email', 'operators alone', 'ops@example.com')`;
    await bookCall(stack, acme.id, owner.id, 900);
    const claimed = await stack.sql`select delivery_id, channel from spend.claim_deliveries()`;
    // 0.000675 of 0.001: one warning, to three channels of the tenant and one of the platform.
    expect(claimed).toHaveLength(4);
    for (const { delivery_id, channel } of claimed) {
      const error = { bad: "410 Gone", busy: "503 Service Unavailable" }[channel as string] ?? null;
      await stack.sql`select spend.finish_delivery(${delivery_id}, error => ${error}, is_final => ${channel === "bad"})`;
    }

    const { page, signIn, go, complaints, close } = await stack.open();
    await signIn(owner);
    await go(`/tenants/${acme.id}/changes`);
    const alerts = page.getByRole("table", { name: "Alerts" });
    const row = alerts.getByRole("row", { name: /LLM calls per month/ });
    await row.getByText("503 Service Unavailable").waitFor();
    const text = (await row.innerText()).replace(/\s+/g, " ");
    expect(text).toContain("warning LLM calls per month: 50 % of $0.001 spent");
    expect(text).toContain("good delivered");
    expect(text).toContain("bad failed, 1 attempt 410 Gone");
    expect(text).toContain("busy waiting, 1 attempt 503 Service Unavailable");
    expect(text).not.toContain("operators alone");

    await row.getByRole("button", { name: /^Acknowledge: LLM calls per month/ }).click();
    await row.getByText(owner.email).waitFor();
    const [alert] = await stack.sql`
      select acknowledged_by, acknowledged_at is not null as is_seen from spend.alerts where quota_id = ${quota?.id}`;
    expect(alert).toEqual({ acknowledged_by: owner.id, is_seen: true });
    // What still waited is not sent any more.
    await row.getByText("not sent").waitFor();

    await row.getByRole("button", { name: /^Mute: LLM calls per month/ }).click();
    const dialog = page.getByRole("dialog");
    expect(await dialog.getByLabel("For").locator("option").allInnerTexts()).toEqual([
      "1 hour",
      "8 hours",
      "1 day",
      "until the period ends",
    ]);
    await dialog.getByLabel("For").selectOption("8");
    await dialog.getByRole("button", { name: "Review" }).click();
    await dialog.getByRole("button", { name: "Mute", exact: true }).click();
    await dialog.waitFor({ state: "detached" });
    const muted = page.getByRole("list", { name: "Muted alerts" });
    // The quota's name and the address come after the row.
    await muted.getByText(/LLM calls per month/).waitFor();
    await muted.getByText(owner.email).waitFor();
    const told = await muted.innerText();
    expect(told).toContain("Warnings of limits: LLM calls per month muted until");
    expect(told).toContain(`by ${owner.email}`);
    const [mute] = await stack.sql`
      select tenant_id, kind, quota_id, created_by, round(extract(epoch from until - now()) / 3600)::int as hours
      from spend.alert_mutes`;
    expect(mute).toEqual({
      tenant_id: acme.id,
      kind: "quota_warning",
      quota_id: quota?.id,
      created_by: owner.id,
      hours: 8,
    });
    await bookCall(stack, acme.id, owner.id, 200);
    expect(
      await stack.sql`
        select channel from spend.claim_deliveries() where alert ->> 'threshold' = '0.800' or alert ->> 'threshold' = '0.8'`,
    ).toEqual([{ channel: "operators alone" }]);

    await muted.getByRole("button", { name: /^Unmute/ }).click();
    await muted.waitFor({ state: "detached" });
    expect(await stack.sql`select from spend.alert_mutes`).toHaveLength(0);
    expect(complaints).toEqual([]);
    await close();
  });

  it("until the period ends: the mute ends with the quota's month", async () => {
    const { page, signIn, go, close } = await stack.open();
    await signIn(owner);
    await go(`/tenants/${acme.id}/changes`);
    await page
      .getByRole("button", { name: /^Mute: LLM calls per month/ })
      .first()
      .click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Which").selectOption("all");
    await dialog.getByLabel("For").selectOption("period");
    await dialog.getByRole("button", { name: "Review" }).click();
    await dialog.getByRole("button", { name: "Mute", exact: true }).click();
    await page.getByText(/^All alerts muted until/).waitFor();
    const [mute] = await stack.sql`
      select m.kind, m.quota_id, m.until = s.period_end as ends_with_the_month
      from spend.alert_mutes as m
      join spend.quota_status as s on s.tenant_id = m.tenant_id and s.scope = 'tenant' and s.resource_type = 'llm'`;
    expect(mute).toEqual({ kind: null, quota_id: null, ends_with_the_month: true });
    await close();
  });

  it("each kind is told in words, and what is for operators is not told to owners", async () => {
    const editor = await stack.operator("editor");
    await stack.sql`
      insert into spend.alerts (tenant_id, quota_id, period_start, kind, threshold, details, facts)
      select a.tenant_id, a.quota_id, a.period_start, 'forecast_exceeded', 1, a.details,
        '{"expected_usd": "0.0025", "exhausted_at": "2099-01-02T03:04:00Z", "method": "rate_of_last_7_days"}'
      from spend.alerts as a order by a.id limit 1`;
    await stack.sql`
      insert into spend.alerts (tenant_id, period_start, kind, subject, facts) values
        (${acme.id}, date_trunc('hour', now()), 'unusual_spend', '2026-11-26', '{"message": "$9.00 on one day, $1.00 as a rule"}'),
        (${acme.id}, date_trunc('hour', now()), 'reservations_expired', 'hour', '{"message": "12 calls never ended"}')`;
    await stack.sql`select spend.report_failure('settle_failed', ${acme.id}, 'gpt', 'One call is not settled')`;
    await stack.sql`select spend.report_failure('price_missing', null, 'gpt-9', 'There is no price of gpt-9')`;
    const { page, signIn, go, complaints, close } = await stack.open();
    const textOf = async () =>
      (await page.getByRole("table", { name: "Alerts" }).innerText()).replace(/\s+/g, " ");
    await signIn(owner);
    await go(`/tenants/${acme.id}/changes`);
    const told = await textOf();
    expect(told).toContain(
      "forecast LLM calls per month: $0.0025 expected of $0.001. Runs out 2 Jan 2099",
    );
    expect(told).toContain("unusual spend $9.00 on one day, $1.00 as a rule");
    expect(told).toContain("expired 12 calls never ended");
    expect(told).not.toContain("not settled");
    expect(complaints).toEqual([]);
    await close();

    const seen = await stack.open();
    await seen.signIn(editor);
    await seen.go("/operator/health");
    const all = (await seen.page.getByRole("table", { name: "Alerts" }).innerText()).replace(
      /\s+/g,
      " ",
    );
    expect(all).toContain("not settled One call is not settled");
    expect(all).toContain("no price There is no price of gpt-9");
    await seen.page
      .getByRole("button", { name: "Acknowledge: There is no price of gpt-9" })
      .click();
    await seen.page.getByText(editor.email).nth(1).waitFor();
    expect(seen.complaints).toEqual([]);
    await seen.close();
  });

  it("the platform's channels are an editor's to change, a viewer reads them, and an owner of a tenant does not", async () => {
    const viewer = await stack.operator("viewer");
    const editor = await stack.operator("editor");
    const looking = await stack.open();
    await looking.signIn(viewer);
    await looking.go("/operator/channels");
    await looking.page.getByRole("row", { name: /operators alone/ }).waitFor();
    for (const screen of ["/operator/channels", `/tenants/${acme.id}/channels`]) {
      await looking.go(screen);
      expect(
        await looking.page
          .getByRole("button", { name: /^(Add a channel|Change|Pause|Delete) ?/ })
          .count(),
      ).toBe(0);
    }
    await looking.go("/operator/health");
    expect(
      await looking.page.getByRole("button", { name: /^(Acknowledge|Mute|Unmute)/ }).count(),
    ).toBe(0);
    expect(looking.complaints).toEqual([]);
    await looking.close();

    const { page, signIn, go, complaints, close } = await stack.open();
    await signIn(editor);
    await go("/operator/channels");
    await page.getByRole("button", { name: "Add a channel" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Kind", { exact: true }).selectOption("pagerduty");
    await dialog.getByLabel("Name").fill("On call");
    await dialog.getByLabel("Routing key").fill("0123456789abcdef0123456789ABCDEF");
    await dialog.getByLabel("Jobs that fail").check();
    await dialog.getByLabel("The operation").check();
    await dialog.getByRole("button", { name: "Add the channel" }).click();
    await dialog.waitFor({ state: "detached" });
    const row = (await page.getByRole("row", { name: /On call/ }).innerText()).replace(/\s+/g, " ");
    expect(row).toContain("PagerDuty …CDEF Jobs that fail Only: The operation after an hour");
    const [channel] = await stack.sql`
      select tenant_id, created_by, kinds, scopes from spend.alert_channels where name = 'On call'`;
    expect(channel).toEqual({
      tenant_id: null,
      created_by: editor.id,
      kinds: ["job_failed"],
      scopes: ["operator"],
    });
    expect(complaints).toEqual([]);
    await close();
  });

  it("nobody manages channels of another tenant, whatever is asked for", async () => {
    const stranger = await stack.person(globex.id, "owner");
    const { page, signIn, go, complaints, close } = await stack.open();
    const bodies: Promise<string>[] = [];
    page.on("response", (response) => {
      // What the database answers: the scripts have words of their own.
      if (response.url().includes("/rest/v1/")) bodies.push(response.text().catch(() => ""));
    });
    await signIn(stranger);
    await go(`/tenants/${acme.id}/channels`);
    expect(await page.locator("h1").innerText()).toBe("No such tenant");
    await go(`/tenants/${globex.id}/channels`);
    await page.getByText("No channels yet").waitFor();
    const seen = (await Promise.all(bodies)).join("\n");
    expect(seen).toContain(globex.id);
    expect(seen).not.toContain("busy");
    expect(seen).not.toContain("operators alone");
    expect(complaints).toEqual([]);
    await close();
  });
});
