// The reference pages against what they describe: nothing is missing, nothing is stale.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { sqlReference, sqlReferencePath } from "../../scripts/docs_sql.ts";
import { cloneDatabase } from "../setup/database.ts";

it("docs/reference/sql.md is what `npm run docs:sql` writes today", async () => {
  const { sql, close } = await cloneDatabase();
  try {
    expect(readFileSync(sqlReferencePath, "utf8"), "run: npm run docs:sql").toBe(
      await sqlReference(sql),
    );
  } finally {
    await close();
  }
});
