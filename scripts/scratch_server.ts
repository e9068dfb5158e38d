// A throwaway server with the schema files applied, for trying SQL: `npx tsx scripts/scratch_server.ts`.
// Prints its URL and runs until Ctrl-C. `--bare` stops before the schema files.
import { main } from "./scratch.ts";
import { bootstrap } from "./stack/bootstrap.ts";
import { startDatabase } from "./stack/database.ts";
import { applySchemas } from "./stack/schemas.ts";

const interrupted = new Promise<void>((resolve) => {
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => resolve());
});

await main(async () => {
  const server = await startDatabase();
  try {
    await bootstrap(server.url);
    if (!process.argv.includes("--bare")) {
      await applySchemas(server.url).catch((error) => {
        console.error(
          `The schema files do not apply, the database is left bare.\n${error.message}`,
        );
      });
    }
    console.log(server.url);
    await Promise.race([interrupted, server.exited]);
  } finally {
    await server.stop();
  }
});
