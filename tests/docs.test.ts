// What the documentation shows is what is tested.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { PROJECT } from "../scripts/stack/paths.ts";

const read = (file: string) => readFileSync(join(PROJECT, file), "utf8");

it("docs/attach.md shows the SQL of supabase/tests/tenants/attach.test.sql", () => {
  const shown = read("docs/attach.md").match(/```sql\n(.*?)```/s)?.[1];
  const tested = read("supabase/tests/tenants/attach.test.sql").match(
    /^-- docs\/attach\.md: begin\n(.*?)^-- docs\/attach\.md: end$/ms,
  )?.[1];
  expect(shown?.trim()).toBe(tested?.trim());
  expect(shown).toContain("create trigger");
});
