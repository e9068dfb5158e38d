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

it("README.md shows the lines of functions/example, which is tested", () => {
  const shown = read("README.md").match(/```ts\n(const metering.*?)```/s)?.[1] ?? "";
  const lines = shown.trim().split("\n");
  expect(lines).toHaveLength(3);
  for (const line of lines) expect(read("functions/example/index.ts")).toContain(line);
});

it("docs/llm.md or docs/sandboxes.md lists every setting of the functions, with its default", () => {
  const settings = read("functions/_shared/runtime/env.ts").matchAll(
    /^ {4}(SPENDGATE_\w+): (?:count\(\d+, ([\d_]+)(?:, \w+)?\)|.*?\.default\("?(.*?)"?\)),$/gm,
  );
  const documented = (read("docs/llm.md") + read("docs/sandboxes.md")).replaceAll("`", "");
  const names = [...settings].map(([, name, number, value]) => {
    const fallback = (number ?? value ?? "").replaceAll("_", "");
    expect(documented).toContain(`| ${name} | ${fallback} |`);
    return name;
  });
  expect(names.length).toBeGreaterThan(10);
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
