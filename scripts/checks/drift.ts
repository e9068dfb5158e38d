// npm run check:drift: what is generated is what its source makes today.
import { readFile } from "node:fs/promises";
import { relative } from "node:path";
import { baseline, baselinePath } from "../database/baseline.ts";
import { diffOfSchemas } from "../database/diff.ts";
import { isReleased, releaseProblems } from "../database/release.ts";
import { migrationFiles, onScratchServer } from "../database/scratch.ts";
import { databaseTypes, typesPath } from "../database/types.ts";
import { main } from "../stack/main.ts";
import { PROJECT } from "../stack/paths.ts";

await main(async () => {
  const released = await isReleased();
  const repair = released ? "npm run db:diff -- <name>" : "npm run db:baseline";
  const problems = await releaseProblems();

  if (!released) {
    const others = (await migrationFiles()).filter((file) => file !== baselinePath);
    for (const file of others) {
      problems.push(
        `${relative(PROJECT, file)}: before the first release there is only the baseline; delete the file, ` +
          `change supabase/schemas, and run: ${repair}`,
      );
    }
    if ((await readOrEmpty(baselinePath)) !== (await baseline())) {
      problems.push(
        `${relative(PROJECT, baselinePath)} is not what supabase/schemas says. Run: ${repair}`,
      );
    }
  }

  // One server for all that follows; the types are read while the diff is made.
  const { diff, types } = await onScratchServer(async (scratch) => {
    const diff = await diffOfSchemas(scratch);
    return { diff, types: await databaseTypes(diff.migratedUrl) };
  });
  if (diff.statements !== "" || diff.rows !== "") {
    problems.push(
      `The migrations do not make what supabase/schemas describes. Run: ${repair}\n` +
        "What is missing:\n" +
        [diff.statements, diff.rows].filter(Boolean).join("\n"),
    );
  }
  if ((await readOrEmpty(typesPath)) !== types) {
    problems.push(
      `${relative(PROJECT, typesPath)} is not what the database says. Run: npm run types`,
    );
  }

  for (const problem of problems) console.error(`${problem}\n`);
  if (problems.length > 0) process.exitCode = 1;
  else console.log("no drift: migrations and database types are what supabase/schemas makes");
});

function readOrEmpty(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}
