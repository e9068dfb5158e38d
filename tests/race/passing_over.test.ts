// Work on many rows passes over those that somebody has locked, and waits for nobody.
import { randomUUID } from "node:crypto";
import type { Sql } from "postgres";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { addTenant } from "../support/spend.ts";
import { endsOrWaits, interleave, withSessions } from "./sessions.ts";

let database: TestDatabase;
let sql: Sql;
let tenantId: string;

beforeAll(async () => {
  database = await cloneDatabase({ connections: 8 });
  sql = database.sql;
});
afterAll(() => database?.close());
beforeEach(async () => {
  tenantId = await addTenant(sql, 100, 1);
});

interface Work {
  /** Makes two rows to work on. */
  prepare: () => Promise<void>;
  /** Locks one of them. */
  lock: (a: Sql) => Promise<unknown>;
  work: (b: Sql) => Promise<unknown>;
  /** How many rows are done. */
  done: () => Promise<unknown>;
}

async function countOf(rows: Promise<{ count: number }[]>): Promise<number | undefined> {
  return (await rows)[0]?.count;
}

/** Contexts that were paused two days ago. */
async function pauseTwo(): Promise<void> {
  for (const conversation of ["locked", "free"]) {
    const claimId = randomUUID();
    const [claimed] = await sql`
      select context_id as id from spend.claim_context(${tenantId}, null, ${conversation}, ${claimId})`;
    await sql`
      select spend.confirm_context(${tenantId}, ${claimed?.id}, ${claimId}, ${randomUUID()}, now(), now() + interval '5 minutes', 2, 0.5)`;
    await sql`select spend.end_context(${tenantId}, ${claimed?.id}, 'paused', 'test')`;
    await sql`
      update spend.execution_contexts set paused_at = now() - interval '2 days' where id = ${claimed?.id}`;
  }
}

const lockContext = (a: Sql) => a`
  select from spend.execution_contexts
  where tenant_id = ${tenantId} and conversation_id = 'locked' for no key update`;

const works: Record<string, Work> = {
  "Folding counts of refusals": {
    prepare: async () => {
      await sql`
        insert into spend.refusal_counts (
          tenant_id, hour, quota_id, reason, part, scope, refusals, first_at, last_at, last_estimated_cost_usd, last_limit_usd
        )
        select ${tenantId}, h.hour, 1, 'in_flight', p.part, 'tenant', 1, h.hour, h.hour, 1, 1
        from (select date_trunc('hour', now(), 'UTC') - interval '3 hours') as h (hour), (values (1), (2)) as p (part)`;
    },
    lock: (a) =>
      a`select from spend.refusal_counts where tenant_id = ${tenantId} and part = 1 for update`,
    work: (b) => b`select spend_private.fold_refusals()`,
    done: () =>
      countOf(
        sql`select count(*)::int from spend.refusal_counts where tenant_id = ${tenantId} and part = 0`,
      ),
  },
  "Looking at paused sandboxes": {
    prepare: pauseTwo,
    lock: lockContext,
    work: (b) => b`select spend.look_at_paused(1000)`,
    done: () =>
      countOf(
        sql`select count(looked_at)::int from spend.execution_contexts where tenant_id = ${tenantId}`,
      ),
  },
  "Ending sandboxes that were paused for long": {
    prepare: pauseTwo,
    lock: lockContext,
    work: (b) => b`select spend.end_long_paused(86400)`,
    done: () =>
      countOf(
        sql`select count(ended_at)::int from spend.execution_contexts where tenant_id = ${tenantId}`,
      ),
  },
  "Counting what a roll-up left out": {
    prepare: async () => {
      for (const subject of ["locked", "free"]) {
        await sql`
          select spend_private.record_problem('roll_up', ${tenantId + subject}, 'test',
            ${sql.json({ tenant_id: tenantId, booked_xid: "3" })}, now() - interval '1 day')`;
      }
    },
    lock: (a) =>
      a`select from spend.problems where subject = ${`${tenantId}locked`} for no key update`,
    work: (b) => b`select spend_private.roll_up_late(now())`,
    done: () =>
      countOf(
        sql`select count(resolved_at)::int from spend.problems where subject like ${`${tenantId}%`}`,
      ),
  },
};

it.each(Object.keys(works))(
  "%s passes over what somebody has locked, and does the other",
  async (name) => {
    const { prepare, lock, work, done } = works[name] as Work;
    await prepare();
    await withSessions(sql, 2, async (a, b) => {
      await a.sql`begin`;
      await lock(a.sql);
      const working = work(b.sql);
      expect(await endsOrWaits(sql, b, working)).toBe("ended");
      await working;
      expect(await done()).toBe(1);
      await a.sql`commit`;
    });
  },
);

it("A problem that was resolved and comes back to two at once is told once", async () => {
  const subject = randomUUID();
  const record = (session: Sql) =>
    session`select spend_private.record_problem('verify', ${subject}, 'test')`;
  await record(sql);
  await sql`update spend.problems set resolved_at = now() where subject = ${subject}`;

  await interleave(sql, record, record);

  const alerts = await sql`select from spend.alerts where subject = ${`verify/${subject}`}`;
  expect(alerts).toHaveLength(2);
});
