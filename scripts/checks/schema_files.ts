// npm run check:schemas: an exposed function (schema spend) stands in a file of its name, which is where a reader looks for
// it: supabase/schemas/<folder>/[NN_]<name>.sql, overloads in one. The number is for files that others of their folder need.
import { readFile } from "node:fs/promises";
import { basename, relative } from "node:path";
import { PROJECT } from "../stack/paths.ts";
import { schemaFiles } from "../stack/schemas.ts";

const EXPOSED = /^create (?:or replace )?(?:function|procedure) spend\.(\w+)/gm;

const problems: string[] = [];
let count = 0;
for (const file of await schemaFiles()) {
  const name = basename(file, ".sql").replace(/^\d\d_/, "");
  for (const [, exposed] of (await readFile(file, "utf8")).matchAll(EXPOSED)) {
    count += 1;
    if (exposed !== name) {
      problems.push(`${relative(PROJECT, file)}: move spend.${exposed} to ${exposed}.sql`);
    }
  }
}

for (const problem of problems) console.error(problem);
if (problems.length > 0 || count === 0) process.exitCode = 1;
else console.log(`schema files: ${count} exposed functions stand in files of their names`);
