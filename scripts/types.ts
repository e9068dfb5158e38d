// npm run types
import { writeFile } from "node:fs/promises";
import { relative } from "node:path";
import { databaseTypes, typesPath } from "./database_types.ts";
import { main, migrationFiles, onScratchServer } from "./scratch.ts";
import { PROJECT } from "./stack/paths.ts";

await main(async () => {
  const types = await onScratchServer(async (scratch) =>
    databaseTypes(await scratch.create("migrated", await migrationFiles())),
  );
  await writeFile(typesPath, types);
  console.log(`wrote ${relative(PROJECT, typesPath)}`);
});
