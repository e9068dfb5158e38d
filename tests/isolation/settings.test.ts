// What a session can set for itself: the settings that our own functions use to talk to each other, those that change what
// SQL means, and the isolation of its transaction. None of them opens anything or makes the balances wrong.
import type { Sql, TransactionSql } from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { addFixture, addPrices, everythingFor, type Fixture, readCatalogue } from "./everything.ts";

const ROLES = ["anon", "authenticated", "service_role"] as const;
/** Settings by which our functions say to a trigger that they are at work, or count what they did. Anybody can set them too. */
const OWN_SETTINGS = ["spend.retention", "spend.seeding", "spend.stopped_calls"];

/** Settings that anybody may change and that change what is read, written or meant. */
const HOSTILE_SETTINGS: Record<string, string> = {
  TimeZone: "Pacific/Kiritimati",
  DateStyle: "SQL, DMY",
  IntervalStyle: "sql_standard",
  extra_float_digits: "-15",
  bytea_output: "escape",
  array_nulls: "off",
  transform_null_equals: "on",
  quote_all_identifiers: "on",
  xmloption: "document",
  default_text_search_config: "pg_catalog.simple",
  plan_cache_mode: "force_generic_plan",
  constraint_exclusion: "on",
  enable_indexscan: "off",
  enable_partition_pruning: "off",
  work_mem: "64kB",
};

let database: TestDatabase;
let sql: Sql;

beforeAll(async () => {
  database = await cloneDatabase();
  sql = database.sql;
  await addPrices(sql);
});
afterAll(() => database?.close());

/** Runs statements in one transaction, as a role and a user, with settings of the session's own. */
async function as(
  role: (typeof ROLES)[number],
  user: string | null,
  settings: Record<string, string>,
  work: (transaction: TransactionSql) => Promise<unknown>,
): Promise<void> {
  await sql.begin(async (transaction) => {
    await transaction`select set_config('request.jwt.claims', ${JSON.stringify({ sub: user, role })}, true)`;
    for (const [name, value] of Object.entries(settings)) {
      await transaction`select set_config(${name}, ${value}, true)`;
    }
    await transaction`select set_config('role', ${role}, true)`;
    await work(transaction);
  });
}

/** SQLSTATE of a statement, null where it runs. */
const errorOf = (query: Promise<unknown>) =>
  query.then(() => null).catch((error) => error.code as string);

const verify = () => sql`select * from spend.verify_balances()`;

describe("A setting of our own", () => {
  it("is read by functions only if it is tried here", async () => {
    const found = await sql`
      select distinct m.match[1] as name
      from pg_proc as p, regexp_matches(p.prosrc, '(?:current_setting|set_config)\\s*\\(\\s*''(spend\\.\\w+)''', 'g') as m (match)
      where p.pronamespace in ('spend'::regnamespace, 'spend_private'::regnamespace) order by 1`;
    expect(OWN_SETTINGS).toEqual(expect.arrayContaining(found.map(({ name }) => name)));
  });

  it("lets no role delete, change or empty the ledger, the log, or anything in spend_private, even with all of them on", async () => {
    await addFixture(sql);
    const tables = await sql`
      select c.oid::regclass::text as name from pg_class as c
      where c.relkind in ('r', 'p') and (
        c.relnamespace = 'spend_private'::regnamespace or c.oid in ('spend.cost_events'::regclass, 'spend.audit_log'::regclass)
      )
      order by 1`;
    expect(tables.length).toBeGreaterThan(10);
    const settings = Object.fromEntries(OWN_SETTINGS.map((name) => [name, "on"]));
    for (const role of ROLES) {
      for (const { name } of tables) {
        for (const statement of [`delete from ${name}`, `truncate ${name}`]) {
          await as(role, null, settings, async (transaction) => {
            const error = await errorOf(transaction.savepoint((s) => s.unsafe(statement)));
            expect([role, statement, error]).toEqual([role, statement, "42501"]);
          });
        }
      }
    }
  });

  it.each(["authenticated", "service_role"] as const)(
    "for seeding, spend.seeding, lets %s add a quota of a user with 0.90 USD spent and 3 USD held that counts both",
    async (role) => {
      const fixture = await addFixture(sql);
      await as(role, fixture.owner, { "spend.seeding": "on" }, async (transaction) => {
        await transaction`
          insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
          values ('user', ${fixture.tenant}, ${fixture.member}, 'llm', 'week', 5)`;
      });
      const [status] = await sql`
        select spent_usd::float8 as spent, reserved_usd::float8 as held from spend.quota_status
        where tenant_id = ${fixture.tenant} and scope = 'user' and period = 'week' and resource_type = 'llm'`;
      expect(status).toEqual({ spent: 0.900001, held: 3.000003 });
      expect(await verify()).toEqual([]);
    },
  );

  it("for seeding, spend.seeding, leaves a plan's quota that an owner changes by hand his from then on", async () => {
    const fixture = await addFixture(sql);
    await as("authenticated", fixture.owner, { "spend.seeding": "on" }, async (transaction) => {
      await transaction`
        update spend.cost_quotas set limit_usd = 30
        where tenant_id = ${fixture.tenant} and scope_id = ${fixture.member} and source = 'plan'`;
    });
    const [quota] = await sql`
      select source, limit_usd::float8 as limit from spend.cost_quotas
      where tenant_id = ${fixture.tenant} and scope_id = ${fixture.member} and resource_type = 'llm' and period = 'month'`;
    expect(quota).toEqual({ source: "manual", limit: 30 });
  });
});

describe("A session whose settings change what SQL means", () => {
  /** What a function or view answers, in words that no setting changes. */
  async function answers(fixture: Fixture, settings: Record<string, string>) {
    const found: Record<string, unknown> = {};
    const usage = '{"provider": "test", "model": "model", "input_tokens": 10, "output_tokens": 5}';
    const questions = {
      answer_check: `spend.check_quota('${fixture.tenant}', '${fixture.member}', 'llm', '${usage}')`,
      answer_explained: `spend.explain_cost('test', 'model', '${usage}')`,
      answer_report: `spend.cost_report('{tenant,user,product,day}', tenant_id => '${fixture.tenant}')`,
      // But for as_of, which is the time of asking.
      answer_unusual: `(
        select tenant_id, day, cost_usd, usual_usd, threshold_usd
        from spend.unusual_spend('${fixture.tenant}', at_least_usd => 0.0001)) as u`,
      answer_status: `spend.quota_status as q where q.tenant_id = '${fixture.tenant}'`,
      answer_days: `spend.spend_by_day as d where d.tenant_id = '${fixture.tenant}'`,
      answer_prices: "spend.current_prices as p where p.provider = 'test'",
    };
    await as("service_role", null, settings, async (transaction) => {
      for (const [name, question] of Object.entries(questions)) {
        await transaction.unsafe(
          `create temp table ${name} on commit drop as select * from ${question}`,
        );
      }
      for (const setting of Object.keys(settings)) {
        await transaction.unsafe(`reset ${setting}`);
      }
      for (const name of Object.keys(questions)) {
        found[name] = await transaction.unsafe(
          `select to_jsonb(t) as row from pg_temp.${name} as t order by to_jsonb(t)::text`,
        );
      }
    });
    return found;
  }

  it("by being in Kiritimati, writing days first and treating null as a value gets the answers that everybody gets", async () => {
    const fixture = await addFixture(sql);
    const usual = await answers(fixture, {});
    const odd = await answers(fixture, HOSTILE_SETTINGS);
    expect(Object.keys(usual)).toHaveLength(7);
    expect(odd).toEqual(usual);
  });

  it("succeeds with its calls and changes, knows an idempotency key again, and leaves the balances right", async () => {
    const fixture = await addFixture(sql);
    const catalogue = await readCatalogue(sql);
    const failed: string[] = [];
    const usage = {
      provider: "test",
      model: "model",
      input_tokens: 7,
      output_tokens: 7,
    };
    const call = async (transaction: TransactionSql) => {
      const [answer] = await transaction`
        select replayed from spend.reserve(${fixture.tenant}, ${fixture.member}, 'llm', ${sql.json(usage)},
          idempotency_key => 'twice', metadata => '{"at": "2026-03-02T01:00:00+02:00", "half": 0.50}')`;
      return answer?.replayed;
    };
    await as("service_role", null, {}, async (transaction) =>
      expect(await call(transaction)).toBe(false),
    );
    await as("service_role", null, HOSTILE_SETTINGS, async (transaction) =>
      expect(await call(transaction)).toBe(true),
    );
    await as("service_role", null, HOSTILE_SETTINGS, async (transaction) => {
      // A procedure that commits is not called within a transaction.
      const statements = everythingFor("service_role", catalogue, fixture);
      for (const statement of statements.filter((each) => !each.startsWith("call "))) {
        await transaction
          .savepoint((s) => s.unsafe(statement))
          .catch((error) => failed.push(`${error.code} ${error.message}: ${statement}`));
      }
    });
    expect(failed).toEqual([]);
    expect(await verify()).toEqual([]);
  });
});

describe("A transaction that sees the past", () => {
  const LEVELS = ["repeatable read", "serializable"];
  /** Runs a statement as a role in a transaction that began before a call of a dollar was booked. */
  async function late(
    isolation: string,
    role: (typeof ROLES)[number],
    fixture: Fixture,
    statement: string,
  ): Promise<string | null> {
    return errorOf(
      sql.begin(`isolation level ${isolation}`, async (transaction) => {
        await transaction`select 1 from spend.tenants limit 1`;
        const [call] = await sql`
          select reservation_id as id from spend.reserve(${fixture.tenant}, ${fixture.member}, 'llm',
            ${sql.json({ provider: "test", model: "model", input_tokens: 1_000_000, output_tokens: 0 })})`;
        await sql`select spend.settle(${call?.id}, null)`;
        await transaction`select set_config('request.jwt.claims', ${JSON.stringify({ sub: fixture.owner, role })}, true)`;
        await transaction`select set_config('role', ${role}, true)`;
        await transaction.unsafe(statement);
      }),
    );
  }

  it.each(LEVELS)(
    "at %s has its changes of quotas, which would count too little, refused",
    async (level) => {
      const fixture = await addFixture(sql);
      const { tenant, member, stranger, usedQuota, plan } = fixture;
      const added = `insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
      values ('user', '${tenant}', '${member}', 'llm', 'week', 5)`;
      const changes: [(typeof ROLES)[number], string][] = [
        ["authenticated", added],
        ["service_role", added],
        ["authenticated", `update spend.cost_quotas set limit_usd = 30 where id = ${usedQuota}`],
        ["service_role", `update spend.cost_quotas set period = 'month' where id = ${usedQuota}`],
        ["authenticated", `delete from spend.cost_quotas where id = ${usedQuota}`],
        [
          "service_role",
          `update spend.tenants set time_zone = 'Asia/Tokyo' where id = '${tenant}'`,
        ],
        ["service_role", `update spend.tenants set plan_id = 'default' where id = '${tenant}'`],
        [
          "service_role",
          `insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd) values ('${plan}', 'tenant', 'llm', 'week', 90)`,
        ],
        [
          "service_role",
          `insert into spend.tenant_members (tenant_id, user_id) values ('${tenant}', '${stranger}')`,
        ],
      ];
      for (const [role, statement] of changes) {
        expect([statement, await late(level, role, fixture, statement)]).toEqual([
          statement,
          "0A000",
        ]);
      }
      expect(await verify()).toEqual([]);
    },
  );

  it.each(LEVELS)(
    "at %s has a call of 1 USD, after others held 2 of 3 USD, refused or counted, and the balances are right",
    async (isolation) => {
      const fixture = await addFixture(sql);
      await sql`
        insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
        values ('tenant', ${fixture.tenant}, ${fixture.tenant}, 'llm', 'lifetime', 6)`;
      const hold = (on: Sql | TransactionSql, tokens: number) => on`
        select allowed from spend.reserve(${fixture.tenant}, ${fixture.member}, 'llm',
          ${sql.json({ provider: "test", model: "model", input_tokens: tokens, output_tokens: 0 })})`;
      await errorOf(
        sql.begin(`isolation level ${isolation}`, async (transaction) => {
          await transaction`select 1 from spend.tenants limit 1`;
          expect(await hold(sql, 2_000_000)).toEqual([{ allowed: true }]);
          await hold(transaction, 1_000_000);
        }),
      );
      const [status] = await sql`
        select current_spend_usd::float8 as usd from spend.quota_status
        where tenant_id = ${fixture.tenant} and period = 'lifetime'`;
      expect(status?.usd).toBeLessThanOrEqual(6);
      expect(await verify()).toEqual([]);
    },
  );
});
