// The link of an alert leads to its quota: it has a ring, and is brought into view.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toMessage } from "../../functions/alerts/message.ts";
import { sampleOf } from "../unit/alerts/samples.ts";
import { BROWSER, type DashboardPage, type DashboardStack, startDashboard } from "./browser.ts";

/** The address behind the # that a message about a quota links to. */
function linkTo(tenantId: string | null, quotaId: number): string {
  const { alert } = sampleOf("quota_warning", "slack");
  if (!("details" in alert)) throw new Error("it is about a quota");
  const about = { ...alert, tenant_id: tenantId, quota_id: quotaId };
  const { link } = toMessage(about, "https://app.example.com");
  return link?.url.split("#")[1] ?? "";
}

describe.skipIf(!BROWSER)("a link to a quota", () => {
  let stack: DashboardStack;
  let acme: { id: string };
  const ids: Record<string, number> = {};

  beforeAll(async () => {
    stack = await startDashboard();
    acme = await stack.createTenant({ name: "Acme" });
    for (let each = 1; each <= 15; each++) {
      const task = `task-${each}`;
      const [row] = await stack.sql`
        insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd, task)
        values ('tenant', ${acme.id}, 'llm', 'month', 10, ${task}) returning id`;
      ids[task] = Number(row?.id);
      const [platform] = await stack.sql`
        insert into spend.cost_quotas (scope, resource_type, period, limit_usd, task)
        values ('platform', 'llm', 'month', 1000, ${task}) returning id`;
      ids[`platform ${task}`] = Number(platform?.id);
    }
  }, 120_000);

  afterAll(() => stack?.stop());

  /** What the screen marks: its text, whether it is in view, how it is marked, and how far the screen has scrolled. */
  const marked = ({ page }: DashboardPage) =>
    page.evaluate(`[...document.querySelectorAll("#main [aria-current=true]")].map((element) => {
      const { top, bottom } = element.getBoundingClientRect();
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      return {
        text: element.innerText,
        isInView: top >= 0 && bottom <= innerHeight,
        ring: outlineWidth + " " + outlineStyle,
      };
    })`);

  const one = (...texts: string[]) => [
    {
      text: expect.stringMatching(new RegExp(texts.join("[^]*"))),
      isInView: true,
      ring: "2px solid",
    },
  ];

  it.each([1280, 390])(
    "of a tenant marks it among 17 on the overview, at %i px, and it is in view",
    async (width) => {
      const owner = await stack.person(acme.id, "owner");
      const dashboard = await stack.open(width);
      await dashboard.signIn(owner);
      for (const task of ["task-1", "task-15"]) {
        await dashboard.go(linkTo(acme.id, ids[task] as number));
        await expect.poll(() => marked(dashboard)).toEqual(one(`\\b${task}\\b`));
      }
      // Without a quota that there is, nothing is marked.
      for (const wrong of [
        "",
        "?quota=none",
        "?quota=999999",
        `?quota=${ids["platform task-1"]}`,
      ]) {
        await dashboard.go(`/tenants/${acme.id}${wrong}`);
        await dashboard.page.getByText("task-15").first().waitFor();
        expect(await marked(dashboard), wrong).toEqual([]);
      }
      expect(dashboard.complaints).toEqual([]);
      await dashboard.close();
    },
  );

  it("of a member shows it to the owner, by name, and not to another member", async () => {
    const owner = await stack.person(acme.id, "owner");
    const member = await stack.person(acme.id);
    const other = await stack.person(acme.id);
    const [row] = await stack.sql`
      insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
      values ('user', ${acme.id}, ${member.id}, 'llm', 'day', 3) returning id`;
    const address = linkTo(acme.id, Number(row?.id));
    for (const [person, wanted] of [
      [owner, one(member.email)],
      [member, one("yours")],
      [other, []],
    ] as const) {
      const dashboard = await stack.open();
      await dashboard.signIn(person);
      await dashboard.go(address);
      await expect.poll(() => marked(dashboard)).toEqual(wanted);
      const text = await dashboard.page.locator("#main").innerText();
      if (person === other) expect(text).not.toContain(member.email);
      expect(dashboard.complaints).toEqual([]);
      await dashboard.close();
    }
  });

  it("of the platform marks it on the operator's limits, and among those near their limit, wide and narrow", async () => {
    const operator = await stack.operator("viewer");
    const near = ids["platform task-15"] as number;
    const dashboard = await stack.open();
    await dashboard.signIn(operator);
    await dashboard.go(linkTo(null, near));
    await expect.poll(() => marked(dashboard)).toEqual(one("\\btask-15\\b"));
    for (const width of [1280, 390]) {
      await dashboard.page.setViewportSize({ width, height: 900 });
      await dashboard.go(`/operator/near-limit?percent=0&quota=${near}`);
      await expect.poll(() => marked(dashboard)).toEqual(one("\\btask-15\\b"));
    }
    expect(dashboard.complaints).toEqual([]);
    await dashboard.close();
  });
});
