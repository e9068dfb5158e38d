// Sessions with open transactions, and what other sessions do meanwhile.
import type { ReservedSql, Row, Sql } from "postgres";
import { until } from "../support/until.ts";

/** A session, and the process that serves it. */
export interface Session {
  sql: ReservedSql;
  pid: number;
}

export async function openSession(sql: Sql): Promise<Session> {
  const session = await sql.reserve();
  const [row] = await session`select pg_backend_pid() as pid`;
  return { sql: session, pid: row?.pid as number };
}

/** Gives a session back to its pool, whatever it was at. */
export async function closeSession({ sql }: Session): Promise<void> {
  await sql`rollback`;
  sql.release();
}

/** Runs `work` with so many sessions. */
export async function withSessions<T>(
  sql: Sql,
  count: number,
  work: (...sessions: Session[]) => Promise<T>,
): Promise<T> {
  const sessions = await Promise.all(Array.from({ length: count }, () => openSession(sql)));
  try {
    return await work(...sessions);
  } finally {
    await Promise.all(sessions.map(closeSession));
  }
}

/** Makes a signed-in user of the Data API of a session, until its transaction ends. */
export async function actAs(session: Sql, userId: string | undefined): Promise<void> {
  const claims = JSON.stringify({ sub: userId, role: "authenticated" });
  await session`
    select set_config('request.jwt.claims', ${claims}, true), set_config('role', 'authenticated', true)`;
}

/** Runs a statement that must wait for nobody: it fails where it does. */
export async function atOnce<T>(sql: Sql, work: (session: Sql) => Promise<T>): Promise<T> {
  return withSessions(sql, 1, async (only) => {
    const session = (only as Session).sql;
    await session`begin`;
    await session`set local statement_timeout = '5s'`;
    const answer = await work(session).catch((error) => {
      throw error.code === "57014" ? new Error("It waited for somebody.") : error;
    });
    await session`commit`;
    return answer;
  });
}

/** Milliseconds in which a statement that was sent has begun. */
const BEGUN_MS = 5000;

/** Waits until a session is seen waiting for a lock. Fails where its statement has ended instead. */
export async function untilWaits(sql: Sql, { pid }: Session, what = "B"): Promise<void> {
  let activeAt = Date.now();
  await until(`${what} waits for a lock`, async () => {
    const [row] = await sql`select state, wait_event_type from pg_stat_activity where pid = ${pid}`;
    if (row?.state === "active") activeAt = Date.now();
    if (Date.now() - activeAt > BEGUN_MS) throw new Error(`${what} did not wait for a lock.`);
    return row?.state === "active" && row.wait_event_type === "Lock";
  });
}

/** Waits until exactly `count` sessions of this database wait for a lock, in statements that contain `part`. */
export async function untilLockWaits(sql: Sql, count = 1, part = ""): Promise<void> {
  await until(`${count} wait for a lock in: ${part || "any statement"}`, async () => {
    const [row] = await sql`
      select count(*)::int as waiting from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock' and query like ${`%${part}%`}`;
    return row?.waiting === count;
  });
}

/** Waits until a session's statement has ended, or is waiting for a lock: says which. */
export async function endsOrWaits(
  sql: Sql,
  session: Session,
  statement: Promise<unknown>,
): Promise<"ended" | "waits"> {
  let hasEnded = false;
  const ended = statement.then(
    () => {
      hasEnded = true;
    },
    () => {
      hasEnded = true;
    },
  );
  const waiting = untilWaits(sql, session).then(() => "waits" as const);
  waiting.catch(() => {});
  const first = await Promise.race([ended, waiting]);
  return hasEnded || first !== "waits" ? "ended" : "waits";
}

export type Work = (session: Sql) => Promise<Row[]>;

/**
 * A does `first` in an open transaction; B begins `second` and is seen waiting; `meanwhile` looks at B; A commits.
 * Answers what B's statement answered. B's transaction is committed too.
 */
export async function interleave(
  sql: Sql,
  first: Work,
  second: Work,
  meanwhile: (b: Session) => Promise<unknown> = async () => {},
): Promise<Row[]> {
  return withSessions(sql, 2, async (a, b) => {
    await (a as Session).sql`begin`;
    await first((a as Session).sql);
    return waitAndCommit(sql, a as Session, b as Session, second, meanwhile);
  });
}

async function waitAndCommit(
  sql: Sql,
  a: Session,
  b: Session,
  second: Work,
  meanwhile: (b: Session) => Promise<unknown>,
): Promise<Row[]> {
  await b.sql`begin`;
  const answer = second(b.sql);
  answer.catch(() => {});
  if ((await endsOrWaits(sql, b, answer)) === "ended") {
    await answer;
    throw new Error("B did not wait");
  }
  await meanwhile(b);
  await a.sql`commit`;
  const rows = await answer;
  await b.sql`commit`;
  return rows;
}

/**
 * A does `first` in an open transaction, then B does `second` in one of its own, and both commit: A before B, or,
 * where `bFirst` and B's statement does not wait, B before A. Answers what B's statement answered, and whether it waited.
 */
export async function overlap(
  sql: Sql,
  first: Work,
  second: Work,
  bFirst = false,
): Promise<{ rows: Row[]; waited: boolean }> {
  return withSessions(sql, 2, async (a, b) => {
    await (a as Session).sql`begin`;
    await first((a as Session).sql);
    await (b as Session).sql`begin`;
    const answer = second((b as Session).sql);
    answer.catch(() => {});
    const waited = (await endsOrWaits(sql, b as Session, answer)) === "waits";
    if (!waited && bFirst) {
      await answer;
      await (b as Session).sql`commit`;
    }
    await (a as Session).sql`commit`;
    const rows = await answer;
    if (waited || !bFirst) await (b as Session).sql`commit`;
    return { rows, waited };
  });
}

/** What a session holds beyond reading: `mode relation`, and advisory locks; not what it waits for. */
export async function held(sql: Sql, { pid }: Session): Promise<string[]> {
  const rows = await sql`
    select l.mode || ' ' || coalesce(l.relation::regclass::text, l.locktype) as lock
    from pg_locks as l
    left join pg_class as c on c.oid = l.relation
    where l.pid = ${pid} and l.granted and l.mode <> 'AccessShareLock'
      and (l.locktype = 'advisory' or l.locktype = 'relation' and c.relnamespace in ('spend'::regnamespace, 'spend_private'::regnamespace))
      and coalesce(c.relkind, 'r') <> 'i'
    order by 1`;
  return rows.map((row) => row.lock);
}

/** Whether somebody else could lock the rows of a query at once. */
export async function isFree(sql: Sql, query: string): Promise<boolean> {
  return sql
    .begin((transaction) => transaction.unsafe(`${query} for no key update nowait`))
    .then(
      () => true,
      (error) => {
        if (error.code !== "55P03") throw error;
        return false;
      },
    );
}

/** Deadlocks that this database ever had. */
export async function deadlocks(sql: Sql): Promise<number> {
  const [row] = await sql`
    select deadlocks::int as count from pg_stat_database where datname = current_database()`;
  return row?.count as number;
}
