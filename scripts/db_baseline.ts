// npm run db:baseline
import { writeFile } from "node:fs/promises";
import { relative } from "node:path";
import { baseline, baselinePath } from "./baseline.ts";
import { isReleased } from "./releases.ts";
import { main } from "./scratch.ts";
import { PROJECT } from "./stack/paths.ts";
import { StackError } from "./stack/ports.ts";

await main(async () => {
  if (await isReleased()) {
    throw new StackError(
      "supabase/RELEASED exists: the baseline is on databases that cannot start again.\n" +
        "Generate a migration instead: npm run db:diff -- <name>",
    );
  }
  await writeFile(baselinePath, await baseline());
  console.log(`wrote ${relative(PROJECT, baselinePath)}`);
});
