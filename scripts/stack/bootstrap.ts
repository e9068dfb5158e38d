// What a hosted Supabase database has before our first migration.
import { getAuthSchemaSql, SUPABASE_AUTH_HELPERS_SQL } from "@supabase/lite";
import postgres from "postgres";

const ROLES = `
  do $$
  begin
    -- Roles belong to the whole server: a second database of the same server finds them there.
    if not exists (select from pg_roles where rolname = 'anon') then
      create role anon nologin noinherit;
    end if;
    if not exists (select from pg_roles where rolname = 'authenticated') then
      create role authenticated nologin noinherit;
    end if;
    if not exists (select from pg_roles where rolname = 'service_role') then
      create role service_role nologin noinherit bypassrls;
    end if;
    if not exists (select from pg_roles where rolname = 'authenticator') then
      create role authenticator login noinherit password 'postgres';
    end if;
  end
  $$;
  grant anon, authenticated, service_role to authenticator;

  create schema if not exists extensions;
  grant usage on schema extensions to anon, authenticated, service_role;
  grant usage on schema public to anon, authenticated, service_role;
`;

// The hosted definitions: unlike lite's they also read the claims when only the whole of them is set.
const AUTH_FUNCTIONS = `
  create or replace function auth.uid() returns uuid language sql stable as $$
    select coalesce(
      nullif(current_setting('request.jwt.claim.sub', true), ''),
      (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')
    )::uuid
  $$;
  create or replace function auth.role() returns text language sql stable as $$
    select coalesce(
      nullif(current_setting('request.jwt.claim.role', true), ''),
      (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role')
    )
  $$;
  create or replace function auth.email() returns text language sql stable as $$
    select coalesce(
      nullif(current_setting('request.jwt.claim.email', true), ''),
      (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email')
    )
  $$;
  create or replace function auth.jwt() returns jsonb language sql stable as $$
    select coalesce(
      nullif(current_setting('request.jwt.claim', true), ''),
      nullif(current_setting('request.jwt.claims', true), '')
    )::jsonb
  $$;
  grant usage on schema auth to anon, authenticated, service_role;
`;

// A database copied from another does not inherit these.
// The linters' exposure rules read pgrst.db_schemas, and find nothing where it is missing; hosted
// Supabase finds extensions without their schema's name.
const DATABASE_SETTINGS = `do $$ begin
  execute format('alter database %I set pgrst.db_schemas = %L', current_database(), 'public, spend');
  execute format('alter database %I set search_path = "$user", public, extensions', current_database());
end $$`;

/** The settings alone, for a database that is a copy of a bootstrapped one. */
export async function applyDatabaseSettings(url: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await sql.unsafe(DATABASE_SETTINGS);
  } finally {
    await sql.end();
  }
}

/**
 * Gives an empty database the roles, the schemas `auth` and `extensions`, and the settings that
 * hosted Supabase has. Can be repeated.
 */
export async function bootstrap(url: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await sql.begin(async (transaction) => {
      // Roles are the server's: two databases may be bootstrapped at once.
      await transaction`lock table pg_catalog.pg_authid in share row exclusive mode`;
      await transaction.unsafe(ROLES);
      await transaction.unsafe(getAuthSchemaSql());
      await transaction.unsafe(SUPABASE_AUTH_HELPERS_SQL);
      await transaction.unsafe(AUTH_FUNCTIONS);
      await transaction.unsafe(DATABASE_SETTINGS);
    });
  } finally {
    await sql.end();
  }
}
