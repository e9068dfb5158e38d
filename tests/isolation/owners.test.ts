// What an owner can make of quotas through the Data API: each column, given in an insert, set by an update or by an upsert,
// with every value that could gain something. Whatever is let through leaves a user's quota of the owner's own tenant.
import { randomUUID } from "node:crypto";
import type { Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";

/** What the default plan gives a tenant a month; other periods have no limit. */
const MONTH_USD: Record<string, number> = { llm: 100, e2b: 50, all: 150 };

let database: TestDatabase;
let sql: Sql;
const ids = {
  ours: randomUUID(),
  theirs: randomUUID(),
  owner: randomUUID(),
  user: randomUUID(),
  stranger: randomUUID(),
};
let quota: string;

beforeAll(async () => {
  database = await cloneDatabase();
  sql = database.sql;
  await sql`insert into auth.users (id) values (${ids.owner}), (${ids.user}), (${ids.stranger})`;
  await sql`insert into spend.tenants (id, name) values (${ids.ours}, 'Ours'), (${ids.theirs}, 'Theirs')`;
  await sql`
    insert into spend.tenant_members (tenant_id, user_id, role)
    values
      (${ids.ours}, ${ids.owner}, 'owner'), (${ids.ours}, ${ids.user}, 'member'),
      -- The owner is a member elsewhere: what he may here must not reach there.
      (${ids.theirs}, ${ids.owner}, 'member'), (${ids.theirs}, ${ids.stranger}, 'member')`;
  const [row] = await sql`
    insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
    values ('user', ${ids.ours}, ${ids.user}, 'llm', 'month', 10) returning id`;
  quota = row?.id;
  await sql`
    insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
    values ('user', ${ids.theirs}, ${ids.owner}, 'llm', 'month', 10), ('platform', null, null, 'all', 'month', 1000)`;
});
afterAll(() => database?.close());

/** Hostile values of each column, as SQL. */
const VALUES: Record<string, () => string[]> = {
  id: () => ["1", "-1", "9223372036854775807"],
  scope: () => ["'tenant'", "'platform'", "'team'", "null"],
  tenant_id: () => [`'${ids.theirs}'`, `'${randomUUID()}'`, "null"],
  scope_id: () => [
    `'${ids.ours}'`,
    `'${ids.theirs}'`,
    `'${ids.stranger}'`,
    `'${randomUUID()}'`,
    "null",
  ],
  resource_type: () => ["'all'", "'e2b'", "'gpu'", "''", "null"],
  period: () => ["'lifetime'", "'hour'", "'year'", "''", "null"],
  limit_usd: () => [
    "100.000000000001",
    "1e11",
    "1e12",
    "'NaN'",
    "'Infinity'",
    "'-Infinity'",
    "-0.000000000001",
    "-1e11",
    "null",
  ],
  warning_threshold: () => ["0", "-1", "1.001", "'NaN'", "'Infinity'", "null"],
  warning_thresholds: () => [
    "'{}'",
    "'{0}'",
    "'{0.5,1.001}'",
    "'{NaN}'",
    "'{NULL}'",
    "'{{0.5},{0.6}}'",
    "null",
  ],
  enforcement: () => ["'observe'", "'none'", "null"],
  estimate_policy: () => ["'expected'", "null"],
  slots: () => ["0", "256", "257", "2147483647", "null"],
  task: () => ["'chat'", "''", "null"],
  product: () => ["'gpt-4o'", "'*'", "null"],
  source: () => ["'plan'", "null"],
  created_at: () => ["'epoch'", "'infinity'", "null"],
};
/** Values of columns that the lines above do not name: new ones are refused to owners until somebody says otherwise. */
const ANY = () => ["default", "null"];

/** The columns that owners write; all others are refused whatever the value (grants in manage_user_quotas.sql). */
const INSERTED = [
  "scope",
  "tenant_id",
  "scope_id",
  "resource_type",
  "period",
  "limit_usd",
  "warning_threshold",
  "warning_thresholds",
];
const UPDATED = ["limit_usd", "warning_threshold", "warning_thresholds"];

async function columns(): Promise<string[]> {
  const found = await sql`
    select a.attname::text as name from pg_attribute as a
    where a.attrelid = 'spend.cost_quotas'::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum`;
  return found.map(({ name }) => name);
}

type Row = Record<string, unknown>;
interface Outcome {
  /** SQLSTATE, or null where the statement ran. */
  error: string | null;
  /** Rows of cost_quotas that are new or other than before. */
  changed: Row[];
}

/** Runs a statement as the owner, says what it changed, and undoes it. */
async function asOwner(statement: string): Promise<Outcome> {
  const outcome: Outcome = { error: null, changed: [] };
  await sql
    .begin(async (transaction) => {
      await transaction`create temp table before on commit drop as select q.id, to_jsonb(q) as row from spend.cost_quotas as q`;
      await transaction`select set_config('request.jwt.claims', ${JSON.stringify({ sub: ids.owner, role: "authenticated" })}, true)`;
      await transaction`set local role authenticated`;
      await transaction
        .savepoint((s) => s.unsafe(statement))
        .catch((error) => {
          outcome.error = error.code;
        });
      await transaction`reset role`;
      const changed = await transaction<{ row: Row }[]>`
        select coalesce(to_jsonb(q), b.row || '{"deleted": true}') as row
        from spend.cost_quotas as q full join before as b on b.id = q.id
        where to_jsonb(q) is distinct from b.row`;
      outcome.changed = changed.map(({ row }) => row);
      throw new Error("undo");
    })
    .catch((error) => {
      if (error.message !== "undo") throw error;
    });
  return outcome;
}

/** Nothing that an owner wrote may be more than this. */
function expectHarmless(statement: string, { error, changed }: Outcome): void {
  expect([statement, error ?? "ran"]).not.toEqual([
    statement,
    expect.stringMatching(/^(XX|53|54|57|58)/),
  ]);
  for (const row of changed) {
    const most = row.period === "month" ? (MONTH_USD[String(row.resource_type)] ?? 0) : Infinity;
    expect([statement, row]).toEqual([
      statement,
      expect.objectContaining({
        scope: "user",
        tenant_id: ids.ours,
        scope_id: expect.toBeOneOf([ids.owner, ids.user]),
        enforcement: "block",
        estimate_policy: "strict",
        slots: 1,
        task: null,
        product: null,
        source: "manual",
        limit_usd: expect.toSatisfy((usd) => typeof usd === "number" && usd >= 0 && usd <= most),
      }),
    ]);
  }
}

/** No privilege; an identity is not set by anybody. */
function expectRefused(statement: string, { error, changed }: Outcome): void {
  expect([statement, error, changed]).toEqual([
    statement,
    expect.stringMatching(/^(42501|428C9)$/),
    [],
  ]);
}

/** An insert of an owner's, with one column more or other than the usual. */
function insertWith(column: string, value: string, upsert = ""): string {
  const row: Record<string, string> = {
    scope: "'user'",
    tenant_id: `'${ids.ours}'`,
    scope_id: `'${ids.user}'`,
    resource_type: "'llm'",
    period: upsert === "" ? "'week'" : "'month'",
    limit_usd: "5",
    [column]: value,
  };
  // Without `overriding`, an id would be refused for another reason than the grant.
  return `insert into spend.cost_quotas (${Object.keys(row).join(", ")}) overriding system value values (${Object.values(row).join(", ")}) ${upsert}`;
}

describe("An owner, for each column of cost_quotas and each value that could gain something,", () => {
  it("inserts what is granted, of its own users, up to the tenant's limit; 42501 for every other column", async () => {
    for (const column of await columns()) {
      for (const value of (VALUES[column] ?? ANY)()) {
        const statement = insertWith(column, value);
        const outcome = await asOwner(statement);
        expectHarmless(statement, outcome);
        if (!INSERTED.includes(column)) {
          expect([statement, outcome.error]).toEqual([statement, "42501"]);
        }
      }
    }
    // The frame itself is let through: what was refused, was refused for the column's sake.
    expect((await asOwner(insertWith("limit_usd", "5"))).changed).toHaveLength(1);
  });

  it("updates limits and thresholds of its users alone; 42501 for every other column", async () => {
    for (const column of await columns()) {
      for (const value of (VALUES[column] ?? ANY)()) {
        for (const where of ["", ` where id = ${quota}`, ` where scope <> 'user'`]) {
          const statement = `update spend.cost_quotas set ${column} = ${value}${where}`;
          const outcome = await asOwner(statement);
          expectHarmless(statement, outcome);
          if (!UPDATED.includes(column)) expectRefused(statement, outcome);
          if (where.includes("<>")) expect([statement, outcome.changed]).toEqual([statement, []]);
        }
      }
    }
    const raised = await asOwner(`update spend.cost_quotas set limit_usd = ${MONTH_USD.llm}`);
    expect(raised.changed).toHaveLength(1);
  });

  it("an upsert, as the Data API sends for merge-duplicates, writes no more than an update", async () => {
    for (const column of await columns()) {
      for (const value of (VALUES[column] ?? ANY)()) {
        const statement = insertWith(
          "warning_threshold",
          "0.5",
          `on conflict (tenant_id, scope_id, resource_type, period, task, product) do update set ${column} = ${value}`,
        );
        const outcome = await asOwner(statement);
        expectHarmless(statement, outcome);
        if (!UPDATED.includes(column)) expectRefused(statement, outcome);
      }
    }
    const statement = insertWith(
      "warning_threshold",
      "0.5",
      "on conflict (tenant_id, scope_id, resource_type, period, task, product) do update set limit_usd = excluded.limit_usd",
    );
    expect((await asOwner(statement)).changed).toEqual([expect.objectContaining({ limit_usd: 5 })]);
  });

  it("writes no pair of columns either that makes a tenant's quota, one of another tenant or one of a task", async () => {
    const pairs = [
      { scope: "'tenant'", scope_id: `'${ids.ours}'` },
      { scope: "'tenant'", scope_id: "null" },
      { scope: "'platform'", scope_id: "null", tenant_id: "null" },
      { tenant_id: `'${ids.theirs}'`, scope_id: `'${ids.owner}'` },
      { tenant_id: `'${ids.theirs}'`, scope_id: `'${ids.stranger}'` },
      { tenant_id: `'${ids.theirs}'`, scope_id: `'${ids.theirs}'`, scope: "'tenant'" },
      { limit_usd: "1e9", period: "'day'", task: "'chat'" },
      { limit_usd: "1e9", product: "'gpt-4o'" },
    ];
    for (const pair of pairs) {
      const row = {
        scope: "'user'",
        tenant_id: `'${ids.ours}'`,
        scope_id: `'${ids.user}'`,
        resource_type: "'llm'",
        period: "'week'",
        limit_usd: "5",
        ...pair,
      };
      const statement = `insert into spend.cost_quotas (${Object.keys(row).join(", ")}) values (${Object.values(row).join(", ")})`;
      expect([statement, await asOwner(statement)]).toEqual([
        statement,
        { error: "42501", changed: [] },
      ]);
    }
  });

  it("reaches no more rows by merge, update from and delete using than by the plain commands", async () => {
    for (const statement of [
      `merge into spend.cost_quotas as q using (values (1)) as v (x) on q.scope <> 'user' when matched then update set limit_usd = 1e6`,
      `update spend.cost_quotas as q set limit_usd = 1e6 from spend.tenants as t where t.id = q.tenant_id and q.scope = 'tenant'`,
      `delete from spend.cost_quotas as q using spend.tenants as t where t.id = q.tenant_id and (q.scope <> 'user' or t.id <> '${ids.ours}')`,
    ]) {
      expect([statement, (await asOwner(statement)).changed]).toEqual([statement, []]);
    }
  });
});

describe("Whether another tenant has a quota is not told", () => {
  const analyst = `analyst_${randomUUID().replaceAll("-", "")}`;
  beforeAll(() => sql.unsafe(`create role ${analyst} inherit in role authenticated`));
  afterAll(() => sql.unsafe(`drop role ${analyst}`));

  it.each([
    ["the role authenticated", "set local role authenticated"],
    ["a role of one's own that inherits from it", `set local session authorization ${analyst}`],
  ])(
    "to %s, who gets the same 42501 for one that is there and one that is not",
    async (_, become) => {
      const answers = [];
      // Of a user who has a quota of llm by the month, and none by the week.
      for (const period of ["month", "week"]) {
        const added = sql.begin(async (session) => {
          await session.unsafe(become);
          await session`select set_config('request.jwt.claims', ${JSON.stringify({ sub: ids.user })}, true)`;
          await session`
          insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
          values ('user', ${ids.theirs}, ${ids.owner}, 'llm', ${period}, 1)`;
        });
        answers.push(await added.then(() => "added").catch((error) => error.code));
      }
      expect(answers).toEqual(["42501", "42501"]);
    },
  );
});
