// The load: so many connections, each sending its next call when the last was answered.
import postgres, { type ISql, type ReservedSql } from "postgres";

/** One call, by the connection with this number. */
export type Call = (sql: ISql, connection: number) => Promise<unknown>;

export interface Load {
  /** Calls per second, of all connections together. */
  rate: number;
  /** Milliseconds of each call. */
  latencies: number[];
}

export interface Connections {
  all: ReservedSql[];
  close(): Promise<void>;
}

/**
 * Opens connections as a pool of a function's host would have them: as `service_role`, statements
 * prepared. `settings` are of the session. Plans are generic on both sides of a comparison.
 */
export async function connect(
  url: string,
  count: number,
  settings: Record<string, string | number> = {},
): Promise<Connections> {
  const sql = postgres(url, {
    max: count,
    onnotice: () => {},
    connection: { plan_cache_mode: "force_generic_plan", enable_seqscan: "off", ...settings },
  });
  const all = await Promise.all(Array.from({ length: count }, () => sql.reserve()));
  return {
    all,
    async close() {
      for (const connection of all) connection.release();
      await sql.end();
    },
  };
}

/** Sends calls over all connections for so many seconds. */
export async function drive(connections: Connections, seconds: number, call: Call): Promise<Load> {
  const latencies: number[] = [];
  const begin = performance.now();
  const deadline = begin + seconds * 1000;
  await Promise.all(
    connections.all.map(async (sql, number) => {
      for (let start = performance.now(); start < deadline; ) {
        await call(sql, number);
        const end = performance.now();
        latencies.push(end - start);
        start = end;
      }
    }),
  );
  return { rate: latencies.length / ((performance.now() - begin) / 1000), latencies };
}

/** Sends so many calls a second, evenly, each over a connection that is free. */
export async function drivePaced(
  connections: Connections,
  seconds: number,
  rate: number,
  call: Call,
): Promise<Load> {
  const latencies: number[] = [];
  const free = connections.all.map((sql, number) => ({ sql, number }));
  const running = new Set<Promise<void>>();
  const begin = performance.now();
  for (let sent = 0; sent < seconds * rate; sent++) {
    const due = begin + (sent * 1000) / rate;
    while (performance.now() < due || free.length === 0) {
      await new Promise((done) => setTimeout(done, Math.max(1, due - performance.now())));
    }
    const connection = free.shift();
    if (connection === undefined) throw new Error("no connection is free");
    const start = performance.now();
    const one = call(connection.sql, connection.number).then(() => {
      latencies.push(performance.now() - start);
      free.push(connection);
      running.delete(one);
    });
    running.add(one);
  }
  await Promise.all(running);
  return { rate: latencies.length / ((performance.now() - begin) / 1000), latencies };
}

/** The value that this share of all lie below; 0.5 is the median. */
export function quantile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Number.NaN;
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle - 0.5)] ?? NaN)) / 2;
}
