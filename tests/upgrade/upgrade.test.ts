// A database of each released version, with data and open calls, upgraded to the present one by the CLI: nothing that was
// booked changes, and every open call can end. supabase/RELEASED says which migrations a version had.
import { randomBytes } from "node:crypto";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { migrationsOf, releasedMigrations } from "../../scripts/database/release.ts";
import { applyDatabaseSettings, bootstrap } from "../../scripts/stack/bootstrap.ts";
import { migrate } from "../../scripts/stack/migrate.ts";
import { fillOldWorld, type OldWorld } from "./world.ts";

const versions = [...new Set((await releasedMigrations()).map(({ version }) => version))];

const admin = postgres(inject("serverUrl"), { max: 1, onnotice: () => {} });
const databases: string[] = [];
afterAll(async () => {
  for (const name of databases) await admin.unsafe(`drop database ${name} with (force)`);
  await admin.end();
});

/** An empty database as a hosted project has it, or a copy of one of ours. */
async function createDatabase(template?: string): Promise<{ name: string; url: string }> {
  const name = `upgrade_${randomBytes(6).toString("hex")}`;
  await admin.unsafe(
    `create database ${name} ${template === undefined ? "" : `template ${template}`}`,
  );
  databases.push(name);
  const url = Object.assign(new URL(inject("serverUrl")), { pathname: `/${name}` }).href;
  await (template === undefined ? bootstrap(url) : applyDatabaseSettings(url));
  return { name, url };
}

/** Applies what there was at `version`, and no more. */
async function migrateTo(version: string, url: string): Promise<void> {
  const workdir = await mkdtemp(join(tmpdir(), "spendgate-release-"));
  try {
    const migrations = join(workdir, "supabase/migrations");
    await mkdir(migrations, { recursive: true });
    await writeFile(join(workdir, "supabase/config.toml"), 'project_id = "upgrade"\n');
    for (const path of await migrationsOf(version)) {
      await copyFile(path, join(migrations, basename(path)));
    }
    await migrate(url, { workdir });
  } finally {
    await rm(workdir, { recursive: true, force: true });
  }
}

/** What must be the same before and after: every balance, event and report, as text. */
async function books(sql: Sql): Promise<Record<string, string[]>> {
  const queries = {
    quotas: `select q.id, q.scope, q.resource_type, q.period, q.limit_usd, s.spent_usd, s.reserved_usd
      from spend.cost_quotas as q join spend.quota_status as s on s.quota_id = q.id`,
    events: "select * from spend.cost_events",
    reservations: `select tenant_id, id, user_id, status, usage_estimate, estimated_cost_usd, actual_cost_usd, idempotency_key,
      created_at, expires_at, ended_at from spend.reservations`,
    contexts:
      "select id, status, sandbox_id, reservation_id, started_at, held_until from spend.execution_contexts",
    days: "select * from spend.spend_by_day",
    audit: "select id, changed_at from spend.audit_log where table_name = 'cost_quotas'",
  };
  const result: Record<string, string[]> = {};
  for (const [name, query] of Object.entries(queries)) {
    const rows = await sql.unsafe(
      `select to_jsonb(t)::text as row from (${query}) as t order by to_jsonb(t)::text`,
    );
    result[name] = rows.map(({ row }) => row);
  }
  return result;
}

/** Tables that grow with every call, their partitions and their indexes, each with its file: a new one means that it was written anew. */
async function files(sql: Sql): Promise<Record<string, string>> {
  const rows = await sql<{ name: string; file: string }[]>`
    with tables as (
      select c.oid from pg_class as c
      where c.oid = any ('{spend.reservations, spend_private.quota_balances}'::regclass[])
      union
      select t.relid from pg_partition_tree('spend.cost_events') as t
    )
    select c.relname as name, pg_relation_filenode(c.oid)::text as file
    from pg_class as c
    where pg_relation_filenode(c.oid) is not null and (
      c.oid in (select oid from tables)
      or c.oid in (select i.indexrelid from pg_index as i where i.indrelid in (select oid from tables))
    )`;
  return Object.fromEntries(rows.map(({ name, file }) => [name, file]));
}

const verify = (sql: Sql) => sql`select * from spend.verify_balances()`;

it("a version has been released", () => {
  expect(versions).toContain("0.1.0");
});

describe.each(versions)("a database of version %s with data in it", (version) => {
  let sql: Sql;
  let world: OldWorld;
  let before: Awaited<ReturnType<typeof books>>;
  let filesBefore: Awaited<ReturnType<typeof files>>;

  beforeAll(async () => {
    const { url } = await createDatabase();
    await migrateTo(version, url);
    sql = postgres(url, { max: 2, onnotice: () => {} });
    world = await fillOldWorld(sql);
    before = await books(sql);
    filesBefore = await files(sql);
    await migrate(url, { seeds: ["./seeds/prices.sql"] });
  });
  afterAll(() => sql?.end());

  const settle = async (id: string, usd: number) => {
    const usage = {
      provider: "old",
      model: "model",
      input_tokens: usd * 1_000_000,
      output_tokens: 0,
    };
    const [row] = await sql`
      select status, cost_usd::float8 as usd from spend.settle(${id}, ${sql.json(usage)})`;
    return row;
  };

  it("keeps every quota, event, reservation, context and report as it was", async () => {
    expect(before.reservations).toHaveLength(8);
    expect(await books(sql)).toEqual(before);
  });

  it("has written no table of calls, and no index of it, anew", async () => {
    const all = Object.keys(filesBefore);
    expect(all).toContain("reservations_expires_at_idx");
    expect(all.filter((name) => name.startsWith("cost_events_")).length).toBeGreaterThan(5);
    expect(await files(sql)).toMatchObject(filesBefore);
  });

  it("checks the rows of every month as those of a new one", async () => {
    const rows = await sql`
      select array(
        select k.conname || ' ' || pg_get_constraintdef(k.oid) from pg_constraint as k
        where k.conrelid = t.relid and k.contype = 'c' order by 1
      ) as checks
      from pg_partition_tree('spend.cost_events') as t`;
    expect(rows.length).toBeGreaterThan(3);
    expect(new Set(rows.map(({ checks }) => checks.join()))).toEqual(
      new Set([
        "event_is_possible CHECK (spend_private.is_possible_event(kind, resource_type, reservation_id))",
      ]),
    );
  });

  it("has balances that equal the ledger and the open holds", async () => {
    expect(await verify(sql)).toEqual([]);
  });

  it("still charges a tenant the prices that it has negotiated", async () => {
    const usage = {
      provider: "old",
      model: "negotiated",
      input_tokens: 10_000,
      output_tokens: 10_000,
    };
    const [row] = await sql`
      select c.estimated_cost_usd::float8 as usd
      from spend.check_quota(${world.tenant}, null, 'llm', ${sql.json(usage)}) as c`;
    expect(row?.usd).toBeCloseTo(0.03, 9);
  });

  it("answers repeated idempotency keys with the old answers", async () => {
    const [user] = await sql`
      select user_id as id from spend.tenant_members where tenant_id = ${world.tenant}`;
    const again = async (key: string, usd: number) => {
      const usage = { provider: "old", model: "model", input_tokens: usd * 1e6, output_tokens: 0 };
      const [row] = await sql`
        select allowed, replayed, reason from spend.reserve(
          ${world.tenant}, ${user?.id}, 'llm', ${sql.json(usage)}, idempotency_key => ${key}
        )`;
      return row;
    };
    expect(await again(world.keys.settled, 0.03)).toMatchObject({ allowed: true, replayed: true });
    expect(await again(world.keys.refused, 500)).toEqual({
      allowed: false,
      replayed: true,
      reason: "exceeds_limit",
    });
  });

  it("settles, extends, releases and expires the calls that were open, at their old prices", async () => {
    const { held, context } = world;
    await sql`
      insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
      values ('llm', 'old', 'model', 'input_tokens', 7, now() + interval '1 microsecond')`;
    const [longer] = await sql`
      select allowed from spend.extend(
        ${held.plain}, ${sql.json({ provider: "old", model: "model", input_tokens: 40_000, output_tokens: 0 })}
      )`;
    expect(longer).toEqual({ allowed: true });
    expect(await settle(held.plain, 0.04)).toEqual({ status: "settled", usd: 0.04 });
    expect(await settle(held.extended, 0.025)).toEqual({ status: "settled", usd: 0.025 });
    expect(await settle(held.ofClosedTenant, 0.02)).toEqual({ status: "settled", usd: 0.02 });
    const [released] = await sql`select status from spend.release(${held.ofUser})`;
    expect(released).toEqual({ status: "released" });
    const [ended] = await sql`
      select spend.end_context(${world.tenant}, ${context.id}, 'terminated', 'killed') as status`;
    expect(ended).toEqual({ status: "terminated" });

    await sql`select pg_sleep(1)`;
    await sql`select spend.maintain()`;
    const open = await sql`
      select id, status from spend.reservations where status = 'held' or id = ${held.lapsed}`;
    expect(open).toEqual([{ id: held.lapsed, status: "expired" }]);
    expect(await verify(sql)).toEqual([]);
  });

  it("is what a new database is: the same functions, columns, constraints, policies and grants", async () => {
    const fresh = postgres(
      Object.assign(new URL(inject("serverUrl")), {
        pathname: `/${(await createDatabase(inject("templateDatabase"))).name}`,
      }).href,
      { max: 1, onnotice: () => {} },
    );
    try {
      expect(await catalogue(sql)).toEqual(await catalogue(fresh));
    } finally {
      await fresh.end();
    }
  });

  it("shows a migration that loses an open hold, or a booked cost", async () => {
    for (const damage of [
      "update spend_private.quota_balances set reserved_usd = 0 where reserved_usd > 0",
      "update spend_private.quota_balances set spent_usd = spent_usd + 1 where spent_usd > 0",
    ]) {
      const old = await createDatabase();
      await migrateTo(version, old.url);
      const damaged = postgres(old.url, { max: 1, onnotice: () => {} });
      try {
        await fillOldWorld(damaged);
        await damaged.unsafe(damage);
        expect(await verify(damaged)).not.toEqual([]);
      } finally {
        await damaged.end();
      }
    }
  });
});

/** Every object of our schemas, in words; partitions go by the month in which they were made. */
async function catalogue(sql: Sql): Promise<string[]> {
  const rows = await sql`
    with ours as (
      select oid from pg_namespace where nspname in ('spend', 'spend_private')
    )
    select pg_get_functiondef(p.oid) || coalesce(p.proacl::text, '') as object
    from pg_proc as p where p.pronamespace in (select oid from ours) and p.prokind in ('f', 'p')
    union all
    select c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull
      || coalesce(' ' || pg_get_expr(d.adbin, d.adrelid), '') || coalesce(c.relacl::text, '')
    from pg_attribute as a
    join pg_class as c on c.oid = a.attrelid and not c.relispartition
    left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where c.relnamespace in (select oid from ours) and a.attnum > 0 and not a.attisdropped and c.relkind <> 'i'
    union all
    select conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(k.oid)
    from pg_constraint as k join pg_class as c on c.oid = k.conrelid and not c.relispartition
    where connamespace in (select oid from ours)
    union all
    select tgrelid::regclass || ' ' || pg_get_triggerdef(t.oid)
    from pg_trigger as t join pg_class as c on c.oid = t.tgrelid and not c.relispartition
    where c.relnamespace in (select oid from ours) and not t.tgisinternal
    union all
    select i.indrelid::regclass || ' ' || pg_get_indexdef(i.indexrelid)
    from pg_index as i join pg_class as c on c.oid = i.indrelid and not c.relispartition
    where c.relnamespace in (select oid from ours)
    union all
    select polrelid::regclass || ' ' || polname || ' ' || polcmd::text || ' ' || coalesce(pg_get_expr(polqual, polrelid), '')
      || ' ' || coalesce(pg_get_expr(polwithcheck, polrelid), '')
    from pg_policy join pg_class as c on c.oid = polrelid where c.relnamespace in (select oid from ours)
    union all
    select v.schemaname || '.' || v.viewname || ' ' || v.definition
    from pg_views as v where v.schemaname in ('spend', 'spend_private')`;
  return rows.map(({ object }) => object as string).sort();
}
