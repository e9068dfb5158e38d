// npm run db: the database alone, migrated and seeded. `npm run db -- --fresh` starts without earlier data.
import { runUntilStopped } from "./stack/run.ts";
import { checkSettings } from "./stack/settings.ts";
import { startLocalDatabase } from "./stack/stack.ts";

const fresh = process.argv.includes("--fresh");

await runUntilStopped(
  async (report) => {
    checkSettings({}, report);
    const database = await startLocalDatabase({ fresh, report });
    return {
      url: database.url,
      failed: database.exited.then(() => `PostgreSQL ended; see ${database.log}`),
      stop: () => database.stop(),
    };
  },
  ({ url }) => console.log(`\n  Database  ${url}\n`),
);
