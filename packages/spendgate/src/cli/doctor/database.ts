// A database, over SQL.
import postgres, { type Sql } from "postgres";
import { installedMigrations } from "../migrations.ts";
import type { Project } from "../project.ts";
import { count } from "../text.ts";
import { type Finding, ok, wrong } from "./findings.ts";
import { findingsOf, type State } from "./state.ts";

const CONNECT_SECONDS = 10;

export async function lookAtDatabase(url: string, project?: Project): Promise<Finding[]> {
  const sql = open(url);
  if (sql === undefined) {
    return [
      wrong(
        "database",
        "The URL of the database cannot be read.",
        "Give one such as postgresql://postgres:<password>@<host>:5432/postgres; write special characters of the password as %xx.",
      ),
    ];
  }
  try {
    await sql`select 1`;
  } catch (error) {
    await sql.end({ timeout: 1 });
    return [unreachable(url, error as Error & { code?: string })];
  }
  try {
    return await look(sql, project);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

function open(url: string): Sql | undefined {
  try {
    new URL(url);
    return postgres(url, { max: 1, connect_timeout: CONNECT_SECONDS, onnotice: () => {} });
  } catch {
    return undefined;
  }
}

/** Without the password. */
function unreachable(url: string, { code, message }: Error & { code?: string }): Finding {
  const { host, pathname } = new URL(url);
  const isPassword = code === "28P01" || code === "28000";
  return wrong(
    "database",
    `The database at ${host}${pathname} cannot be reached: ${code ?? message}.`,
    isPassword
      ? "Correct the password in --db-url."
      : "Start it (`npx supabase start`), give another --db-url, or ask a hosted project: --url and --secret-key.",
  );
}

async function look(sql: Sql, project?: Project): Promise<Finding[]> {
  const [found] = await sql`select to_regprocedure('spend.contract_version()') is not null as yes`;
  if (!found?.yes) {
    return [
      wrong(
        "database",
        "The database has no Spendgate.",
        "Run `npx supabase db push` (add --local for the local database).",
      ),
    ];
  }
  return [
    ok("database", "reachable"),
    ...(await pendingFindings(sql, project)),
    ...(await exposureFindings(sql)),
    ...findingsOf(await stateOf(sql)),
  ];
}

/** Migrations of the project that the database has not run. */
async function pendingFindings(sql: Sql, project?: Project): Promise<Finding[]> {
  const [table] = await sql`
    select to_regclass('supabase_migrations.schema_migrations') is not null as yes`;
  if (project === undefined || !table?.yes) return [];
  const rows = await sql`select version from supabase_migrations.schema_migrations`;
  const applied = new Set(rows.map(({ version }) => String(version)));
  const pending = installedMigrations(project).filter(
    ({ file }) => !applied.has(/^\d+/.exec(file)?.[0] ?? ""),
  );
  if (pending.length === 0) return [ok("database.migrations", "all applied")];
  return [
    wrong(
      "database.migrations",
      `The database lacks ${count(pending.length, "migration")}: ${pending.map(({ file }) => file).join(", ")}.`,
      "Run `npx supabase db push`.",
    ),
  ];
}

/** Hosted projects keep what the Data API exposes as a setting; where there is none, it is the stack's. */
async function exposureFindings(sql: Sql): Promise<Finding[]> {
  const rows = await sql`
    select split_part(setting, '=', 2) as schemas
    from pg_catalog.pg_db_role_setting as s
    left join pg_catalog.pg_roles as r on r.oid = s.setrole
    cross join unnest(s.setconfig) as setting
    where setting like 'pgrst.db_schemas=%' and s.setdatabase in (
      0, (select oid from pg_catalog.pg_database where datname = current_database())
    )
    order by (r.rolname is not distinct from 'authenticator') desc, s.setdatabase desc
    limit 1`;
  if (rows.length === 0) return [];
  const schemas = String(rows[0]?.schemas)
    .split(",")
    .map((schema) => schema.trim());
  return [exposureFinding(schemas.includes("spend"), schemas.includes("spend_private"))];
}

export function exposureFinding(isExposed: boolean, isPrivateExposed: boolean): Finding {
  if (isPrivateExposed) {
    return wrong(
      "exposed",
      "The Data API exposes spend_private.",
      "Take it out of the exposed schemas (Dashboard, API settings) at once.",
    );
  }
  if (isExposed) return ok("exposed", "the Data API exposes spend");
  return wrong(
    "exposed",
    "The Data API does not expose spend, so no function can reach it.",
    "Add spend to the exposed schemas (Dashboard, API settings).",
  );
}

async function stateOf(sql: Sql): Promise<State> {
  const [row] = await sql`
    select
      spend.contract_version() as "contractVersion",
      (select to_jsonb(m) from spend.maintenance_status() as m) as maintenance,
      spend.newest_price_from() as "newestPrice",
      (select count(*)::integer from spend.operators) as operators,
      (select count(*)::integer from spend.tenants) as tenants,
      (select count(*)::integer from spend.alerts where delivered_at is null) as "undeliveredAlerts",
      (select min(created_at) from spend.alerts where delivered_at is null) as "oldestUndelivered"`;
  return row as unknown as State;
}
