// What hosted Supabase does that a local stack need not: it pushes migrations as a role that is no superuser and does not
// own the schema auth, and gives functions keys by name, several at once.

import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { bootstrap } from "../../scripts/stack/bootstrap.ts";
import { migrate } from "../../scripts/stack/migrate.ts";
import { forward, startServer } from "../support/server.ts";
import { verifyBalances } from "../support/spend.ts";
import {
  startTestStack,
  type TestStack,
  type TestStackOptions,
  type TestUser,
} from "../support/stack.ts";

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

async function withStack(
  env: TestStackOptions["env"],
  work: (stack: TestStack) => Promise<void>,
  options: TestStackOptions = {},
) {
  const stack = await startTestStack({ ...options, env });
  await work(stack).finally(() => stack.stop());
}

async function chat(stack: TestStack, by?: TestUser): Promise<Response> {
  const user = by ?? (await stack.signUp());
  const { id: tenantId } = await stack.createTenant({ members: [user] });
  const messages = [{ role: "user", content: "Hello" }];
  return stack.call("/chat", { user, json: { tenantId, stream: false, messages } });
}

const maintain = async (stack: TestStack, headers: Record<string, string>) =>
  (await stack.call("/maintenance", { method: "POST", headers })).status;

const JWKS = "/auth/v1/.well-known/jwks.json";

const headerOf = (jwt: string) =>
  JSON.parse(Buffer.from(jwt.split(".")[0] ?? "", "base64url").toString());

/** What the functions call as the project's origin: passes everything on, and notes what Auth is asked. */
async function startAuthJournal() {
  const asked: string[] = [];
  const journal = { asked, target: "", url: "", stop: async () => {} };
  const server = await startServer((request, response) => {
    if (request.url?.startsWith("/auth/")) asked.push(request.url);
    forward(journal.target, request, response);
  });
  return Object.assign(journal, { url: server.url, stop: server.stop });
}

const SAID = "SUPABASE_SECRET_KEYS is wrong. Allowed: JSON: name → key.";

describe("The keys of a hosted project", () => {
  it("by name: a chat works, each of three secret keys opens maintenance, and a revoked one does not", async () => {
    const env: TestStackOptions["env"] = (keys) => ({
      SUPABASE_ANON_KEY: "",
      SUPABASE_SECRET_KEYS: JSON.stringify({
        next: "sb_secret_next",
        default: keys.secret,
        cron: "sb_secret_cron",
      }),
      // Hosted projects keep it set when it is disabled.
      SUPABASE_SERVICE_ROLE_KEY: "disabled",
    });
    await withStack(env, async (stack) => {
      expect((await chat(stack)).status).toBe(200);
      for (const key of ["sb_secret_next", stack.keys.secret, "sb_secret_cron"]) {
        expect([key, await maintain(stack, { apikey: key })]).toEqual([key, 200]);
        expect([key, await maintain(stack, { authorization: `Bearer ${key}` })]).toEqual([
          key,
          200,
        ]);
      }
      for (const key of ["sb_secret_revoked", "disabled", "next", stack.keys.publishable]) {
        expect([key, await maintain(stack, { apikey: key })]).toEqual([key, 401]);
      }
    });
  });

  it("by the legacy names alone, with users' tokens signed HS256: two chats work, Auth is asked each time, and the one key opens maintenance", async () => {
    const auth = await startAuthJournal();
    const env = {
      SUPABASE_URL: auth.url,
      SUPABASE_PUBLISHABLE_KEYS: "",
      SUPABASE_SECRET_KEYS: "",
    };
    await withStack(
      env,
      async (stack) => {
        auth.target = stack.url;
        const user = await stack.signUp();
        expect(headerOf(user.jwt)).toMatchObject({ alg: "HS256" });
        expect(await (await fetch(`${stack.url}${JWKS}`)).json()).toEqual({ keys: [] });
        for (const _ of [1, 2]) expect((await chat(stack, user)).status).toBe(200);
        expect(auth.asked).toEqual(["/auth/v1/user", "/auth/v1/user"]);
        expect(await maintain(stack, { apikey: stack.keys.secret })).toBe(200);
        expect(await maintain(stack, { apikey: "sb_secret_revoked" })).toBe(401);
      },
      { legacyTokens: true },
    ).finally(() => auth.stop());
  });

  it("that sign users' tokens ES256: Auth is asked for nothing by three chats with SUPABASE_JWKS, and once for its keys without", async () => {
    for (const [jwks, expected] of [
      [undefined, []],
      ["", [JWKS]],
    ] as const) {
      const auth = await startAuthJournal();
      const env: Record<string, string> = { SUPABASE_URL: auth.url };
      if (jwks !== undefined) env.SUPABASE_JWKS = jwks;
      await withStack(env, async (stack) => {
        auth.target = stack.url;
        const user = await stack.signUp();
        expect(headerOf(user.jwt)).toEqual({
          alg: "ES256",
          kid: stack.keys.signingKey?.kid,
          typ: "JWT",
        });
        for (const _ of [1, 2, 3]) expect((await chat(stack, user)).status).toBe(200);
        expect(auth.asked).toEqual(expected);
        // The Data API and Auth take the same token, and give a new one that is signed likewise.
        const { data } = await user.client.from("tenants").select("id");
        expect(data).toHaveLength(3);
        const { data: renewed } = await user.client.auth.refreshSession();
        expect(headerOf(renewed.session?.access_token ?? "")).toMatchObject({ alg: "ES256" });
        expect((await user.client.auth.getUser()).data.user?.id).toBe(user.id);
      }).finally(() => auth.stop());
    }
  });

  it("that are no JSON: every function answers 503, and says which variable", async () => {
    await withStack({ SUPABASE_SECRET_KEYS: "sb_secret_1" }, async (stack) => {
      for (const path of [
        "/chat",
        "/openai/models",
        "/anthropic/v1/models",
        "/sandbox",
        "/maintenance",
        "/alerts",
      ]) {
        const response = await stack.call(path, { headers: { apikey: stack.keys.secret } });
        const text = await response.text();
        expect([path, response.status, text]).toEqual([path, 503, expect.stringContaining(SAID)]);
      }
    });
  });
});
