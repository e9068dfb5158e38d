// docs/guides/prices.md: its statements run, in their order, and do what the page says.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { verifyBalances } from "../support/spend.ts";

const MILLION = { input_tokens: 1_000_000, output_tokens: 1_000_000 };

let database: TestDatabase;
beforeAll(async () => {
  database = await cloneDatabase();
});
afterAll(() => database.close());

/** The statements of the page, by the heading that they stand under. */
function statements(): Map<string, string[]> {
  const page = readFileSync(join(PROJECT, "docs/guides/prices.md"), "utf8");
  return new Map(
    page.split(/^## /m).map((section) => {
      const code = [...section.matchAll(/```sql\n(.*?)```/gs)].map(([, block]) => block).join("");
      const found = code.replace(/--.*$/gm, "").split(/;\s*$/m);
      return [section.split("\n", 1)[0] ?? "", found.filter((text) => text.trim() !== "")];
    }),
  );
}

/** USD that a call costs a tenant at a moment. */
async function cost(tenant: string | null, usage: object, at = new Date()): Promise<number> {
  const [row] = await database.sql`
    select (spend_private.price_usage(
      ${tenant}, 'llm', spend_private.read_usage('llm', ${database.sql.json(usage as never)}), ${at}
    )).cost_usd::float8 as usd`;
  return row?.usd;
}

it("Every task of docs/guides/prices.md does what it says", async () => {
  const { sql } = database;
  const tasks = statements();
  const names: Record<string, string> = {};
  const run = async (title: string) => {
    const answers = [];
    for (const text of tasks.get(title) ?? []) {
      answers.push(await sql.unsafe(text.replace(/<\w+>/g, (name) => names[name] ?? name)));
    }
    tasks.delete(title);
    expect(answers.length).toBeGreaterThan(0);
    return answers;
  };
  const gpt4o = { provider: "openai", model: "gpt-4o", ...MILLION };

  const [tenant] = await sql`insert into spend.tenants (name) values ('Acme') returning id`;
  names["<tenant>"] = tenant?.id;
  const [call] = await sql`
    select (spend.reserve(${tenant?.id}, null, 'llm', ${sql.json(gpt4o)})).reservation_id as id`;
  await sql`select spend.settle(${call?.id}, ${sql.json(gpt4o)})`;
  const [made] = await sql`select created_at from spend.reservations where id = ${call?.id}`;
  names["<from>"] = made?.created_at.toISOString();
  names["<to>"] = new Date(made?.created_at.getTime() + 1000).toISOString();

  const [prices, lines] = await run("Look up a price");
  expect(prices?.map(({ meter }) => meter)).toContain("input_tokens");
  expect(lines?.map(({ meter, amount_usd }) => [meter, Number(amount_usd)])).toEqual([
    ["input_tokens", 2.5],
    ["output_tokens", 10],
  ]);
  names["<price_id>"] = lines?.find(({ meter }) => meter === "input_tokens")?.price_id;

  await run("Change a price from next Monday, 00:00 UTC");
  const [monday] = await sql`
    select changes_at from spend.current_prices
    where provider = 'openai' and product = 'gpt-4o' and meter = 'output_tokens' and tenant_id is null`;
  expect(monday?.changes_at.getUTCDay()).toBe(1);
  expect(await cost(null, gpt4o, new Date(monday?.changes_at.getTime() - 1))).toBe(12.5);
  expect(await cost(null, gpt4o, monday?.changes_at)).toBe(11.5);

  await run("Give one tenant a negotiated price");
  expect(await cost(tenant?.id, gpt4o)).toBe(11.5);
  expect(await cost(null, gpt4o)).toBe(12.5);

  await run("Add a private model, and an alias for it");
  expect(await cost(null, { ...gpt4o, model: "ft:gpt-4o:acme:x" })).toBe(15);

  await run("Make a model free");
  const mini = { ...gpt4o, model: "gpt-4o-mini", cache_read_tokens: 1000 };
  expect(await cost(null, mini)).toBe(0);
  expect(await cost(null, mini, new Date("2026-01-01"))).toBeGreaterThan(0);

  expect(await cost(null, { ...gpt4o, service_tier: "batch" })).toBe(null);
  await run("Price batch, flex and priority");
  expect(await cost(null, { ...gpt4o, service_tier: "batch" })).toBe(6.25);
  expect(await cost(null, { ...gpt4o, service_tier: "batch" }, monday?.changes_at)).toBe(5.75);
  expect(await cost(tenant?.id, { ...gpt4o, service_tier: "batch" })).toBe(5.75);
  expect(await cost(null, { ...gpt4o, service_tier: "priority" })).toBe(25);
  expect(await cost(null, { ...gpt4o, model: "o3", service_tier: "priority" })).toBe(null);

  const [, shown, booked] = await run("Correct a wrong price");
  for (const answer of [shown, booked]) {
    // A million input tokens at $2 instead of $2.50.
    expect(answer?.map((row) => [row.tenant_id, Number(row.difference_usd)])).toEqual([
      [tenant?.id, -0.5],
    ]);
  }
  expect(await sql`select kind, cost_usd::float8 from spend.cost_events order by id`).toEqual([
    { kind: "charge", cost_usd: 12.5 },
    { kind: "correction", cost_usd: -0.5 },
  ]);
  expect(await verifyBalances(sql)).toEqual([]);

  await run("What is reserved for a call");
  expect(
    await sql`select distinct estimate_policy from spend.cost_quotas where tenant_id = ${tenant?.id}`,
  ).toEqual([{ estimate_policy: "expected" }]);

  // No task of the page is left untried.
  expect([...tasks].filter(([, left]) => left.length > 0)).toEqual([]);
});
