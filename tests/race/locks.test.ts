// Each lock, one at a time: A is in the middle of something, B wants the same; what B waits for, what it holds while it
// waits, and what it answers when A is done. (The storms of the other files find what nobody thought of.)
import { randomUUID } from "node:crypto";
import type { Row, Sql } from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import {
  addQuota,
  addTenant,
  addTestModel,
  addUser,
  reserve,
  usageOf,
  verifyBalances,
} from "../support/spend.ts";
import { until } from "../support/until.ts";
import { wrongQuotas } from "./oracle.ts";
import {
  actAs,
  atOnce,
  deadlocks,
  endsOrWaits,
  held as heldBy,
  interleave as interleaveSessions,
  isFree as isFreeNow,
  openSession,
  type Session,
  untilWaits,
  type Work,
  withSessions,
} from "./sessions.ts";

let database: TestDatabase;
let sql: Sql;
let tenantId: string;

beforeAll(async () => {
  database = await cloneDatabase({ connections: 20 });
  sql = database.sql;
  await addTestModel(sql);
});
afterAll(() => database?.close());
beforeEach(async () => {
  tenantId = await addTenant(sql, 100, 1);
});

/** The sessions of this file (sessions.ts). */
const open = () => openSession(sql);
const held = (session: Session) => heldBy(sql, session);
const isFree = (query: string) => isFreeNow(sql, query);
const interleave = (
  first: Work,
  second: Work,
  meanwhile?: (b: Session) => Promise<unknown>,
): Promise<Row[]> => interleaveSessions(sql, first, second, meanwhile);

async function hold(usd: number): Promise<string> {
  return (await reserve(sql, tenantId, null, usd)).reservation_id as string;
}

/** A running sandbox of the tenant. */
async function runningContext(conversation: string = randomUUID()): Promise<string> {
  const claimId = randomUUID();
  const [claimed] = await sql`
    select context_id from spend.claim_context(${tenantId}, null, ${conversation}, ${claimId})`;
  await sql`
    select spend.confirm_context(${tenantId}, ${claimed?.context_id}, ${claimId}, ${randomUUID()},
      now() - interval '10 seconds', now() + interval '5 minutes', 2, 0.5)`;
  return claimed?.context_id;
}

describe("While quotas are changed", () => {
  const changes: Record<string, Work> = {
    "of the tenant": (a) => a`select spend_private.stop_calls(array[${tenantId}::uuid])`,
    "of the platform": (a) => a`select spend_private.stop_calls(array[null::uuid])`,
  };

  /** Calls that book or hold, and what each needs first. */
  const calls: Record<string, () => Promise<Work>> = {
    reserve: async () => (b) =>
      b`select spend.reserve(${tenantId}, null, 'llm', ${b.json(usageOf(1))}, idempotency_key => 'key')`,
    settle: async () => {
      const id = await hold(1);
      return (b) => b`select spend.settle(${id}, ${b.json(usageOf(1))})`;
    },
    release: async () => {
      const id = await hold(1);
      return (b) => b`select spend.release(${id})`;
    },
    extend: async () => {
      const id = await hold(1);
      return (b) => b`select spend.extend(${id}, ${b.json(usageOf(2))})`;
    },
    adjust: async () => (b) =>
      b`select spend.adjust(${tenantId}, 1, 'test', idempotency_key => 'key')`,
    reprice: async () => {
      await sql`select spend.settle(${await hold(1)}, null)`;
      return (b) =>
        b`select spend.reprice('test', 'model', now() - interval '1 hour', now(), false)`;
    },
    claim_context: async () => (b) =>
      b`select spend.claim_context(${tenantId}, null, ${randomUUID()}, ${randomUUID()})`,
    use_context: async () => {
      const id = await runningContext();
      const user = await addUser(sql, tenantId);
      return (b) => b`select spend.use_context(${id}, ${user}, ${randomUUID()}, 600)`;
    },
    end_context: async () => {
      const id = await runningContext();
      return (b) => b`select spend.end_context(${tenantId}, ${id}, 'terminated', 'test')`;
    },
    book_stray_sandbox: async () => (b) =>
      b`select spend.book_stray_sandbox(${tenantId}, ${randomUUID()}, 'base', 2, 0.5, now() - interval '1 minute', now())`,
  };

  for (const [whose, change] of Object.entries(changes)) {
    it.each(Object.keys(calls))(`${whose}, %s waits, and locks nothing before`, async (name) => {
      const call = await (calls[name] as () => Promise<Work>)();
      await interleave(change, call, async (b) =>
        // Where the platform's are changed, it has joined the calls of its tenant, which makes nobody wait.
        expect((await held(b)).filter((lock) => lock !== "ShareLock advisory")).toEqual([]),
      );
      expect(await verifyBalances(sql)).toEqual([]);
    });
  }

  /** What a transaction has locked of calls, once it has run these. */
  const lockedBy = (...statements: ((a: Session["sql"]) => PromiseLike<unknown>)[]) =>
    withSessions(sql, 1, async (...sessions) => {
      const [a] = sessions as [Session];
      await a.sql`begin`;
      for (const statement of statements) await statement(a.sql);
      const [row] = await a.sql`
        select count(*) filter (where locktype = 'advisory' and classid = spend_private.lock_class('calls'))::int as tenants,
          count(*) filter (where relation = 'spend.reservations'::regclass and mode = 'ShareRowExclusiveLock')::int as all
        from pg_locks where pid = pg_backend_pid()`;
      await a.sql`rollback`;
      return row;
    });

  it("of more than 1,000 tenants, all calls wait, and there are no more locks than that", async () => {
    const together = await lockedBy(
      (a) =>
        a`select spend_private.stop_calls(array(select gen_random_uuid() from generate_series(1, 1001)))`,
    );
    expect(together).toEqual({ tenants: 0, all: 1 });
    const oneByOne = await lockedBy(
      (a) =>
        a`select spend_private.stop_calls(array[gen_random_uuid()]) from generate_series(1, 1300)`,
    );
    expect(oneByOne).toEqual({ tenants: 1000, all: 1 });
    const inSteps = await lockedBy(
      ...Array.from(
        { length: 13 },
        () => (a: Session["sql"]) =>
          a`select spend_private.stop_calls(array(select gen_random_uuid() from generate_series(1, 100)))`,
      ),
    );
    expect(inSteps).toEqual({ tenants: 1000, all: 1 });
  });

  it("of one tenant 1,300 times, nobody else's calls wait", async () => {
    const locked = await lockedBy(
      (a) =>
        a`select spend_private.stop_calls(array[${tenantId}::uuid]) from generate_series(1, 1300)`,
    );
    expect(locked).toEqual({ tenants: 1, all: 0 });
  });

  it("of the platform, and then of a tenant whose call waits for that, neither waits for the other", async () => {
    await withSessions(sql, 2, async (...sessions) => {
      const [a, b] = sessions as [Session, Session];
      await a.sql`begin`;
      await (changes["of the platform"] as Work)(a.sql);
      const call = b.sql`select spend.reserve(${tenantId}, null, 'llm', ${b.sql.json(usageOf(1))})`;
      call.catch(() => {});
      await untilWaits(sql, b);
      await a.sql`set lock_timeout = '2s'`;
      await (changes["of the tenant"] as Work)(a.sql);
      await a.sql`commit`;
      expect(await call).toHaveLength(1);
    });
  });

  it("of one tenant, another tenant's calls do not wait", async () => {
    const a = await open();
    try {
      await a.sql`begin`;
      await (changes["of the tenant"] as Work)(a.sql);
      tenantId = await addTenant(sql, 100, 1);
      for (const name of Object.keys(calls)) {
        if (name === "reprice") continue; // It books for all tenants.
        const call = await (calls[name] as () => Promise<Work>)();
        await sql.begin((b) => call(b as unknown as Session["sql"]));
      }
    } finally {
      await a.sql`rollback`;
      a.sql.release();
    }
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it.each(Object.keys(changes))(
    "by %s, expiry passes over the quota's calls at once",
    async (whose) => {
      const id = await hold(1);
      const other = await addTenant(sql, 100, 1);
      const [theirs] = await sql`
      select reservation_id as id from spend.reserve(${other}, null, 'llm', ${sql.json(usageOf(1))})`;
      const a = await open();
      try {
        await a.sql`begin`;
        await (changes[whose] as Work)(a.sql);
        const start = Date.now();
        await sql`select spend_private.run_job('expire_reservations', now() + interval '1 hour')`;
        expect(Date.now() - start).toBeLessThan(2900);
        const rows = await sql`
        select status from spend.reservations where id in (${id}, ${theirs?.id}) order by id = ${id} desc`;
        expect(rows.map((row) => row.status)).toEqual([
          "held",
          whose === "of the tenant" ? "expired" : "held",
        ]);
      } finally {
        await a.sql`rollback`;
        a.sql.release();
      }
      expect(await verifyBalances(sql)).toEqual([]);
    },
  );
});

it("Maintenance that has locked the roll-ups leaves plans whose quotas are being changed to its next run", async () => {
  await withSessions(sql, 2, async (...sessions) => {
    const [a, b] = sessions as [Session, Session];
    await a.sql`begin`;
    await a.sql`select spend_private.lock_quota_changes()`;
    const [done] = await b.sql`select spend_private.run_job('follow_plans') as count`;
    expect(done?.count).toBeNull();
    // In a transaction of its own it waits: a plan's tenants are not left behind by owners who are never done.
    const step = b.sql`select spend.maintain(job => 'follow_plans')`;
    step.catch(() => {});
    await untilWaits(sql, b);
    await a.sql`commit`;
    await step;
  });
});

it("A balance is not rebuilt beside a transaction that has changed the platform's quotas and then its own, though spend.seeding let both begin", async () => {
  await sql`select spend.settle(${await hold(3)}, ${sql.json(usageOf(2))})`;
  await hold(1);
  const [quota] = await sql`select id from spend.cost_quotas where tenant_id = ${tenantId}`;
  try {
    await interleave(
      async (a) => {
        await a`set local spend.seeding = 'on'`;
        await a`
          insert into spend.cost_quotas (scope, resource_type, period, limit_usd)
          values ('platform', 'all', 'week', 1000)`;
        return a`update spend.cost_quotas set period = 'day' where id = ${quota?.id}`;
      },
      (b) => b`select spend.rebuild_balances(${quota?.id})`,
    );
    expect(await wrongQuotas(sql, [tenantId])).toEqual([]);
    expect(await verifyBalances(sql)).toEqual([]);
  } finally {
    await sql`delete from spend.cost_quotas where scope = 'platform' and period = 'week'`;
  }
});

it("While a quota moves to another tenant, a call of the one before waits, and does not count in it", async () => {
  const other = await addTenant(sql, 100, 1);
  await sql`delete from spend.cost_quotas where tenant_id = ${other}`;
  await hold(1);
  const [held] = await interleave(
    (a) =>
      a`update spend.cost_quotas set tenant_id = ${other}, scope_id = ${other} where tenant_id = ${tenantId}`,
    (b) => b`
      select allowed, reservation_id as id from spend.reserve(${tenantId}, null, 'llm', ${b.json(usageOf(2))})`,
    async (b) => expect((await heldBy(sql, b)).join()).not.toMatch(/quota_balances/),
  );
  expect(held?.allowed).toBe(true);
  expect(
    await sql`select cardinality(holds) as quotas from spend.reservations where id = ${held?.id}`,
  ).toEqual([{ quotas: 0 }]);
  expect(await wrongQuotas(sql, [tenantId, other])).toEqual([]);
  expect(await verifyBalances(sql)).toEqual([]);
});

describe("While a call is under way", () => {
  const call: Work = (a) =>
    a`select spend.reserve(${tenantId}, null, 'llm', ${a.json(usageOf(3))})`;
  /** B waits, and has not touched what the call holds. */
  const hasTouchedNothing = async (b: Session) =>
    expect((await held(b)).join()).not.toMatch(/quota_balances|reservations/);

  it.each([
    ["period", "update spend.cost_quotas set period = 'week' where tenant_id = $1"],
    ["limit", "update spend.cost_quotas set limit_usd = 50 where tenant_id = $1"],
    ["number of slots", "update spend.cost_quotas set slots = 5 where tenant_id = $1"],
    ["deletion", "delete from spend.cost_quotas where tenant_id = $1"],
  ])("another %s of its quota waits for it, and has touched no balance", async (_, change) => {
    tenantId = await addTenant(sql, 100, 3);
    await interleave(call, (b) => b.unsafe(change, [tenantId]), hasTouchedNothing);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("a new quota waits for it, and counts what it holds", async () => {
    await interleave(
      call,
      (b) => b`
        insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd)
        values ('tenant', ${tenantId}, 'all', 'lifetime', 50)`,
    );
    const [status] = await sql`
      select reserved_usd::float8 as usd from spend.quota_status
      where tenant_id = ${tenantId} and resource_type = 'all'`;
    expect(status?.usd).toBe(3);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("another time zone waits for it, and has touched no balance", async () => {
    await hold(1);
    await interleave(
      call,
      (b) => b`update spend.tenants set time_zone = 'Asia/Tokyo' where id = ${tenantId}`,
      hasTouchedNothing,
    );
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("the deletion of its tenant waits for it, and is refused", async () => {
    await sql`delete from spend.cost_quotas where tenant_id = ${tenantId}`;
    await expect(
      interleave(call, (b) => b`delete from spend.tenants where id = ${tenantId}`),
    ).rejects.toMatchObject({ code: "PT409" });
    expect(await verifyBalances(sql)).toEqual([]);
  });
});

describe("Several changes in one transaction beside calls, in either order,", () => {
  /** Changes that lock balances, and then want more; each with the tenant's quota before the user's, and after it. */
  const scopes = [
    ["tenant", "user"],
    ["user", "tenant"],
  ] as const;
  let userId: string;
  let plan: string;

  beforeEach(async () => {
    userId = await addUser(sql, tenantId);
    await addQuota(sql, { scope: "user", tenantId, userId, limitUsd: 50, period: "day" });
    plan = randomUUID();
    await sql`insert into spend.plans (id, name) values (${plan}, 'Plan'), (${`other ${plan}`}, 'Other')`;
    await sql`
      insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd)
      values (${plan}, 'tenant', 'all', 'week', 100), (${plan}, 'user', 'all', 'week', 100),
        (${`other ${plan}`}, 'tenant', 'all', 'day', 100), (${`other ${plan}`}, 'user', 'all', 'day', 100)`;
    await sql`update spend.tenants set plan_id = ${plan} where id = ${tenantId}`;
  });

  const call: Work = (s) =>
    s`select spend.reserve(${tenantId}, ${userId}, 'llm', ${s.json(usageOf(1))})`;
  const cases = scopes.flatMap(([first, second]) => {
    const ofScope = (s: Sql, scope: string) =>
      s`tenant_id = ${tenantId} and scope = ${scope} and source = 'manual'`;
    return [
      {
        name: "two quotas are deleted",
        order: `${first}'s first`,
        statements: [first, second].map(
          (scope): Work =>
            (s) =>
              s`delete from spend.cost_quotas where ${ofScope(s, scope)}`,
        ),
      },
      {
        name: "two limits are changed",
        order: `${first}'s first`,
        statements: [first, second].map(
          (scope): Work =>
            (s) =>
              s`update spend.cost_quotas set limit_usd = limit_usd + 1 where ${ofScope(s, scope)}`,
        ),
      },
      {
        name: "two periods are changed",
        order: `${first}'s first`,
        statements: [first, second].map(
          (scope): Work =>
            (s) =>
              s`update spend.cost_quotas set period = 'week' where ${ofScope(s, scope)}`,
        ),
      },
      {
        name: "two numbers of slots are changed",
        order: `${first}'s first`,
        statements: [first, second].map(
          (scope): Work =>
            (s) =>
              s`update spend.cost_quotas set slots = 3 where ${ofScope(s, scope)}`,
        ),
      },
    ];
  });
  const single = [
    {
      name: "another plan drops one quota and adds another",
      order: "in one statement",
      statements: [
        ((s) =>
          s`update spend.tenants set plan_id = ${`other ${plan}`} where id = ${tenantId}`) as Work,
      ],
    },
    {
      name: "a member is removed and added",
      order: "in one transaction",
      statements: [
        ((s) => s`delete from spend.tenant_members where user_id = ${userId}`) as Work,
        ((s) =>
          s`insert into spend.tenant_members (tenant_id, user_id) values (${tenantId}, ${userId})`) as Work,
      ],
    },
  ];

  it.each([...cases, ...single])(
    "where $name, $order, between two statements of a call's transaction: both end",
    async ({ statements }) => {
      await call(sql);
      const before = await deadlocks(sql);
      await withSessions(sql, 2, async (a, b) => {
        if (a === undefined || b === undefined) throw new Error("two sessions are needed");
        // The call's transaction holds some balances, or only what a call takes first.
        await a.sql`begin`;
        await call(a.sql);
        const changed = inOneTransaction(b, statements);
        changed.catch(() => {});
        await untilWaits(sql, b);
        await call(a.sql);
        await a.sql`commit`;
        await changed;
      });
      expect(await deadlocks(sql)).toBe(before);
      expect(await verifyBalances(sql)).toEqual([]);
      expect(await wrongQuotas(sql, [tenantId])).toEqual([]);
    },
  );

  it.each([...cases, ...single].filter(({ statements }) => statements.length > 1))(
    "where $name, $order, and a call comes between the two: it waits, and both end",
    async ({ statements }) => {
      const before = await deadlocks(sql);
      await withSessions(sql, 2, async (a, b) => {
        if (a === undefined || b === undefined) throw new Error("two sessions are needed");
        await a.sql`begin`;
        await (statements[0] as Work)(a.sql);
        // The first call of its periods: it opens balances, too.
        const called = call(b.sql);
        called.catch(() => {});
        await endsOrWaits(sql, b, called);
        await (statements[1] as Work)(a.sql);
        await a.sql`commit`;
        await called;
      });
      expect(await deadlocks(sql)).toBe(before);
      expect(await verifyBalances(sql)).toEqual([]);
      expect(await wrongQuotas(sql, [tenantId])).toEqual([]);
    },
  );

  async function inOneTransaction(session: Session, statements: Work[]): Promise<void> {
    await session.sql`begin`;
    for (const statement of statements) await statement(session.sql);
    await session.sql`commit`;
  }
});

describe("Two administrators, each with several changes in one transaction, in opposite order,", () => {
  const changes = {
    "quotas are added": (s: Sql, tenant: string) =>
      s`insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd)
        values ('tenant', ${tenant}, 'all', 'week', 10)`,
    "limits are changed": (s: Sql, tenant: string) =>
      s`update spend.cost_quotas set limit_usd = 90 where tenant_id = ${tenant}`,
    "quotas are deleted": (s: Sql, tenant: string) =>
      s`delete from spend.cost_quotas where tenant_id = ${tenant}`,
    "time zones are changed": (s: Sql, tenant: string) =>
      s`update spend.tenants set time_zone = 'Asia/Tokyo' where id = ${tenant}`,
  };
  it.each(Object.entries(changes))(
    "such as %s: the second waits, and both end",
    async (_, change) => {
      const otherId = await addTenant(sql, 100, 1);
      const before = await deadlocks(sql);
      await withSessions(sql, 2, async (a, b) => {
        if (a === undefined || b === undefined) throw new Error("two sessions are needed");
        await a.sql`begin`;
        await change(a.sql, tenantId);
        const changed = (async () => {
          await b.sql`begin`;
          await change(b.sql, otherId);
          await change(b.sql, tenantId);
          await b.sql`commit`;
        })();
        changed.catch(() => {});
        await untilWaits(sql, b);
        await change(a.sql, otherId);
        await a.sql`commit`;
        await changed.catch((error) => {
          // The first has added it.
          if (error.code !== "23505" && error.message !== "duplicate_quota") throw error;
        });
      });
      expect(await deadlocks(sql)).toBe(before);
    },
  );
});

describe("Two who change quotas of one tenant, in one transaction and in opposite order:", () => {
  it.each([
    ["two owners", true, true],
    ["an operator and an owner", false, true],
    ["an owner and an operator", true, false],
  ])("%s: the second waits before it locks a quota, and both end", async (_, ...areOwners) => {
    const member = await addUser(sql, tenantId);
    const [llm, e2b] = [
      await addQuota(sql, { scope: "user", tenantId, userId: member, limitUsd: 50 }),
      await addQuota(sql, {
        scope: "user",
        tenantId,
        userId: member,
        limitUsd: 50,
        resourceType: "e2b",
      }),
    ];
    const owners = [await addUser(sql, tenantId), await addUser(sql, tenantId)];
    await sql`update spend.tenant_members set role = 'owner' where user_id = any (${owners})`;
    const begin = async (session: Sql, who: number) => {
      await session`begin`;
      if (areOwners[who]) await actAs(session, owners[who]);
    };
    const lower = (session: Sql, quota: number, usd: number) => session`
      update spend.cost_quotas set limit_usd = ${usd} where id = ${quota} returning id`;
    await withSessions(sql, 2, async (...sessions) => {
      const [a, b] = sessions as [Session, Session];
      await begin(a.sql, 0);
      expect(await lower(a.sql, llm, 40)).toHaveLength(1);
      await begin(b.sql, 1);
      const lowered = lower(b.sql, e2b, 30).execute();
      lowered.catch(() => {});
      await untilWaits(sql, b);
      await lower(a.sql, e2b, 40);
      await a.sql`commit`;
      await lowered;
      await lower(b.sql, llm, 30);
      await b.sql`commit`;
    });
    expect(
      await sql`select distinct limit_usd::float8 as usd from spend.cost_quotas where scope_id = ${member}`,
    ).toEqual([{ usd: 30 }]);
    expect(await verifyBalances(sql)).toEqual([]);
  });
});

describe("Slots", () => {
  /** Room of the two slots of a quota of 10. */
  async function share(first: number, second: number, threshold = 0.8): Promise<number> {
    tenantId = await addTenant(sql, 10, 2);
    await sql`
      update spend.cost_quotas set warning_threshold = ${threshold} where tenant_id = ${tenantId}`;
    const [quota] = await sql`select id from spend.cost_quotas where tenant_id = ${tenantId}`;
    await sql`
      update spend_private.quota_balances as b
      set is_below_threshold = false, allotted_usd = case b.slot when 0 then ${first}::numeric else ${second}::numeric end
      where b.quota_id = ${quota?.id}`;
    return Number(quota?.id);
  }
  const reserved = (usd: number) => (session: Sql) =>
    session`select allowed, reason from spend.reserve(${tenantId}, null, 'llm', ${session.json(usageOf(usd))})`;

  it("of which one has $10, which is room for one of two calls that hold $3 and want $6: the second waits, and is refused", async () => {
    await share(10, 0);
    const [one, other] = [await hold(3), await hold(3)];
    const extend = (id: string) => (session: Sql) =>
      session`select allowed, reason from spend.extend(${id}, ${session.json(usageOf(6))})`;
    expect(await interleave(extend(one), extend(other))).toEqual([
      { allowed: false, reason: "in_flight" },
    ]);
    const [status] = await sql`
      select reserved_usd::float8 as usd from spend.quota_status where tenant_id = ${tenantId}`;
    expect(status?.usd).toBe(9);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it.each([0, 1])(
    "of which number %i is locked: a call takes the other one, and does not wait",
    async (slot) => {
      const quota = await share(5, 5);
      const a = await open();
      try {
        await a.sql`begin`;
        await a.sql`
        select from spend_private.quota_balances
        where quota_id = ${quota} and slot = ${slot} for no key update`;
        const start = Date.now();
        expect(await reserved(1)(sql)).toMatchObject([{ allowed: true }]);
        expect(Date.now() - start).toBeLessThan(1000);
      } finally {
        await a.sql`rollback`;
        a.sql.release();
      }
    },
  );

  it.each([0, 1])(
    "of which number %i is locked: also a call that another quota makes room for takes the other one",
    async (slot) => {
      const quota = await share(5, 5);
      const user = await addUser(sql, tenantId);
      // Its only slot is allotted less than the warning threshold.
      await addQuota(sql, { scope: "user", tenantId, userId: user, limitUsd: 1, slots: 1 });
      await withSessions(sql, 1, async (a) => {
        await a.sql`begin`;
        await a.sql`
          select from spend_private.quota_balances
          where quota_id = ${quota} and slot = ${slot} for no key update`;
        // A call that waited would fail: A commits after it.
        expect((await reserve(sql, tenantId, user, 0.9)).allowed).toBe(true);
      });
    },
  );

  it("of which only one has room, that is in use: B waits for it, and is refused what A left no room for", async () => {
    await share(10, 0);
    expect(await interleave(reserved(8), reserved(5))).toMatchObject([
      { allowed: false, reason: "in_flight" },
    ]);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("of which only one has room, that is in use: B waits for it, and takes what A left", async () => {
    await share(10, 0);
    expect(await interleave(reserved(4), reserved(5))).toMatchObject([{ allowed: true }]);
  });

  it("of which none has room for B while A takes some: B waits, adds up, and is refused", async () => {
    await share(5, 5);
    expect(await interleave(reserved(5), reserved(8))).toMatchObject([
      { allowed: false, reason: "in_flight" },
    ]);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("of which none has room for B, whose call and A's are a tenth of a cent too much: B is refused", async () => {
    await share(5, 5);
    expect(await interleave(reserved(5), reserved(5.001))).toMatchObject([{ allowed: false }]);
  });

  it("of the most shared row are waited for last: B has the user's and the tenant's by then", async () => {
    const user = await addUser(sql, tenantId);
    const platform = await addQuota(sql, { scope: "platform", limitUsd: 1000, slots: 1 });
    const own = await addQuota(sql, { scope: "user", tenantId, userId: user, limitUsd: 50 });
    try {
      await reserve(sql, tenantId, user, 1);
      const balance = (quota: number) =>
        `select from spend_private.quota_balances where quota_id = ${quota}`;
      await interleave(
        (a) => a.unsafe(`${balance(platform)} for no key update`),
        (b) => b`select spend.reserve(${tenantId}, ${user}, 'llm', ${b.json(usageOf(1))})`,
        async () => expect(await isFree(balance(own))).toBe(false),
      );
    } finally {
      await sql`delete from spend.cost_quotas where id = ${platform}`;
    }
  });

  it("on which two calls cross the warning threshold at once record one alert, and both calls are settled", async () => {
    await share(5, 5, 0.1);
    const ids = [await hold(4), await hold(4)];
    const settled = (id: string | undefined) => (session: Sql) =>
      session`select status from spend.settle(${id as string}, ${session.json(usageOf(4))})`;
    expect(await interleave(settled(ids[0]), settled(ids[1]))).toEqual([{ status: "settled" }]);
    expect(
      await sql`select kind from spend.alerts where tenant_id = ${tenantId} and kind = 'quota_warning'`,
    ).toHaveLength(1);
  });
});

describe("The same thing twice is done once", () => {
  it("when A and B settle the same call at different costs: both answer A's", async () => {
    const id = await hold(5);
    const settle = (usd: number) => (session: Sql) =>
      session`select cost_usd::float8 as usd from spend.settle(${id}, ${session.json(usageOf(usd))})`;
    expect(await interleave(settle(2), settle(3))).toEqual([{ usd: 2 }]);
    expect(
      await sql`select cost_usd::float8 as usd from spend.cost_events where tenant_id = ${tenantId}`,
    ).toEqual([{ usd: 2 }]);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("when A settles what B expires: expiry passes over it", async () => {
    const id = await hold(5);
    const a = await open();
    try {
      await a.sql`begin`;
      await a.sql`select spend.settle(${id}, ${a.sql.json(usageOf(2))})`;
      await atOnce(
        sql,
        (s) => s`select spend_private.expire_reservations(10, now() + interval '1 hour')`,
      );
      await a.sql`commit`;
    } finally {
      a.sql.release();
    }
    expect(await sql`select kind from spend.cost_events where tenant_id = ${tenantId}`).toEqual([
      { kind: "charge" },
    ]);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("when A and B adjust with the same key: both get the same answer", async () => {
    const adjust: Work = (session) =>
      session`select spend.adjust(${tenantId}, -5, 'credit', idempotency_key => 'ticket') as id`;
    const [answer] = await interleave(adjust, adjust);
    expect(await sql`select id from spend.cost_events where tenant_id = ${tenantId}`).toEqual([
      { id: answer?.id },
    ]);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("when A settles an expired call late: repricing waits for what that corrects", async () => {
    const id = await hold(5);
    await sql`select spend_private.expire_reservations(10, now() + interval '1 hour')`;
    await interleave(
      (a) => a`select spend.settle(${id}, ${a.json(usageOf(2))})`,
      (b) => b`select spend.reprice('test', 'model', now() - interval '1 hour', now(), false)`,
    );
    expect(await verifyBalances(sql)).toEqual([]);
  });
});

describe("Sandboxes", () => {
  it("whose context A ends while B claims its path make B wait, and create a new one", async () => {
    const conversation = randomUUID();
    const id = await runningContext(conversation);
    const answer = await interleave(
      (a) => a`select spend.end_context(${tenantId}, ${id}, 'terminated', 'test')`,
      (b) => b`
        select outcome from spend.claim_context(${tenantId}, null, ${conversation}, ${randomUUID()})`,
    );
    expect(answer).toEqual([{ outcome: "create" }]);
  });

  it("whose context A ends while B uses it make B wait, and tell that it is gone", async () => {
    const id = await runningContext();
    const user = await addUser(sql, tenantId);
    const answer = await interleave(
      (a) => a`select spend.end_context(${tenantId}, ${id}, 'terminated', 'test')`,
      (b) => b`select outcome from spend.use_context(${id}, ${user}, ${randomUUID()}, 10)`,
    );
    expect(answer).toEqual([{ outcome: "gone" }]);
  });

  it("whose context somebody has locked make whoever ends it wait for that before its reservation", async () => {
    const id = await runningContext();
    await interleave(
      (a) => a`select from spend.execution_contexts where id = ${id} for no key update`,
      (b) => b`select spend.end_context(${tenantId}, ${id}, 'terminated', 'test')`,
      async (b) =>
        expect(await held(b)).toEqual([
          "RowExclusiveLock spend.reservations",
          "RowShareLock spend.execution_contexts",
          "ShareLock advisory",
        ]),
    );
  });
});

describe("The ledger's state", () => {
  const lock: Work = (a) => a`select from spend_private.ledger_state for no key update`;

  it("lets two roll-ups at once count every event once", { timeout: 90_000 }, async () => {
    await sql`
      insert into spend.cost_events (tenant_id, occurred_at, kind, resource_type, cost_usd)
      values (${tenantId}, now(), 'adjustment', 'llm', 1)`;
    await interleave(
      // Transactions of other databases on this server hold it back while they run.
      (a) =>
        until(
          "A has counted the event",
          async () => {
            await a`select spend_private.roll_up()`;
            const rows = await a<Row[]>`
              select from spend_private.cost_rollups where tenant_id = ${tenantId}`;
            return rows.length > 0 ? [...rows] : null;
          },
          60,
        ),
      (b) => b`select spend_private.roll_up()`,
    );
    const [row] = await sql`
      select sum(cost_usd)::float8 as usd from spend_private.cost_rollups where tenant_id = ${tenantId}`;
    expect(row?.usd).toBe(1);
  });

  it.each([
    ["dropping months", "select spend_private.drop_months(1)"],
    ["a rebuild", "select spend_private.rebuild_rollups(gen_random_uuid())"],
  ])(
    "makes %s wait while somebody has locked it, before it has touched anything",
    async (_, statement) => {
      await sql`select spend_private.roll_up()`;
      await interleave(
        lock,
        (b) => b.unsafe(statement),
        async (b) => expect(await held(b)).toEqual(["RowShareLock spend_private.ledger_state"]),
      );
    },
  );

  it("makes adopting a restored ledger wait while somebody has locked it, before it has deleted a roll-up", async () => {
    await interleave(
      lock,
      (b) => b`select spend_private.adopt_ledger()`,
      async (b) => expect((await held(b)).filter((name) => /rollups/.test(name))).toEqual([]),
    );
  });

  it("makes adopting a restored ledger wait for an event that is being booked", async () => {
    await interleave(
      (a) => a`
        insert into spend.cost_events (tenant_id, occurred_at, kind, resource_type, cost_usd)
        values (${tenantId}, now(), 'adjustment', 'llm', 1)`,
      (b) => b`select spend_private.adopt_ledger()`,
    );
    const [row] = await sql`
      select sum(cost_usd)::float8 as usd from spend_private.cost_rollups where tenant_id = ${tenantId}`;
    expect(row?.usd).toBe(1);
  });

  it("makes a new partition wait for an event of its month that is being booked, and move it", async () => {
    await interleave(
      (a) => a`
        insert into spend.cost_events (tenant_id, occurred_at, kind, resource_type, cost_usd)
        values (${tenantId}, '2031-03-05', 'adjustment', 'llm', 1)`,
      (b) => b`select spend_private.ensure_partition('2031-03-01')`,
    );
    expect(
      await sql`select cost_usd::float8 as usd from spend_private.cost_events_2031_03`,
    ).toEqual([{ usd: 1 }]);
  });

  it("makes a new partition wait while the ledger is being adopted, without stopping the default partition", async () => {
    await interleave(
      (a) => a`lock table only spend.cost_events in share row exclusive mode`,
      (b) => b`select spend_private.ensure_partition('2031-04-01')`,
      async (b) =>
        expect((await held(b)).filter((name) => /cost_events_default/.test(name))).toEqual([]),
    );
  });
});

it("Of two slices of the verification at once, the second waits before it looks at anything", async () => {
  const verify: Work = (session) => session`select spend_private.verify_slice() as rows`;
  await interleave(verify, verify, async (b) =>
    expect(await held(b)).toEqual(["RowShareLock spend_private.verification_state"]),
  );
});
