// What the documentation shows is what is tested.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { PROJECT } from "../scripts/stack/paths.ts";
import { cloneDatabase } from "./setup/database.ts";

const read = (file: string) => readFileSync(join(PROJECT, file), "utf8");

it("docs/attach.md shows the SQL of supabase/tests/tenants/attach.test.sql", () => {
  const shown = read("docs/attach.md").match(/```sql\n(.*?)```/s)?.[1];
  const tested = read("supabase/tests/tenants/attach.test.sql").match(
    /^-- docs\/attach\.md: begin\n(.*?)^-- docs\/attach\.md: end$/ms,
  )?.[1];
  expect(shown?.trim()).toBe(tested?.trim());
  expect(shown).toContain("create trigger");
});

it("docs/sandboxes.md names every variable of sandboxes, with its default", () => {
  const source = read("functions/_shared/env.ts").replaceAll(/(?<=\d)_(?=\d)/g, "");
  const rows = read("docs/sandboxes.md")
    .split("\n")
    .map((line) => line.split("|"));
  const variables = [
    ...source.matchAll(
      /(SPENDGATE_(?:SANDBOX|RUN|MAX_RUN|MAX_CODE|E2B)_\w+): count\(\d+, (\d+)\)/g,
    ),
  ];
  expect(variables.length).toBeGreaterThan(6);
  for (const [, name = "", value = ""] of variables) {
    const last = name.replace("SPENDGATE_SANDBOX_", "…_");
    const row = rows.find(([, names]) => names?.includes(name) || names?.includes(last));
    expect([name, row?.[2]]).toEqual([name, expect.stringMatching(`\\b${value}\\b`)]);
  }
});

it("every SQL statement of README.md runs, in its order", async () => {
  const { sql, close } = await cloneDatabase();
  try {
    const [user] = await sql`insert into auth.users (id) values (gen_random_uuid()) returning id`;
    const names: Record<string, string> = { "<user>": user?.id };
    const statements = [...read("README.md").matchAll(/```sql\n(.*?)```/gs)]
      .flatMap(([, block]) => (block ?? "").replace(/--.*$/gm, "").split(/;\s*$/m))
      .filter((statement) => statement.trim() !== "");
    expect(statements.length).toBeGreaterThan(10);

    for (const statement of statements) {
      const text = statement.replace(/<\w+>/g, (name) => names[name] ?? name);
      const [row] = await sql.unsafe(text);
      names["<tenant>"] ??= row?.id;
      names["<reservation_id>"] ??= row?.reservation_id;
    }

    expect(await sql`select kind, cost_usd::float8 from spend.cost_events order by id`).toEqual([
      // 1,130 × $2.50 + 212 × $10.00 per million.
      { kind: "charge", cost_usd: 0.004945 },
      { kind: "adjustment", cost_usd: -20 },
    ]);
    expect(await sql`select * from spend.verify_balances()`).toEqual([]);
  } finally {
    await close();
  }
});
