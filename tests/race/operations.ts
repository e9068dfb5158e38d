// Everything that can be done to a gate that is in use: calls, and each administrative operation, at random. Each names
// the refusals that the contract knows; any other error is a fault.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { PostgresError, Sql } from "postgres";
import { expect } from "vitest";
import { maintain, usageOf, verifyBalances } from "../support/spend.ts";

/** What a run works with. Ids of what ended or was deleted stay in it, so that it is tried again. */
export interface World {
  provider: string;
  plans: string[];
  tenants: string[];
  users: string[];
  calls: string[];
  contexts: { id: string; tenantId: string }[];
}

/** Random choices that a seed decides. */
export class Dice {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  /** From 0 to below 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
  below(count: number): number {
    return Math.floor(this.next() * count);
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
  chance(share: number): boolean {
    return this.next() < share;
  }
  usd(most: number): number {
    return this.below(most * 100) / 100;
  }
}

interface Operation {
  /** Answers that are no faults, as `SQLSTATE message` or `SQLSTATE constraint`. */
  refusals?: readonly string[];
  run(sql: Sql, world: World, dice: Dice): Promise<unknown>;
}

const PERIODS = ["hour", "day", "week", "month", "lifetime"] as const;
const RESOURCES = ["llm", "e2b", "all"] as const;
const TASKS = ["chat", "summary"] as const;
const MODELS = ["model", "mini"] as const;
const ZONES = ["UTC", "Asia/Tokyo", "America/New_York", "Asia/Kolkata"] as const;

const NOBODY = ["42501 not_a_member", "PT403 tenant_closed"];
const NO_CONTEXT = [
  ...NOBODY,
  "42501 not_your_context",
  "PT404 unknown_context",
  "PT409 reservation_ended",
];
// What another transaction is adding at the same time is the constraint's to see; what is there, the answers' to say.
const TAKEN = [
  "PT409 duplicate_quota",
  "23505 one_quota_per_subject",
  "PT404 unknown_tenant",
  "23503 cost_quotas_tenant_id_fkey",
  // A user who is no member of that tenant, or not any more.
  "22023 invalid_quota",
];
const MEMBER_TAKEN = [
  "PT409 duplicate_member",
  "23505 tenant_members_pkey",
  "PT404 unknown_tenant",
  "23503 tenant_members_tenant_id_fkey",
];

/** Of one element of a batch, which waits for nobody. */
const BATCHED = [
  "55P03 lock_not_available",
  "55P03 canceling statement due to lock timeout",
  "PT409 idempotency_conflict",
];

/** A random quota of the run's tenants or the platform, as a condition of an update or delete. */
function someQuota(
  sql: Sql,
  { tenants }: World,
  dice: Dice,
  scopes = ["platform", "tenant", "user"],
) {
  return sql`id = (
    select o.id from spend.cost_quotas as o
    where (o.tenant_id = any (${tenants}) or o.tenant_id is null) and o.scope = any (${scopes})
    order by md5(o.id || ${String(dice.below(1e6))}) limit 1
  )`;
}

function somePlanQuota(sql: Sql, { plans }: World, dice: Dice) {
  return sql`(plan_id, scope, resource_type, period) = (
    select o.plan_id, o.scope, o.resource_type, o.period from spend.plan_quotas as o
    where o.plan_id = any (${plans})
    order by md5(o.plan_id || o.scope || o.resource_type || o.period || ${String(dice.below(1e6))}) limit 1
  )`;
}

/** What a user may do by SQL himself. */
async function asUser<T>(sql: Sql, userId: string, work: () => Promise<T>): Promise<T> {
  await sql`begin`;
  try {
    await sql`select set_config('role', 'authenticated', true),
      set_config('request.jwt.claims', ${JSON.stringify({ sub: userId, role: "authenticated" })}, true)`;
    const answer = await work();
    await sql`commit`;
    return answer;
  } catch (error) {
    await sql`rollback`;
    throw error;
  }
}

/** Settles a call at one of these shares of its hold; null: its usage is not known. */
async function settle(
  sql: Sql,
  world: World,
  dice: Dice,
  shares: (number | null)[],
): Promise<void> {
  if (world.calls.length === 0) return;
  const id = dice.pick(world.calls);
  const share = dice.pick(shares);
  const [call] = await sql`
    select estimated_cost_usd::float8 as usd, product from spend.reservations where id = ${id}`;
  const usage =
    share === null
      ? null
      : sql.json(usageOf(call?.usd * share, { provider: world.provider, model: call?.product }));
  const [first] = await sql`select status from spend.settle(${id}, ${usage})`;
  const [again] = await sql`select status from spend.settle(${id}, ${usage})`;
  expect([first?.status, again?.status]).toEqual(["settled", "settled"]);
}

/** The calls of the gate, as functions make them. */
export const calls: Record<string, Operation> = {
  reserve: {
    refusals: NOBODY,
    async run(sql, world, dice) {
      const tenantId = dice.pick(world.tenants);
      const usage = usageOf(dice.usd(20), { provider: world.provider, model: dice.pick(MODELS) });
      const [answer] = await sql`
        select reservation_id from spend.reserve(
          ${tenantId}, ${dice.chance(0.6) ? dice.pick(world.users) : null}, 'llm', ${sql.json(usage)},
          task => ${dice.pick(TASKS)}, ttl_seconds => ${dice.pick([1, 600])},
          conversation_id => ${dice.pick([null, "talk"])})`;
      if (answer?.reservation_id) world.calls.push(answer.reservation_id);
    },
  },
  reserve_unenforced: {
    refusals: NOBODY,
    async run(sql, world, dice) {
      const [answer] = await sql`
        select reservation_id from spend.reserve(
          ${dice.pick(world.tenants)}, ${dice.pick(world.users)}, 'llm',
          ${sql.json(usageOf(dice.usd(20), { provider: world.provider }))}, enforce => false)`;
      if (answer?.reservation_id) world.calls.push(answer.reservation_id);
    },
  },
  reserve_many: {
    async run(sql, world, dice) {
      const calls = Array.from({ length: 1 + dice.below(6) }, () => ({
        tenant_id: dice.pick(world.tenants),
        user_id: dice.chance(0.6) ? dice.pick(world.users) : null,
        resource_type: "llm",
        usage: usageOf(dice.usd(20), { provider: world.provider, model: dice.pick(MODELS) }),
        task: dice.pick(TASKS),
        ttl_seconds: dice.pick([1, 600]),
        idempotency_key: dice.chance(0.2) ? `batch ${dice.below(5)}` : null,
      }));
      const answers = await sql`
        select reservation_id, error ->> 'code' as code, error ->> 'message' as message
        from spend.reserve_many(${sql.json(calls)})`;
      expect(answers).toHaveLength(calls.length);
      for (const { reservation_id, code, message } of answers) {
        if (reservation_id) world.calls.push(reservation_id);
        if (code !== null) expect([...NOBODY, ...BATCHED]).toContain(`${code} ${message}`);
      }
    },
  },
  settle_many: {
    async run(sql, world, dice) {
      if (world.calls.length === 0) return;
      const ids = Array.from({ length: 1 + dice.below(6) }, () => dice.pick(world.calls));
      const found = await sql`
        select id, estimated_cost_usd::float8 as usd, product from spend.reservations where id = any (${ids})`;
      const settlements = ids.map((id) => {
        const call = found.find((row) => row.id === id);
        const share = dice.pick([0, 0.5, 1, 1, 1.5, null]);
        return {
          reservation_id: id,
          usage:
            share === null
              ? null
              : usageOf(call?.usd * share, { provider: world.provider, model: call?.product }),
        };
      });
      const answers = await sql`
        select reservation_id, status, error ->> 'code' as code, error ->> 'message' as message
        from spend.settle_many(${sql.json(settlements)})`;
      expect(answers.map(({ reservation_id }) => reservation_id)).toEqual(ids);
      for (const { status, code, message } of answers) {
        if (code === null) expect(status).toBe("settled");
        else expect(BATCHED).toContain(`${code} ${message}`);
      }
    },
  },
  reserve_by_key: {
    refusals: NOBODY,
    async run(sql, world, dice) {
      const number = dice.below(5);
      const [answer] = await sql`
        select reservation_id from spend.reserve(
          ${dice.pick(world.tenants)}, null, 'llm',
          ${sql.json(usageOf(number, { provider: world.provider }))}, idempotency_key => ${`key ${number}`})`;
      if (answer?.reservation_id) world.calls.push(answer.reservation_id);
    },
  },
  check_quota: {
    refusals: NOBODY,
    run: (sql, world, dice) => sql`
      select spend.check_quota(${dice.pick(world.tenants)}, ${dice.pick(world.users)}, 'llm',
        ${sql.json(usageOf(dice.usd(20), { provider: world.provider }))})`,
  },
  settle: {
    run: (sql, world, dice) => settle(sql, world, dice, [0, 0.25, 1, 1, null]),
  },
  settle_dearer: {
    run: (sql, world, dice) => settle(sql, world, dice, [1.5, 3]),
  },
  release: {
    run: async (sql, world, dice) =>
      world.calls.length > 0 && sql`select spend.release(${dice.pick(world.calls)})`,
  },
  extend: {
    refusals: [...NOBODY, "PT409 reservation_ended"],
    run: async (sql, world, dice) =>
      world.calls.length > 0 &&
      sql`select spend.extend(${dice.pick(world.calls)},
        ${sql.json(usageOf(dice.usd(20), { provider: world.provider }))})`,
  },
  expire: {
    run: (sql, _, dice) => sql`
      select spend_private.expire_reservations(${1 + dice.below(5)}, now() + interval '10 seconds')`,
  },
  adjust: {
    refusals: ["PT404 unknown_tenant"],
    run: (sql, world, dice) => sql`
      select spend.adjust(${dice.pick(world.tenants)}, ${(dice.usd(20) - 10).toFixed(2)}, 'by hand',
        ${dice.pick(["llm", "e2b"])}, ${dice.chance(0.5) ? dice.pick(world.users) : null})`,
  },
  claim_context: {
    refusals: NO_CONTEXT,
    async run(sql, world, dice) {
      const tenantId = dice.pick(world.tenants);
      const userId = dice.chance(0.5) ? dice.pick(world.users) : null;
      const claimId = randomUUID();
      const [claimed] = await sql`
        select outcome, context_id from spend.claim_context(
          ${tenantId}, ${userId}, ${dice.pick(["talk", "other"])}, ${claimId})`;
      if (claimed?.outcome !== "create") return;
      await sql`
        select spend.confirm_context(${tenantId}, ${claimed.context_id}, ${claimId}, ${randomUUID()},
          now() - interval '10 seconds', now() + interval '5 minutes', 2, 0.5)`;
      world.contexts.push({ id: claimed.context_id, tenantId });
    },
  },
  use_context: {
    refusals: NO_CONTEXT,
    run: async (sql, world, dice) =>
      world.contexts.length > 0 &&
      sql`select spend.use_context(${dice.pick(world.contexts).id}, ${dice.pick(world.users)},
        ${randomUUID()}, ${dice.pick([0, 600])})`,
  },
  end_context: {
    // Paused before it has started.
    refusals: ["PT404 unknown_context", "22023 invalid_usage"],
    async run(sql, world, dice) {
      if (world.contexts.length === 0) return;
      const { id, tenantId } = dice.pick(world.contexts);
      await sql`
        select spend.end_context(${tenantId}, ${id}, ${dice.pick(["terminated", "paused"])}, 'test')`;
    },
  },
};

/** Changes of quotas as rows: by hand, or through SQL of an operator. Any of them may be one of several in a transaction. */
export const quotaChanges: Record<string, Operation> = {
  limit: {
    run: (sql, world, dice) => sql`
      update spend.cost_quotas set limit_usd = ${dice.usd(200)} where ${someQuota(sql, world, dice)}`,
  },
  limits: {
    run: (sql, world, dice) => sql`
      update spend.cost_quotas set limit_usd = limit_usd + 10
      where tenant_id = ${dice.pick(world.tenants)}`,
  },
  slots: {
    run: (sql, world, dice) => sql`
      update spend.cost_quotas set slots = ${1 + dice.below(9)} where ${someQuota(sql, world, dice)}`,
  },
  warning_threshold: {
    run: (sql, world, dice) => sql`
      update spend.cost_quotas set warning_threshold = ${dice.pick([0.1, 0.5, 0.8, 1])}
      where ${someQuota(sql, world, dice)}`,
  },
  enforcement: {
    run: (sql, world, dice) => sql`
      update spend.cost_quotas set enforcement = ${dice.pick(["block", "observe"])}
      where ${someQuota(sql, world, dice)}`,
  },
  estimate_policy: {
    run: (sql, world, dice) => sql`
      update spend.cost_quotas set estimate_policy = ${dice.pick(["strict", "expected"])}
      where ${someQuota(sql, world, dice)}`,
  },
  period: {
    refusals: TAKEN,
    run: (sql, world, dice) => sql`
      update spend.cost_quotas set period = ${dice.pick(PERIODS)} where ${someQuota(sql, world, dice)}`,
  },
  resource_type: {
    refusals: TAKEN,
    run: (sql, world, dice) => sql`
      update spend.cost_quotas set resource_type = ${dice.pick(RESOURCES)}
      where ${someQuota(sql, world, dice)}`,
  },
  task: {
    refusals: TAKEN,
    run: (sql, world, dice) => sql`
      update spend.cost_quotas set task = ${dice.pick([null, ...TASKS])}
      where ${someQuota(sql, world, dice)}`,
  },
  product: {
    refusals: TAKEN,
    run: (sql, world, dice) => sql`
      update spend.cost_quotas set product = ${dice.pick([null, ...MODELS])}
      where ${someQuota(sql, world, dice)}`,
  },
  move_quota: {
    refusals: TAKEN,
    async run(sql, world, dice) {
      const tenantId = dice.pick(world.tenants);
      const [scope, owner, subject] = dice.pick([
        ["platform", null, null],
        ["tenant", tenantId, tenantId],
        ["user", tenantId, dice.pick(world.users)],
      ] as const);
      await sql`
        update spend.cost_quotas set scope = ${scope}, tenant_id = ${owner}, scope_id = ${subject}
        where ${someQuota(sql, world, dice)}`;
    },
  },
  add_quota: {
    refusals: TAKEN,
    async run(sql, world, dice) {
      const scope = dice.pick(["platform", "tenant", "tenant", "user", "user"]);
      await sql`
        insert into spend.cost_quotas (
          scope, tenant_id, scope_id, resource_type, period, limit_usd, slots, task, product, enforcement
        )
        values (
          ${scope}, ${scope === "platform" ? null : dice.pick(world.tenants)},
          ${scope === "user" ? dice.pick(world.users) : null}, ${dice.pick(RESOURCES)}, ${dice.pick(PERIODS)},
          ${dice.usd(200)}, ${1 + dice.below(5)}, ${dice.pick([null, null, ...TASKS])},
          ${dice.pick([null, null, ...MODELS])}, ${dice.pick(["block", "block", "observe"])}
        )`;
    },
  },
  delete_quota: {
    run: (sql, world, dice) => sql`
      delete from spend.cost_quotas where ${someQuota(sql, world, dice)}`,
  },
  delete_and_add_quota: {
    // One statement that frees a balance and needs another.
    refusals: TAKEN,
    run: (sql, world, dice) => sql`
      with gone as (delete from spend.cost_quotas where ${someQuota(sql, world, dice, ["tenant", "user"])} returning *)
      insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd, slots)
      select scope, tenant_id, scope_id, ${dice.pick(RESOURCES)}, ${dice.pick(PERIODS)}, limit_usd, slots from gone`,
  },
};

/** What else is administered: plans, tenants, members, prices; owners' own changes; upkeep. */
export const administration: Record<string, Operation> = {
  add_plan_quota: {
    refusals: ["PT409 duplicate_plan_quota", "23505 plan_quotas_pkey"],
    run: (sql, world, dice) => sql`
      insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd)
      values (${dice.pick(world.plans)}, ${dice.pick(["tenant", "user"])}, ${dice.pick(RESOURCES)},
        ${dice.pick(PERIODS)}, ${dice.usd(200)})`,
  },
  change_plan_quota: {
    run: (sql, world, dice) => sql`
      update spend.plan_quotas set limit_usd = ${dice.usd(200)}, slots = ${1 + dice.below(5)}
      where ${somePlanQuota(sql, world, dice)}`,
  },
  delete_plan_quota: {
    run: (sql, world, dice) => sql`
      delete from spend.plan_quotas where ${somePlanQuota(sql, world, dice)}`,
  },
  replace_plan_quota: {
    refusals: ["PT409 duplicate_plan_quota", "23505 plan_quotas_pkey"],
    run: (sql, world, dice) => sql`
      update spend.plan_quotas set period = ${dice.pick(PERIODS)}, scope = ${dice.pick(["tenant", "user"])}
      where ${somePlanQuota(sql, world, dice)}`,
  },
  change_plan: {
    run: (sql, world, dice) => sql`
      update spend.tenants set plan_id = ${dice.pick(world.plans)} where id = ${dice.pick(world.tenants)}`,
  },
  add_tenant: {
    async run(sql, world, dice) {
      const [tenant] = await sql`
        insert into spend.tenants (name, plan_id, time_zone)
        values ('Another', ${dice.pick(world.plans)}, ${dice.pick(ZONES)}) returning id`;
      world.tenants.push(tenant?.id);
    },
  },
  delete_tenant: {
    refusals: ["PT409 tenant_has_history"],
    // Not of the first two: most of a run's calls are theirs.
    run: async (sql, world, dice) =>
      world.tenants.length > 2 &&
      sql`delete from spend.tenants where id = ${dice.pick(world.tenants.slice(2))}`,
  },
  close_tenant: {
    run: (sql, world, dice) => sql`
      update spend.tenants set closed_at = now() where id = ${dice.pick(world.tenants)}`,
  },
  reopen_tenants: {
    run: (sql, world) => sql`
      update spend.tenants set closed_at = null
      where id = any (${world.tenants}) and closed_at is not null`,
  },
  rename_tenant: {
    run: (sql, world, dice) => sql`
      update spend.tenants set name = 'Renamed' where id = ${dice.pick(world.tenants)}`,
  },
  time_zone: {
    run: (sql, world, dice) => sql`
      update spend.tenants set time_zone = ${dice.pick(ZONES)} where id = ${dice.pick(world.tenants)}`,
  },
  add_member: {
    refusals: MEMBER_TAKEN,
    run: (sql, world, dice) => sql`
      insert into spend.tenant_members (tenant_id, user_id, role)
      values (${dice.pick(world.tenants)}, ${dice.pick(world.users)}, ${dice.pick(["member", "owner"])})`,
  },
  remove_member: {
    run: (sql, world, dice) => sql`
      delete from spend.tenant_members
      where tenant_id = ${dice.pick(world.tenants)} and user_id = ${dice.pick(world.users)}`,
  },
  change_member_user: {
    refusals: MEMBER_TAKEN,
    run: (sql, world, dice) => sql`
      update spend.tenant_members set user_id = ${dice.pick(world.users)}
      where tenant_id = ${dice.pick(world.tenants)} and user_id = ${dice.pick(world.users)}`,
  },
  change_member_role: {
    run: (sql, world, dice) => sql`
      update spend.tenant_members set role = ${dice.pick(["member", "admin", "owner"])}
      where tenant_id = ${dice.pick(world.tenants)} and user_id = ${dice.pick(world.users)}`,
  },
  replace_member: {
    // One statement that removes a member and adds one.
    refusals: MEMBER_TAKEN,
    run: (sql, world, dice) => sql`
      with gone as (
        delete from spend.tenant_members
        where tenant_id = ${dice.pick(world.tenants)} and user_id = ${dice.pick(world.users)} returning *
      )
      insert into spend.tenant_members (tenant_id, user_id, role)
      select tenant_id, ${dice.pick(world.users)}, role from gone`,
  },
  owner_adds_quota: {
    refusals: [...TAKEN, "42501 row-level security"],
    run: (sql, world, dice) =>
      asUser(
        sql,
        world.users[0] as string,
        () => sql`
          insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
          values ('user', ${dice.pick(world.tenants)}, ${dice.pick(world.users)}, ${dice.pick(RESOURCES)},
            ${dice.pick(PERIODS)}, ${dice.usd(50)})`,
      ),
  },
  owner_changes_quota: {
    refusals: ["42501 row-level security"],
    run: (sql, world, dice) =>
      asUser(
        sql,
        world.users[0] as string,
        () => sql`
          update spend.cost_quotas set limit_usd = ${dice.usd(50)}, warning_threshold = ${dice.pick([0.5, 0.9])}
          where tenant_id = ${dice.pick(world.tenants)} and scope = 'user'`,
      ),
  },
  owner_removes_quotas: {
    run: (sql, world, dice) =>
      asUser(
        sql,
        world.users[0] as string,
        () => sql`
          delete from spend.cost_quotas
          where tenant_id = ${dice.pick(world.tenants)} and scope = 'user' and scope_id = ${dice.pick(world.users)}`,
      ),
  },
  price: {
    refusals: [
      "PT409 price_would_rewrite_history",
      "PT409 duplicate_price",
      "23505 one_price_per_moment",
    ],
    run: (sql, world, dice) => sql`
      insert into spend.prices (resource_type, provider, product, meter, usd, tenant_id)
      values ('llm', ${world.provider}, ${dice.pick(MODELS)}, 'input_tokens', ${dice.pick([1, 1.5, 2])},
        ${dice.chance(0.5) ? dice.pick(world.tenants.slice(0, 2)) : null})`,
  },
  price_revision: {
    refusals: ["PT409 duplicate_price", "23505 one_price_per_moment"],
    run: (sql, world, dice) => sql`
      insert into spend.prices (resource_type, provider, product, meter, usd, effective_from, revision)
      values ('llm', ${world.provider}, ${dice.pick(MODELS)}, 'input_tokens', ${dice.pick([0.5, 1, 1.25])},
        '2020-01-01', ${1 + dice.below(50)})`,
  },
  price_in_use: {
    refusals: ["PT409 price_in_use"],
    run: (sql, world, dice) => sql`
      update spend.prices set ${dice.chance(0.5) ? sql`usd = usd + 1` : sql`note = 'checked'`}
      where provider = ${world.provider} and meter = 'output_tokens' and first_used_at is not null`,
  },
  alias: {
    refusals: ["PT409 duplicate_alias", "23505 product_aliases_pkey"],
    run: (sql, world, dice) => sql`
      insert into spend.product_aliases (provider, match_kind, pattern, product)
      values (${world.provider}, 'equals', ${dice.pick(["nickname", "model"])}, 'mini')`,
  },
  remove_alias: {
    run: (sql, world) => sql`delete from spend.product_aliases where provider = ${world.provider}`,
  },
  reprice: {
    run: (sql, world, dice) => sql`
      select spend.reprice(${world.provider}, ${dice.pick(["*", ...MODELS])}, now() - interval '1 day',
        now() + interval '1 day', ${dice.chance(0.3)})`,
  },
  ensure_quotas: {
    run: (sql, world, dice) => sql`select spend.ensure_quotas(${dice.pick(world.tenants)})`,
  },
  rebuild_balances: {
    async run(sql, world, dice) {
      const [quota] = await sql`
        select id from spend.cost_quotas where ${someQuota(sql, world, dice)}`;
      if (quota) await sql`select spend.rebuild_balances(${quota.id})`;
    },
    refusals: ["PT404 unknown_quota"],
  },
  maintain: {
    run: (sql) => maintain(sql),
  },
  roll_up: {
    run: (sql) => sql`select spend_private.roll_up()`,
  },
  verify: {
    async run(sql) {
      const wrong = await verifyBalances(sql);
      if (wrong.length > 0) throw new Error(`beside traffic: ${JSON.stringify(wrong.slice(0, 3))}`);
    },
  },
};

/** Several of these in one transaction. */
export const transactions: Record<string, Operation> = {
  call_in_transaction: {
    refusals: [...NO_CONTEXT, "PT404 unknown_tenant"],
    async run(sql, world, dice) {
      const { run } = calls[
        dice.pick(["reserve", "settle", "release", "extend", "adjust"])
      ] as Operation;
      await inTransaction(sql, world, dice, async (part) => {
        await run(sql, part, dice);
        await sleep(dice.below(5));
      });
    },
  },
  changes_in_transaction: {
    refusals: [...TAKEN, ...NOBODY],
    run(sql, world, dice) {
      // One tenant's quotas and the platform's, in any order: user, tenant, platform; tenant, user; …
      const own = { ...world, tenants: [dice.pick(world.tenants)] };
      return inTransaction(sql, own, dice, async (part) => {
        for (let count = 1 + dice.below(3); count > 0; count--) {
          const { run, refusals } = quotaChanges[dice.pick(Object.keys(quotaChanges))] as Operation;
          const saves = dice.chance(0.5);
          if (saves) await sql`savepoint before_change`;
          try {
            await run(sql, part, dice);
            if (saves && dice.chance(0.3)) await sql`rollback to before_change`;
          } catch (error) {
            if (!saves || !isRefusal(error, refusals)) throw error;
            await sql`rollback to before_change`;
          }
          await sleep(dice.below(4));
        }
        if (dice.chance(0.3)) await (calls.reserve as Operation).run(sql, part, dice);
      });
    },
  },
};

/** What is added to the world is added when the transaction commits; one in five is rolled back. */
async function inTransaction(
  sql: Sql,
  world: World,
  dice: Dice,
  work: (part: World) => Promise<void>,
): Promise<void> {
  const part = { ...world, calls: [...world.calls] };
  const before = part.calls.length;
  await sql`begin`;
  try {
    await work(part);
    if (dice.chance(0.2)) {
      await sql`rollback`;
    } else {
      await sql`commit`;
      world.calls.push(...part.calls.slice(before));
    }
  } catch (error) {
    await sql`rollback`;
    throw error;
  }
}

export const operations = { ...calls, ...quotaChanges, ...administration, ...transactions };
export type Kind = string;

/** Whether an error is an answer that the contract knows. A lock that is not had in time is one of any operation. */
export function isRefusal(error: unknown, refusals: readonly string[] = []): boolean {
  const { code, message, constraint_name } = error as PostgresError;
  return (
    code === "55P03" ||
    refusals.some(
      (refusal) =>
        refusal === `${code} ${message}` ||
        refusal === `${code} ${constraint_name}` ||
        (refusal === "42501 row-level security" && code === "42501"),
    )
  );
}

/** Does one operation, and says how it was answered: done, or the refusal. Throws what is a fault, with its kind. */
export async function perform(sql: Sql, world: World, kind: Kind, seed: number): Promise<string> {
  const { run, refusals } = operations[kind] as Operation;
  try {
    await run(sql, world, new Dice(seed));
    return "done";
  } catch (error) {
    const { code, message, detail, where } = error as PostgresError;
    if (isRefusal(error, refusals)) return `${code} ${message}`;
    throw new Error(
      `${kind} (seed ${seed}): ${code ?? ""} ${message} ${detail ?? ""}\n${where ?? ""}`,
      {
        cause: error,
      },
    );
  }
}
