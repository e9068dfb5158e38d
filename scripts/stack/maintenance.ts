// What pg_cron does on hosted Supabase: expired holds are booked, roll-ups and partitions are made.
import postgres from "postgres";

const EVERY_MS = 10_000;

export interface Maintenance {
  stop(): Promise<void>;
}

/** Runs spend.maintain() now and every ten seconds, one run at a time. */
export function startMaintenance(databaseUrl: string, onLog: (line: string) => void): Maintenance {
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} });
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  const run = () => {
    sql`select spend.maintain()`
      .catch((error) => isStopped || onLog(`spend.maintain() failed: ${error.message}`))
      .finally(() => {
        if (!isStopped) timer = setTimeout(run, EVERY_MS);
      });
  };
  run();
  return {
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      // A run under way may end; one whose database is gone never would.
      await sql.end({ timeout: 5 });
    },
  };
}
