// The load: so many connections, each sending its next call when the last was answered.
import { readFile } from "node:fs/promises";
import postgres, { type ISql, type Sql } from "postgres";

/** One call, by the connection with this number. */
export type Call = (sql: ISql, connection: number) => Promise<unknown>;

export interface Load {
  /** Calls per second, of all connections together. */
  rate: number;
  /** Microseconds of the processors that the server's processes of these connections took per call. */
  processor: number;
  /** Milliseconds of each call. */
  latencies: number[];
}

export interface Connections {
  /** One for each caller. */
  all: ISql[];
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
  options: Options = {},
): Promise<Connections> {
  const sql = open(url, count, settings, options);
  const all = await Promise.all(Array.from({ length: count }, () => sql.reserve()));
  return {
    all,
    async close() {
      for (const connection of all) connection.release();
      await sql.end();
    },
  };
}

interface Options {
  max_pipeline?: number;
  prepare?: boolean;
}

/**
 * Callers who share so many connections by the transaction, as behind a pooler: each call waits for one that is free.
 */
export async function connectPooled(
  url: string,
  callers: number,
  count: number,
): Promise<Connections> {
  const sql = open(url, count, {}, { max_pipeline: 1 });
  return { all: Array.from({ length: callers }, () => sql), close: () => sql.end() };
}

function open(
  url: string,
  count: number,
  settings: Record<string, string | number>,
  options: Options = {},
): Sql {
  return postgres(url, {
    max: count,
    onnotice: () => {},
    connection: { plan_cache_mode: "force_generic_plan", enable_seqscan: "off", ...settings },
    ...options,
  });
}

/** Sends calls over all connections for so many seconds. */
export function drive(connections: Connections, seconds: number, call: Call): Promise<Load> {
  return measured(connections, async (latencies) => {
    const deadline = performance.now() + seconds * 1000;
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
  });
}

/** Sends so many calls a second, evenly, each over a connection that is free. */
export function drivePaced(
  connections: Connections,
  seconds: number,
  rate: number,
  call: Call,
): Promise<Load> {
  return measured(connections, async (latencies) => {
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
  });
}

/** What `send` takes, which adds the latency of each call that it made. */
async function measured(
  connections: Connections,
  send: (latencies: number[]) => Promise<void>,
): Promise<Load> {
  const processes = await processesOf(connections);
  const latencies: number[] = [];
  const before = await processorTime(processes);
  const begin = performance.now();
  await send(latencies);
  const seconds = (performance.now() - begin) / 1000;
  const processor = (await processorTime(processes)) - before;
  return { rate: latencies.length / seconds, processor: processor / latencies.length, latencies };
}

async function processesOf(connections: Connections): Promise<number[]> {
  const processes = await Promise.all(
    connections.all.map(async (sql) => {
      // Long enough that callers who share connections meet all of them.
      const [row] = await sql<
        { pid: number }[]
      >`select pg_backend_pid() as pid from pg_sleep(0.02)`;
      return row?.pid ?? Number.NaN;
    }),
  );
  return [...new Set(processes)];
}

/** Microseconds that these processes have run so far, by Linux's scheduler; unknown elsewhere. */
async function processorTime(processes: number[]): Promise<number> {
  const times = await Promise.all(
    processes.map(async (pid) => {
      const text = await readFile(`/proc/${pid}/schedstat`, "utf8").catch(() => "unknown");
      return Number(text.split(" ")[0]) / 1000;
    }),
  );
  return times.reduce((sum, time) => sum + time, 0);
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
