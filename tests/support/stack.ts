// An isolated stack for a test file: its own database, API, functions and stand-in, on free ports.
import { randomUUID } from "node:crypto";
import type { JournalEntry, LLMock } from "@copilotkit/aimock";
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import type { Sql } from "postgres";
import WebSocket from "ws";
import type { Database } from "../../functions/_shared/database/types.ts";
import { generateKeys, type Keys } from "../../scripts/stack/keys.ts";
import type { Mail } from "../../scripts/stack/mail.ts";
import type { SandboxStandIn } from "../../scripts/stack/sandbox_standin.ts";
import { type Services, startServices } from "../../scripts/stack/stack.ts";
import { cloneDatabase, type TestDatabase } from "./database.ts";
import type { ScriptedProvider } from "./provider.ts";

export type Client = SupabaseClient<Database, "spend">;

export interface TestUser {
  id: string;
  email: string;
  /** Access token, for calls without supabase-js. */
  jwt: string;
  /** supabase-js as a browser has it, signed in, on schema `spend`. */
  client: Client;
}

export interface TestTenant {
  id: string;
  name: string;
}

export interface TestStack {
  /** Origin of /rest/v1, /auth/v1 and /functions/v1. */
  url: string;
  keys: Keys;
  database: TestDatabase;
  /** Client as the superuser `postgres`, past every policy. */
  sql: Sql;
  services: Services;
  /** The stand-in for the providers: add fixtures, inject faults. */
  mock: LLMock;
  /** The stand-in for E2B: its journal, its sandboxes, its faults. */
  sandboxes: SandboxStandIn;
  /** What the functions printed. */
  logs: string[];
  /** Every request that reached the stand-in. */
  journal(): readonly JournalEntry[];
  /** supabase-js with the secret key, on schema `spend`. */
  service: Client;
  /** supabase-js with the publishable key and no user, on schema `spend`. */
  anonymous: Client;
  signUp(): Promise<TestUser>;
  /** A tenant and, when given, its members; with the quotas of the default plan. */
  createTenant(options?: {
    name?: string;
    members?: TestUser[];
    role?: string;
  }): Promise<TestTenant>;
  /** Calls a function as a browser does: with the publishable key and, when given, the user's JWT. */
  call(
    path: string,
    options?: RequestInit & { user?: TestUser; json?: unknown },
  ): Promise<Response>;
  stop(): Promise<void>;
}

export interface TestStackOptions {
  /** Answers calls of openai/…; it stops with the stack. */
  provider?: ScriptedProvider;
  /** Environment of the functions, beyond and above the usual. */
  env?: Record<string, string> | ((keys: Keys) => Record<string, string>);
  /** Users' tokens as projects with only the legacy secret have them: HS256, and no JWKS. */
  legacyTokens?: boolean;
  /** A folder of functions other than functions/ (or than what SPENDGATE_TEST_FUNCTIONS names). */
  functionsFolder?: string;
  /** Sends what Auth sends; without it nothing is sent. */
  mail?: Mail;
  /** SQL that runs before the API starts: it reads the catalog once, and serves nothing newer. */
  prepare?: string;
}

export async function startTestStack(options: TestStackOptions = {}): Promise<TestStack> {
  const database = await cloneDatabase();
  const logs: string[] = [];
  const keys = await generateKeys();
  if (options.legacyTokens) delete keys.signingKey;
  const env = typeof options.env === "function" ? options.env(keys) : options.env;
  const start = async () => {
    if (options.prepare) await database.sql.unsafe(options.prepare);
    return startServices({
      databaseUrl: database.url,
      keys,
      mail: options.mail,
      env: { ...options.provider?.env, ...env },
      functionsFolder: options.functionsFolder ?? process.env.SPENDGATE_TEST_FUNCTIONS,
      onLog: (line) => logs.push(line),
    });
  };
  const services = await start().catch(async (error) => {
    await database.close();
    throw error;
  });
  const { url, providers, sandboxes } = services;
  if (providers === undefined || sandboxes === undefined)
    throw new Error("a test stack never calls a real provider");
  const { sql } = database;
  const clientFor = (key: string): Client =>
    createClient<Database, "spend">(url, key, {
      db: { schema: "spend" },
      auth: { persistSession: false, autoRefreshToken: false },
      // Node 20 has no WebSocket of its own.
      realtime: { transport: WebSocket as never },
    });

  return {
    url,
    keys,
    database,
    sql,
    services,
    mock: providers.mock,
    sandboxes,
    logs,
    journal: () => providers.mock.getRequests(),
    service: clientFor(keys.secret),
    anonymous: clientFor(keys.publishable),

    async signUp() {
      const client = clientFor(keys.publishable);
      const email = `${randomUUID()}@example.com`;
      const { data, error } = await client.auth.signUp({ email, password: randomUUID() });
      if (error) throw error;
      if (!data.user || !data.session) throw new Error("sign-up answered no session");
      return { id: data.user.id, email, jwt: data.session.access_token, client };
    },

    async createTenant({ name = "Tenant", members = [], role = "member" } = {}) {
      return sql.begin(async (transaction) => {
        const [tenant] = await transaction<TestTenant[]>`
          insert into spend.tenants (name) values (${name}) returning id, name`;
        if (tenant === undefined) throw new Error("no tenant was made");
        for (const { id } of members) {
          await transaction`
            insert into spend.tenant_members (tenant_id, user_id, role)
            values (${tenant.id}, ${id}, ${role})`;
        }
        return tenant;
      });
    },

    call(path, { user, json, headers, ...init } = {}) {
      return fetch(`${url}/functions/v1${path}`, {
        ...init,
        method: init.method ?? (json === undefined ? "GET" : "POST"),
        ...(json !== undefined && { body: JSON.stringify(json) }),
        headers: {
          apikey: keys.publishable,
          ...(user && { authorization: `Bearer ${user.jwt}` }),
          ...(json !== undefined && { "content-type": "application/json" }),
          ...(headers as Record<string, string>),
        },
      });
    },

    async stop() {
      await services.stop();
      await options.provider?.stop();
      await database.close();
    },
  };
}
