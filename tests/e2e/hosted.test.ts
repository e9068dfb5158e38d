// Hosted Supabase pushes migrations as a role that is no superuser and does not own the schema auth.

import postgres from "postgres";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { bootstrap } from "../../scripts/stack/bootstrap.ts";
import { migrate } from "../../scripts/stack/migrate.ts";
import { verifyBalances } from "../support/spend.ts";

const NAME = "hosted_project";
let admin: postgres.Sql;
let urlOf: (user: string) => string;

beforeAll(async () => {
  const server = inject("serverUrl");
  admin = postgres(server, { max: 1, onnotice: () => {} });
  urlOf = (user) => Object.assign(new URL(server), { username: user, pathname: `/${NAME}` }).href;
  await admin.unsafe(
    `create role ${NAME} login createrole createdb bypassrls replication password 'postgres'`,
  );
  await admin.unsafe(`create database ${NAME} owner ${NAME}`);
  await bootstrap(urlOf("postgres"));
  const superuser = postgres(urlOf("postgres"), { max: 1 });
  await superuser.unsafe(`
    grant usage on schema auth to ${NAME};
    grant all on all tables in schema auth to ${NAME};
    grant execute on all functions in schema auth to ${NAME};
    grant all on schema extensions to ${NAME};
    grant anon, authenticated, service_role to ${NAME};`);
  await superuser.end();
});
afterAll(async () => {
  await admin.unsafe(`drop database if exists ${NAME} with (force)`);
  await admin.unsafe(`drop role ${NAME}`);
  await admin.end();
});

it("db push works as a role without superuser rights, and so does the gate afterwards", async () => {
  await migrate(urlOf(NAME));

  const sql = postgres(urlOf(NAME), { max: 1, onnotice: () => {} });
  try {
    await sql`set role service_role`;
    const [tenant] = await sql`insert into spend.tenants (name) values ('Hosted') returning id`;
    const usage = { provider: "openai", model: "gpt-4o", input_tokens: 1000, output_tokens: 100 };
    const [call] = await sql`
      select allowed, reservation_id from spend.reserve(${tenant?.id}, null, 'llm', ${sql.json(usage)})`;
    expect(call?.allowed).toBe(true);
    const [booked] = await sql`
      select cost_usd::float8 as usd from spend.settle(${call?.reservation_id}, ${sql.json(usage)})`;
    expect(booked).toEqual({ usd: 0.0035 });
    const [{ maintained }] = (await sql`select spend.maintain() as maintained`) as unknown as [
      { maintained: Record<string, number | null> },
    ];
    expect(Object.values(maintained)).not.toContain(null);
    expect(await verifyBalances(sql)).toEqual([]);
    await expect(sql`update spend.cost_events set cost_usd = 0`).rejects.toThrow(
      "permission denied",
    );
    await expect(sql`update spend_private.quota_balances set spent_usd = 0`).rejects.toThrow(
      "permission denied",
    );
  } finally {
    await sql.end();
  }
});
