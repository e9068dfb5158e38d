// What pg_cron does on hosted Supabase: expired holds are booked, roll-ups and partitions are made.
import postgres from "postgres";

const EVERY_MS = 10_000;

export interface Maintenance {
  stop(): Promise<void>;
}

/** Runs spend.maintain() now and every ten seconds, one run at a time. */
export function startMaintenance(databaseUrl: string, onLog: (line: string) => void): Maintenance {
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} });
  let timer: NodeJS.Timeout;
  let running = Promise.resolve();
  const run = () => {
    running = sql`select spend.maintain()`
      .then(() => {})
      .catch((error) => onLog(`spend.maintain() failed: ${error.message}`))
      .finally(() => {
        timer = setTimeout(run, EVERY_MS);
      });
  };
  run();
  return {
    async stop() {
      await running;
      clearTimeout(timer);
      await sql.end();
    },
  };
}
