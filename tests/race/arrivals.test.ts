// A member or tenant comes, goes or changes plan while the plan changes or a first call is under way. Whoever
// commits first, everybody ends with what his plan gives, and every call counts.
import type { Sql } from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { addTestModel, followPlans, reserve, usageOf, verifyBalances } from "../support/spend.ts";
import { leftOverQuotas, missingPlanQuotas, wrongQuotas } from "./oracle.ts";
import {
  actAs,
  atOnce,
  endsOrWaits,
  interleave,
  overlap,
  untilWaits,
  type Work,
  withSessions,
} from "./sessions.ts";

let database: TestDatabase;
let sql: Sql;
let plan: string;
let otherPlan: string;
let tenantId: string;
let member: string;
let stranger: string;
let count = 0;

beforeAll(async () => {
  database = await cloneDatabase({ connections: 10 });
  sql = database.sql;
  await addTestModel(sql);
});
afterAll(() => database?.close());
beforeEach(async () => {
  count++;
  plan = `plan ${count}`;
  otherPlan = `other plan ${count}`;
  await sql`insert into spend.plans (id, name) values (${plan}, 'Plan'), (${otherPlan}, 'Other')`;
  await sql`
    insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd)
    values (${plan}, 'tenant', 'llm', 'month', 100), (${plan}, 'user', 'all', 'week', 50),
      (${otherPlan}, 'tenant', 'llm', 'month', 30), (${otherPlan}, 'user', 'all', 'day', 20)`;
  const users = await sql`
    insert into auth.users (id) values (gen_random_uuid()), (gen_random_uuid()) returning id`;
  [member, stranger] = users.map(({ id }) => id) as [string, string];
  const [tenant] = await sql`
    insert into spend.tenants (name, plan_id) values ('Tenant', ${plan}) returning id`;
  tenantId = tenant?.id;
  await sql`insert into spend.tenant_members (tenant_id, user_id) values (${tenantId}, ${member})`;
});

/** Two tenants in the order in which all who stop calls of several lock them. */
async function inLockOrder(...tenants: string[]): Promise<[string, string]> {
  const rows = await sql`
    select id from spend.tenants where id = any (${tenants}) order by spend_private.tenant_key(id)`;
  return rows.map(({ id }) => id) as [string, string];
}

/** Changes of what a plan gives. */
const planChanges: Record<string, Work> = {
  "the plan gains a user quota": (s) => s`
    insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd)
    values (${plan}, 'user', 'llm', 'day', 0.01)`,
  "the plan gains a tenant quota": (s) => s`
    insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd)
    values (${plan}, 'tenant', 'all', 'day', 1.5)`,
  "the plan's limits change": (s) =>
    s`update spend.plan_quotas set limit_usd = 1 where plan_id = ${plan}`,
  "a quota of the plan gets another period": (s) => s`
    update spend.plan_quotas set period = 'hour' where plan_id = ${plan} and scope = 'user'`,
  "the plan loses its user quota": (s) =>
    s`delete from spend.plan_quotas where plan_id = ${plan} and scope = 'user'`,
};

/** Changes of who is on it. */
const arrivals: Record<string, Work> = {
  "a member joins": (s) => s`
    insert into spend.tenant_members (tenant_id, user_id) values (${tenantId}, ${stranger})`,
  "a member leaves": (s) => s`
    delete from spend.tenant_members where tenant_id = ${tenantId} and user_id = ${member}`,
  "a member becomes somebody else": (s) => s`
    update spend.tenant_members set user_id = ${stranger}
    where tenant_id = ${tenantId} and user_id = ${member}`,
  "a tenant is created": (s) =>
    s`insert into spend.tenants (name, plan_id) values ('New', ${plan})`,
  "a tenant goes to another plan": (s) =>
    s`update spend.tenants set plan_id = ${otherPlan} where id = ${tenantId}`,
  "a tenant comes from another plan and back": (s) => s`
    with moved as (update spend.tenants set plan_id = ${otherPlan} where id = ${tenantId} returning id)
    insert into spend.tenants (name, plan_id) select 'New', ${plan} from moved`,
  "an owner overrides a quota": (s) => s`
    update spend.cost_quotas set limit_usd = 7 where tenant_id = ${tenantId} and scope = 'user'`,
  "the first call is made": (s) =>
    s`select spend.reserve(${tenantId}, ${member}, 'llm', ${s.json(usageOf(1.25))})`,
  "somebody returns to two tenants by one statement": (s) => s`
    insert into spend.tenant_members (tenant_id, user_id)
    select t.id, ${stranger} from spend.tenants as t where t.plan_id = ${plan}`,
  "somebody demands the plan's quotas": (s) =>
    s`select spend.ensure_quotas(t.id) from spend.tenants as t where t.plan_id = ${plan}`,
};

/** What was before, of some of these. */
const before: Record<string, () => Promise<void>> = {
  async "somebody returns to two tenants by one statement"() {
    await sql`insert into spend.tenants (name, plan_id) values ('Other', ${plan})`;
    await sql`
      insert into spend.tenant_members (tenant_id, user_id)
      select t.id, ${stranger} from spend.tenants as t where t.plan_id = ${plan}`;
    for (const { id } of await sql`select id from spend.tenants where plan_id = ${plan}`) {
      await reserve(sql, id, stranger, 0.005);
    }
    await sql`delete from spend.tenant_members where user_id = ${stranger}`;
  },
};

/** All tenants of these plans, with their members, have what their plan gives, and count what was spent and is held. */
async function expectFollowed(): Promise<void> {
  await followPlans(sql);
  const tenants = (
    await sql`select id from spend.tenants where plan_id in (${plan}, ${otherPlan})`
  ).map(({ id }) => id);
  expect(await missingPlanQuotas(sql, tenants)).toEqual([]);
  expect(await leftOverQuotas(sql, tenants)).toEqual([]);
  expect(await wrongQuotas(sql, tenants)).toEqual([]);
  expect(await verifyBalances(sql)).toEqual([]);
  for (const id of tenants) {
    const [row] = await sql`select spend.ensure_quotas(${id}) as changed`;
    expect(row?.changed).toBe(0);
  }
}

const orders = ["first", "last"] as const;
const pairs = Object.keys(arrivals).flatMap((arrival) =>
  Object.keys(planChanges).flatMap((change) => orders.map((order) => [arrival, change, order])),
);

describe("A change of the plan and an arrival that do not see each other", () => {
  it.each(pairs)(
    "%s in an open transaction, %s, and the first commits %s: every tenant has what its plan gives",
    async (arrival, change, order) => {
      await before[arrival as string]?.();
      await overlap(
        sql,
        arrivals[arrival as string] as Work,
        planChanges[change as string] as Work,
        order === "last",
      );
      await expectFollowed();
    },
  );

  it.each(pairs)(
    "%s while, in an open transaction, %s, which commits %s: every tenant has what its plan gives",
    async (arrival, change, order) => {
      await before[arrival as string]?.();
      await overlap(
        sql,
        planChanges[change as string] as Work,
        arrivals[arrival as string] as Work,
        order === "last",
      );
      await expectFollowed();
    },
  );
});

describe("Two arrivals that do not see each other", () => {
  const joins = ["a member joins", "a member becomes somebody else"] as const;
  const pairs = joins.flatMap((join) =>
    orders.flatMap((order) => [true, false].map((isFirst) => [join, order, isFirst] as const)),
  );

  it.each(pairs)(
    "%s beside a tenant that goes to another plan, whoever is first: every tenant has what its plan gives (%s, %s)",
    async (join, order, isFirst) => {
      const works = [arrivals[join], arrivals["a tenant goes to another plan"]] as [Work, Work];
      const [open, beside] = isFirst ? works : works.toReversed();
      await overlap(sql, open as Work, beside as Work, order === "last");
      await expectFollowed();
    },
  );
});

it.each(["a member joins", "a tenant is created"])(
  "When %s beside a plan that gains a quota, the quota is there when both have committed, without maintenance",
  async (arrival) => {
    const gains = planChanges["the plan gains a user quota"] as Work;
    await overlap(sql, arrivals[arrival] as Work, gains, true);
    const tenants = await sql`select id from spend.tenants where plan_id = ${plan}`;
    const ids = tenants.map(({ id }) => id);
    expect(await missingPlanQuotas(sql, ids)).toEqual([]);
  },
);

it("A member who joined beside a new user quota of 0.01 is refused a call of 1.25", async () => {
  await overlap(
    sql,
    arrivals["a member joins"] as Work,
    planChanges["the plan gains a user quota"] as Work,
    true,
  );
  await followPlans(sql);
  expect(await reserve(sql, tenantId, stranger, 1.25)).toMatchObject({ allowed: false });
});

it("The first call of 1.25 beside a new tenant quota of 1.5 counts in it: the next call of 0.75 is refused", async () => {
  await overlap(
    sql,
    arrivals["the first call is made"] as Work,
    planChanges["the plan gains a tenant quota"] as Work,
  );
  await followPlans(sql);
  expect(await reserve(sql, tenantId, null, 0.75)).toMatchObject({ allowed: false });
});

describe("A tenant that is deleted beside its first call", () => {
  const remove: Work = (s) => s`delete from spend.tenants where id = ${tenantId}`;
  const call = arrivals["the first call is made"] as Work;
  const answer = (work: Promise<unknown>) =>
    work.then(
      () => "done",
      (error) => `${error.code} ${error.message}`,
    );

  it("waits for the call that is open, and its deletion is refused", async () => {
    expect(await answer(overlap(sql, call, remove))).toBe("PT409 tenant_has_history");
    const open = await sql`select id from spend.reservations where tenant_id = ${tenantId}`;
    expect(open).toHaveLength(1);
    expect(await sql`select (spend.settle(${open[0]?.id}, null)).status`).toEqual([
      { status: "settled" },
    ]);
  });

  it("has its call wait for the deletion that is open, and fail as one of nobody", async () => {
    expect(await answer(overlap(sql, remove, call, true))).toBe("42501 not_a_member");
    expect(await sql`select from spend.reservations where tenant_id = ${tenantId}`).toHaveLength(0);
    expect(await verifyBalances(sql)).toEqual([]);
  });
});

it("When a member becomes somebody else, the newcomer has the plan's quotas with his own spend, and the other has none", async () => {
  const quotas = (userId: string) => sql`
    select limit_usd::float8 as usd from spend.cost_quotas where tenant_id = ${tenantId} and scope_id = ${userId}`;
  await sql`update spend.tenant_members set user_id = ${stranger} where user_id = ${member}`;
  expect(await quotas(member)).toEqual([]);
  expect(await quotas(stranger)).toEqual([{ usd: 50 }]);
  await expectFollowed();
});

it("A member without a quota of his own who leaves and returns beside his open call: it counts in the quota that he then gets", async () => {
  await sql`delete from spend.plan_quotas where plan_id = ${plan} and scope = 'user'`;
  await withSessions(sql, 2, async (caller, owner) => {
    await caller.sql`begin`;
    await caller.sql`select spend.reserve(${tenantId}, ${member}, 'llm', ${sql.json(usageOf(1.25))})`;
    const returning = (async () => {
      await (arrivals["a member leaves"] as Work)(owner.sql as unknown as Sql);
      // In one transaction, so that the quota opens without counting: a newcomer has spent nothing.
      await owner.sql`begin`;
      await owner.sql`insert into spend.tenant_members (tenant_id, user_id) values (${tenantId}, ${member})`;
      await owner.sql`
        insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
        values ('user', ${tenantId}, ${member}, 'llm', 'day', 2)`;
      await owner.sql`commit`;
    })();
    await endsOrWaits(sql, owner, returning);
    await caller.sql`commit`;
    await returning;
  });
  expect(await wrongQuotas(sql, [tenantId])).toEqual([]);
  expect(await reserve(sql, tenantId, member, 1.25)).toMatchObject({ allowed: false });
});

describe("A released call of a member who has left, which is settled at $1.25", () => {
  let call: string;
  const settle: Work = (s) => s`select spend.settle(${call}, ${sql.json(usageOf(1.25))})`;
  const returns: Work = async (s) => {
    await s`insert into spend.tenant_members (tenant_id, user_id) values (${tenantId}, ${member})`;
    return [await reserve(s, tenantId, member, 0.5)];
  };

  beforeEach(async () => {
    call = (await reserve(sql, tenantId, member, 1.25)).reservation_id as string;
    await sql`select spend.release(${call}, 'cancelled')`;
    await sql`delete from spend.tenant_members where tenant_id = ${tenantId} and user_id = ${member}`;
  });

  it.each([
    ["before it commits", settle, returns],
    ["after it has begun", returns, settle],
  ] as const)("counts when he returns %s", async (_when, first, second) => {
    await overlap(sql, first, second, true);
    expect(await verifyBalances(sql)).toEqual([]);
    const [balance] = await sql`
      select sum(b.spent_usd)::float8 as spent, sum(b.reserved_usd)::float8 as held
      from spend_private.quota_balances as b
      join spend.cost_quotas as q on q.id = b.quota_id and q.tenant_id = ${tenantId} and q.scope = 'user'`;
    expect(balance).toEqual({ spent: 1.25, held: 0.5 });
  });
});

it("A released call that is settled while another call opens a balance that is missing counts in it", async () => {
  const call = (await reserve(sql, tenantId, member, 1.25)).reservation_id as string;
  await sql`select spend.release(${call}, 'cancelled')`;
  await sql`
    delete from spend_private.quota_balances as b using spend.cost_quotas as q
    where q.id = b.quota_id and q.tenant_id = ${tenantId}`;
  await overlap(
    sql,
    async (s) => [await reserve(s, tenantId, member, 0.5)],
    (s) => s`select spend.settle(${call}, ${sql.json(usageOf(1.25))})`,
  );
  expect(await verifyBalances(sql)).toEqual([]);
});

it("Members who return to two tenants by one statement wait for both before they join the calls of one", async () => {
  const [other] =
    await sql`insert into spend.tenants (name, plan_id) values ('Other', ${plan}) returning id`;
  await sql`insert into spend.tenant_members (tenant_id, user_id) values (${other?.id}, ${member})`;
  const [first, second] = await inLockOrder(tenantId, other?.id);
  for (const id of [first, second]) await reserve(sql, id, member, 1);
  await sql`delete from spend.tenant_members where user_id = ${member}`;
  await withSessions(sql, 2, async (operator, arriving) => {
    await operator.sql`begin`;
    await operator.sql`update spend.cost_quotas set limit_usd = limit_usd + 1 where tenant_id = ${second}`;
    const arrived = arriving.sql`
      insert into spend.tenant_members (tenant_id, user_id)
      values (${first}, ${member}), (${second}, ${member})`.execute();
    arrived.catch(() => {});
    await untilWaits(sql, arriving);
    // Needs the whole table of reservations.
    await operator.sql`
      insert into spend.cost_quotas (scope, resource_type, period, limit_usd) values ('platform', 'all', 'week', 1000)`;
    await operator.sql`commit`;
    await arrived;
  });
  expect(await verifyBalances(sql)).toEqual([]);
  await sql`delete from spend.cost_quotas where scope = 'platform' and period = 'week'`;
});

describe("A member who returns", () => {
  /** What an operator does after he has changed a quota of the platform, and of the first tenant. */
  const next: Record<string, (tenants: string[]) => Work> = {
    "makes a call":
      ([first]) =>
      async (s) => [await reserve(s, first as string, null, 1)],
    "renames the last tenant": (tenants) => (s) =>
      s`
      update spend.tenants set name = 'Renamed' where id = ${tenants.at(-1) as string}`,
  };

  it.each(Object.keys(next).flatMap((what) => [1, 2].map((count) => [count, what] as const)))(
    "to %i by one statement waits for an operator who has changed quotas, and then %s",
    async (count, what) => {
      const tenants = [tenantId];
      if (count > 1) {
        const [other] = await sql`
          insert into spend.tenants (name, plan_id) values ('Other', ${plan}) returning id`;
        tenants.push(other?.id);
        await sql`insert into spend.tenant_members (tenant_id, user_id) values (${other?.id}, ${member})`;
      }
      for (const id of tenants) await reserve(sql, id, member, 1);
      await sql`delete from spend.tenant_members where user_id = ${member}`;
      try {
        await withSessions(sql, 2, async (operator, arriving) => {
          await operator.sql`begin`;
          await operator.sql`
            insert into spend.cost_quotas (scope, resource_type, period, limit_usd) values ('platform', 'all', 'week', 1000)`;
          await operator.sql`
            update spend.cost_quotas set limit_usd = limit_usd + 1 where tenant_id = ${tenantId}`;
          const arrived = arriving.sql`
            insert into spend.tenant_members (tenant_id, user_id)
            select t.id, ${member} from unnest(${tenants}::uuid[]) as t (id)`.execute();
          arrived.catch(() => {});
          await untilWaits(sql, arriving);
          await (next[what] as (tenants: string[]) => Work)(tenants)(operator.sql);
          await operator.sql`commit`;
          await arrived;
        });
        await expectFollowed();
      } finally {
        await sql`delete from spend.cost_quotas where scope = 'platform' and period = 'week'`;
      }
    },
  );
});

describe("A credit by hand for somebody who joins at that moment", () => {
  const credit: Work = (s) =>
    s`select spend.adjust(${tenantId}, -3, 'credit', user_id => ${stranger}) as event`;
  const joins = arrivals["a member joins"] as Work;

  it.each([
    ["before he has joined", credit, joins],
    ["after he has joined", joins, credit],
  ] as const)(
    "counts in the quotas that he gets when it is booked %s",
    async (_, first, second) => {
      await interleave(sql, first, second);
      const [quota] = await sql`
      select spent_usd::float8 as usd from spend.quota_status where scope = 'user' and scope_id = ${stranger}`;
      expect(quota?.usd).toBe(-3);
      await expectFollowed();
    },
  );
});

describe("Somebody who is changing quotas beside a member who returns", () => {
  const leave = async () => {
    await reserve(sql, tenantId, member, 1);
    await sql`delete from spend.tenant_members where user_id = ${member}`;
  };
  const returns: Work = (s) =>
    s`insert into spend.tenant_members (tenant_id, user_id) values (${tenantId}, ${member})`;
  const changes: Work = (s) =>
    s`update spend.cost_quotas set limit_usd = limit_usd + 1 where tenant_id = ${tenantId}`;

  it("and has renamed the tenant before does not make him wait, nor wait for ever", async () => {
    await leave();
    await withSessions(sql, 2, async (operator, arriving) => {
      await operator.sql`begin`;
      await operator.sql`update spend.tenants set name = 'Renamed' where id = ${tenantId}`;
      await operator.sql`update spend.plans set name = 'Renamed' where id = ${plan}`;
      await arriving.sql`begin`;
      await arriving.sql`set local lock_timeout = '2s'`;
      await returns(arriving.sql);
      const changed = changes(operator.sql);
      changed.catch(() => {});
      await untilWaits(sql, operator);
      await arriving.sql`commit`;
      await changed;
      await operator.sql`commit`;
    });
    await expectFollowed();
  });

  it("as the owner of two tenants to which he returns by one statement is waited for, and changes both", async () => {
    const owner = stranger;
    const [other] = await sql`
      insert into spend.tenants (name, plan_id) values ('Other', ${plan}) returning id`;
    const [first, second] = await inLockOrder(tenantId, other?.id);
    await sql`insert into spend.tenant_members (tenant_id, user_id) values (${other?.id}, ${member})`;
    await sql`
      insert into spend.tenant_members (tenant_id, user_id, role)
      values (${first}, ${owner}, 'owner'), (${second}, ${owner}, 'owner')`;
    for (const id of [first, second]) await reserve(sql, id, member, 1);
    await sql`delete from spend.tenant_members where user_id = ${member}`;
    const ownQuota = (s: Sql, tenant: string) => s`
      update spend.cost_quotas set limit_usd = 4
      where tenant_id = ${tenant} and scope_id = ${owner} returning id`;
    await withSessions(sql, 2, async (a, arriving) => {
      await a.sql`begin`;
      await actAs(a.sql, owner);
      expect(await ownQuota(a.sql, second)).toHaveLength(1);
      const arrived = arriving.sql`
        insert into spend.tenant_members (tenant_id, user_id)
        values (${first}, ${member}), (${second}, ${member})`.execute();
      arrived.catch(() => {});
      await untilWaits(sql, arriving);
      expect(await ownQuota(a.sql, first)).toHaveLength(1);
      await a.sql`commit`;
      await arrived;
    });
    await expectFollowed();
  });

  it("does not make a member wait who is there, and whom an application adds again", async () => {
    await reserve(sql, tenantId, member, 1);
    await withSessions(sql, 1, async (operator) => {
      await operator.sql`begin`;
      await changes(operator.sql);
      await atOnce(
        sql,
        (s) => s`
          insert into spend.tenant_members (tenant_id, user_id) values (${tenantId}, ${member})
          on conflict do nothing`,
      );
      await operator.sql`rollback`;
    });
  });

  it("and then deletes the tenant is told that it has spent", async () => {
    await leave();
    await withSessions(sql, 2, async (operator, arriving) => {
      await operator.sql`begin`;
      await changes(operator.sql);
      const arrived = returns(arriving.sql);
      arrived.catch(() => {});
      await untilWaits(sql, arriving);
      await expect(
        operator.sql`delete from spend.tenants where id = ${tenantId}`.execute(),
      ).rejects.toMatchObject({ code: "PT409" });
      await operator.sql`rollback`;
      await arrived;
    });
    await expectFollowed();
  });
});

describe("Members of two tenants, of which the second has the first row,", () => {
  const all: Record<string, Work> = {
    leave: (s) => s`delete from spend.tenant_members where user_id = ${member}`,
    "become somebody else": (s) =>
      s`update spend.tenant_members set user_id = ${stranger} where user_id = ${member}`,
  };

  it.each(Object.keys(all))(
    "who %s by one statement wait for both tenants in their order, and a transaction that calls in the first, then in the second, goes on",
    async (change) => {
      // Whether the rows are read as they lie or by their key, the second tenant is met first.
      const [first, second] = (
        await sql`
          select first.id as first, second.id as second
          from
            (select gen_random_uuid() as id from generate_series(1, 20)) as first,
            (select gen_random_uuid() as id from generate_series(1, 20)) as second
          where second.id < first.id
            and spend_private.tenant_key(second.id) > spend_private.tenant_key(first.id)
          limit 1`
      ).flatMap((ids) => [ids.first, ids.second]) as [string, string];
      await sql`
        insert into spend.tenants (id, name, plan_id)
        values (${second}, 'Second', ${plan}), (${first}, 'First', ${plan})`;
      await sql`
        insert into spend.tenant_members (tenant_id, user_id) values (${second}, ${member}), (${first}, ${member})`;
      // Rows lie as one session last wrote what an index has of them: seeding wrote these in their order.
      await sql.begin(async (session) => {
        for (const id of [second, first]) {
          await session`update spend.tenant_members set is_seeded = false where tenant_id = ${id}`;
        }
      });
      await sql`delete from spend.tenant_members where tenant_id = ${tenantId}`;
      await withSessions(sql, 2, async (caller, owner) => {
        await caller.sql`begin`;
        await reserve(caller.sql, first, null, 1);
        const changing = (all[change] as Work)(owner.sql);
        changing.catch(() => {});
        await untilWaits(sql, owner);
        expect(await reserve(caller.sql, second, null, 1)).toMatchObject({ allowed: true });
        await caller.sql`commit`;
        await changing;
      });
      const quotas = await sql`select tenant_id from spend.cost_quotas where scope_id = ${member}`;
      expect(quotas).toEqual([]);
      await expectFollowed();
    },
  );
});

it("maintenance does not wait for a tenant that somebody is changing, and takes it in its next run", async () => {
  await sql`update spend.tenants set plan_version = 0 where id = ${tenantId}`;
  const rename: Work = (s) => s`update spend.tenants set name = 'Renamed' where id = ${tenantId}`;
  const follow: Work = (s) => s`select spend_private.follow_plans(10, ${plan})::int as tenants`;
  expect(await overlap(sql, rename, follow, true)).toEqual({
    rows: [{ tenants: 0 }],
    waited: false,
  });
  expect(await follow(sql)).toEqual([{ tenants: 1 }]);
  await expectFollowed();
});
