// A PostgreSQL with pg_cron, as a distribution packages it, and in it a project as hosted Supabase has it: the database
// `postgres`, owned by a role without superuser rights, which pushes the migrations.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import postgres, { type Sql } from "postgres";
import type { PostgresBinaries } from "../../scripts/stack/binaries.ts";
import { bootstrap } from "../../scripts/stack/bootstrap.ts";
import { startDatabase } from "../../scripts/stack/database.ts";
import { migrate } from "../../scripts/stack/migrate.ts";
import { PROJECT } from "../../scripts/stack/paths.ts";

/** Debian's folders, by major version. */
const PROGRAMS = "/usr/lib/postgresql";
const SHARE = "/usr/share/postgresql";

export type CronServer = PostgresBinaries & {
  /** Major version of PostgreSQL. */
  version: number;
  /** Version of pg_cron, as 1.4. */
  cronVersion: number;
};

/** The oldest installed PostgreSQL that has pg_cron; null where there is none. */
export async function findCronServer(): Promise<CronServer | null> {
  const versions = (await readdir(PROGRAMS).catch(() => [])).map(Number).filter(Boolean);
  for (const version of versions.sort((a, b) => a - b)) {
    const control = join(SHARE, `${version}/extension/pg_cron.control`);
    const text = await readFile(control, "utf8").catch(() => "");
    const [, cronVersion] = /^default_version\s*=\s*'(\d+\.\d+)/m.exec(text) ?? [];
    if (cronVersion === undefined) continue;
    const folder = join(PROGRAMS, `${version}/bin`);
    return {
      initdb: join(folder, "initdb"),
      postgres: join(folder, "postgres"),
      pgCtl: join(folder, "pg_ctl"),
      version,
      cronVersion: Number(cronVersion),
    };
  }
  return null;
}

/** The role that owns the project's schemas. */
export const OWNER = "project_owner";

export interface Project {
  /** Client as the superuser, who alone sees every job. */
  sql: Sql;
  /** Client as the owner, one session. */
  owner: Sql;
  url: string;
  /** The server's log so far: warnings of every session are in it. */
  log(): Promise<string>;
  /** Another database of the server, migrated by the owner: pg_cron is not in it, and cannot be. */
  addDatabase(name: string): Promise<Sql>;
  /** Removes the server, its data and its clients. */
  stop(): Promise<void>;
}

/**
 * A migrated project. pg_cron runs its jobs in workers of the server, or through connections, as by default; there is a
 * password for these in the environment.
 */
export async function startProject(
  { version, initdb, postgres: program, pgCtl }: CronServer,
  jobs: "workers" | "connections",
): Promise<Project> {
  process.env.PGPASSWORD = "postgres";
  const server = await startDatabase({
    programs: { version, initdb, postgres: program, pgCtl },
    settings: {
      shared_preload_libraries: "pg_cron",
      "cron.database_name": "postgres",
      "cron.host": "127.0.0.1",
      "cron.use_background_workers": jobs === "workers" ? "on" : "off",
      max_worker_processes: "24",
    },
  });
  const clients: Sql[] = [];
  const clientFor = (url: string) => {
    const sql = postgres(url, { max: 1, onnotice: () => {} });
    clients.push(sql);
    return sql;
  };
  const stop = async () => {
    await Promise.all(clients.map((sql) => sql.end({ timeout: 5 })));
    await server.stop();
  };
  const asOwner = (url: string) => Object.assign(new URL(url), { username: OWNER }).href;
  const project = {
    sql: clientFor(server.url),
    url: server.url,
    log: () => readFile(server.log, "utf8"),
    async addDatabase(name: string) {
      await project.sql.unsafe(`create database ${name} owner ${OWNER}`);
      await prepare(clientFor(server.urlOf(name)), server.urlOf(name));
      await push(asOwner(server.urlOf(name)));
      return clientFor(asOwner(server.urlOf(name)));
    },
    stop,
  };
  try {
    await project.sql.unsafe(
      `create role ${OWNER} login createrole createdb bypassrls replication password 'postgres'`,
    );
    await project.sql.unsafe(`alter database postgres owner to ${OWNER}`);
    await prepare(project.sql, server.url);
    await installCron(project.sql);
    await push(asOwner(server.url));
    return { ...project, owner: clientFor(asOwner(server.url)) };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Without prices: no test here needs more than one. */
const push = (url: string) => migrate(url, { workdir: PROJECT });

async function prepare(superuser: Sql, url: string): Promise<void> {
  await bootstrap(url);
  await superuser.unsafe(`
    grant usage on schema auth to ${OWNER};
    grant all on all tables in schema auth to ${OWNER};
    grant execute on all functions in schema auth to ${OWNER};
    grant all on schema extensions to ${OWNER};
    grant anon, authenticated, service_role to ${OWNER};`);
}

/**
 * What hosted Supabase does for its role without superuser rights, who may ask for pg_cron there: a superuser installs it,
 * and grants all but writing into cron.job.
 */
export async function installCron(superuser: Sql): Promise<void> {
  await superuser.unsafe(`
    create extension pg_cron with schema pg_catalog;
    grant usage on schema cron to ${OWNER} with grant option;
    grant all on all tables in schema cron to ${OWNER} with grant option;
    revoke all on table cron.job from ${OWNER};
    grant select on table cron.job to ${OWNER} with grant option;`);
}
