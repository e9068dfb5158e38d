// The figures on a screen are those of psql: to the last decimal, across a change of the clock, far from UTC.
import { readFile } from "node:fs/promises";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BROWSER, type DashboardPage, type DashboardStack, startDashboard } from "./browser.ts";

describe.skipIf(!BROWSER)("numbers", () => {
  let stack: DashboardStack;
  let dashboard: DashboardPage;
  let tenantId: string;

  beforeAll(async () => {
    stack = await startDashboard();
    ({ id: tenantId } = await stack.createTenant({ name: "Kea" }));
    await stack.sql`update spend.tenants set time_zone = 'Pacific/Auckland' where id = ${tenantId}`;
    const owner = await stack.person(tenantId, "owner");
    // 27 September 2026: the day has 23 hours in Auckland, from two o'clock on it is three.
    const events: [at: string, product: string, usd: string, task: string][] = [
      ["2026-09-26T11:59:00Z", "gpt-4o", "0.000375000001", "chat"], // 26 September, 23:59
      ["2026-09-26T12:00:00Z", "gpt-4o", "123456.789012345678", "chat"], // 27 September, 00:00
      ["2026-09-26T13:59:00Z", "gpt-4o-mini", "0.10", "chat"], // 01:59
      ["2026-09-26T14:00:00Z", "gpt-4o-mini", "0.20", "=1+1"], // 03:00
      ["2026-09-27T10:59:00Z", "gpt-4o", "1.000000000001", "chat"], // 27 September, 23:59
      ["2026-09-27T11:00:00Z", "gpt-4o", "2", 'a "quoted", task'], // 28 September, 00:00
    ];
    for (const [at, product, usd, task] of events) {
      await stack.sql`
        insert into spend.cost_events (
          tenant_id, occurred_at, kind, reservation_id, user_id, task, resource_type, provider, product, cost_usd, calls
        )
        values (
          ${tenantId}, ${at}, 'charge', gen_random_uuid(), ${owner.id}, ${task}, 'llm', 'openai', ${product},
          ${usd}::text::numeric, 1
        )`;
    }
    await stack.sql`
      insert into spend.cost_events (tenant_id, occurred_at, kind, resource_type, cost_usd)
      values (${tenantId}, '2026-09-27T01:00:00Z', 'adjustment', 'llm', -0.5)`;
    dashboard = await stack.open();
    await dashboard.signIn(owner);
  }, 120_000);

  afterAll(() => stack?.stop());

  const RANGE = "from=2026-09-26&to=2026-09-28";

  async function csv(page: Page): Promise<string> {
    const downloading = page.waitForEvent("download");
    await page.getByRole("button", { name: "CSV" }).click();
    return readFile(await (await downloading).path(), "utf8");
  }

  /** What psql says, as text. */
  function report(bucket: string, by: string | null) {
    return stack.sql<
      {
        starts_at: string;
        key: string | null;
        is_other: boolean;
        cost_usd: string;
        calls: string;
      }[]
    >`
      select to_char(s.starts_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') as starts_at, s.key,
        s.is_other, s.cost_usd::text, s.calls::text
      from spend.cost_series(
        bucket => ${bucket}, tenant_id => ${tenantId}, from_day => '2026-09-26', to_day => '2026-09-28',
        group_by => ${by}::text, top => 5
      ) as s`;
  }

  it.each([
    ["hour", "none"],
    ["day", "product"],
    ["day", "task"],
    ["month", "resource_type"],
  ])(
    "the CSV by %s and %s equals the SQL report to the last of twelve decimals",
    async (bucket, by) => {
      const { page, go } = dashboard;
      await go(`/tenants/${tenantId}/usage?${RANGE}&bucket=${bucket}&by=${by}`);
      const [head, ...lines] = parseCsv(await csv(page));
      expect(head).toEqual(["starts_at", "key", "is_other", "cost_usd", "calls"]);
      const rows = await report(bucket, by === "none" ? null : by);
      expect(
        lines.map(([at = "", key, other, usd, calls]) => [
          new Date(at).toISOString().slice(0, 19),
          key,
          other,
          usd,
          calls,
        ]),
      ).toEqual(
        rows.map(({ starts_at, key, is_other, cost_usd, calls }) => [
          starts_at,
          // What a spreadsheet would run as a formula is quoted.
          (key ?? "").replace(/^=/, "'="),
          String(is_other),
          cost_usd,
          calls,
        ]),
      );
      const total =
        await stack.sql`select sum(cost_usd)::text as usd from spend.cost_events where tenant_id = ${tenantId}`;
      expect(await page.locator("section h2 [title]").first().getAttribute("title")).toBe(
        `$${total[0]?.usd.replace(/0+$/, "")}`,
      );
    },
  );

  it("days of 23 hours are days of Auckland, and a small amount reads as no nothing", async () => {
    const { page, go } = dashboard;
    await go(`/tenants/${tenantId}/usage?${RANGE}&bucket=day&by=none`);
    const rows = await page
      .getByRole("table", { name: "Cost by day" })
      .getByRole("row")
      .allInnerTexts();
    expect(rows.slice(1).map((row) => row.split(/\t|\n/).filter(Boolean))).toEqual([
      ["28 Sept", "$2.00", "1"],
      ["27 Sept", "$123,457.59", "4"],
      ["26 Sept", "$0.000375", "1"],
    ]);
  });

  it("hours: 71 of three days, none of them two o'clock on the 27th", async () => {
    const { page, go } = dashboard;
    await go(`/tenants/${tenantId}/usage?${RANGE}&bucket=hour&by=none`);
    const rows = await page
      .getByRole("table", { name: "Cost by hour" })
      .getByRole("row")
      .allInnerTexts();
    expect(rows).toHaveLength(1 + 71);
    const text = rows.join("\n");
    expect(text).toMatch(/27 Sept, 01:00\s+\$0\.10/);
    expect(text).not.toContain("27 Sept, 02:00");
    expect(text).toMatch(/27 Sept, 03:00\s+\$0\.20/);
  });

  it("a quota's bar says what spend.quota_status says", async () => {
    const { page, go } = dashboard;
    await stack.sql`update spend.cost_quotas set limit_usd = 200000 where tenant_id = ${tenantId}`;
    await stack.service.rpc("adjust", {
      tenant_id: tenantId,
      amount_usd: 1234.5678,
      reason: "a debit",
      resource_type: "llm",
    });
    await go(`/tenants/${tenantId}`);
    const bar = page.getByRole("progressbar", { name: "LLM calls per month" });
    const [status] = await stack.sql`
      select spent_usd::text, round(utilization_percent, 2)::float as percent
      from spend.quota_status where tenant_id = ${tenantId} and resource_type = 'llm'`;
    expect(status?.spent_usd).toBe("1234.567800000000");
    expect(await bar.getAttribute("aria-valuetext")).toBe(
      "$1,234.57 spent, $0 held, $198,765.43 left of $200,000.00",
    );
    expect(Number(await bar.getAttribute("aria-valuenow"))).toBe(status?.percent);
  });
});

/** RFC 4180: fields in quotes may have commas and quotes. */
function parseCsv(text: string): string[][] {
  return text
    .trimEnd()
    .split("\r\n")
    .map((line) =>
      [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
        ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? "",
      ),
    );
}
