// The Data API and Auth of @supabase/lite, and the functions beside them, on one origin.
import {
  Agent,
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { getRequestListener } from "@hono/node-server";
import { App, type IAppConfig } from "@supabase/lite";
import { createPostgresConnection } from "@supabase/lite/postgres";
import postgres from "postgres";
import { compositeParsers, isoTime } from "./composites.ts";
import { serveDashboard } from "./dashboard.ts";
import type { Keys } from "./keys.ts";
import type { Mail } from "./mail.ts";
import { assertPortFree } from "./ports.ts";
import { userTokens } from "./user_tokens.ts";

/** The schemas of supabase/config.toml `[api] schemas`. */
const EXPOSED_SCHEMAS = ["public", "spend"];

/** Seconds that answers and queries under way may take once the API is told to stop. */
const CLOSE_SECONDS = 3;

export interface ApiOptions {
  /** A bootstrapped, migrated database; lite reads its catalog once. */
  databaseUrl: string;
  port: number;
  keys: Keys;
  /** Port of the functions' process on 127.0.0.1. */
  functionsPort: number;
  /** Sends what Auth sends; without it the dashboard offers no one-time codes. */
  mail?: Mail;
}

export interface Api {
  url: string;
  stop(): Promise<void>;
}

/** Serves /rest/v1, /auth/v1, /functions/v1 and /dashboard. */
export async function startApi(options: ApiOptions): Promise<Api> {
  const { databaseUrl, port, keys, functionsPort, mail } = options;
  const url = `http://127.0.0.1:${port}`;
  const connection = createPostgresConnection({
    url: databaseUrl,
    postgresOptions: {
      max: 30,
      onnotice: () => {},
      types: await postgrestTypes(databaseUrl),
    },
  });
  // On its first request lite would grant all on all tables of every schema that has a guarded
  // table to anon, authenticated and service_role. Our grants are part of what is tested: it must
  // believe that it has done so.
  Object.assign(connection, { rlsState: "active" });
  const config = {
    connection,
    api: { schemas: EXPOSED_SCHEMAS, extra_search_path: ["public", "extensions"], max_rows: 1000 },
    auth: {
      enabled: true,
      jwt_secret: keys.jwtSecret,
      publishable_key: keys.publishable,
      secret_key: keys.secret,
      site_url: url,
      email: { enable_confirmations: false },
    },
    // Without admin mode a request without a key is refused, as on the platform.
    options: {
      server: { admin: false, disableStudio: true },
      ...(mail && { drivers: { email: mail } }),
    },
  };
  const app = new App(config as unknown as IAppConfig);
  hushAnsweredErrors();
  await app.init();

  const tokens = keys.signingKey && (await userTokens(keys.signingKey, keys.jwtSecret));
  const answer = getRequestListener(
    (request) => {
      const own = async () => app.fetch(await asLiteReads(request));
      return tokens ? tokens.around(request, own) : own();
    },
    { overrideGlobalObjects: false },
  );
  // As gateways do. The functions close no connection before they end.
  const agent = new Agent({ keepAlive: true });
  const server = createServer((request, response) => {
    if (request.url?.startsWith("/functions/v1/")) {
      return forward(request, response, functionsPort, agent);
    }
    if (/^\/dashboard(?=[/?]|$)/.test(request.url ?? "")) {
      return serveDashboard(request, response, {
        url,
        publishableKey: keys.publishable,
        ...(mail && { emailCodes: true }),
      });
    }
    allowCors(request, response);
    if (request.method === "OPTIONS") return response.writeHead(204).end();
    const translated = tokens?.translate(request) ?? Promise.resolve();
    return translated.then(() => answer(request, response));
  });
  // Without a limit this waits for ever when the database has ended under a query.
  const disconnect = () => connection.driver.end({ timeout: CLOSE_SECONDS });
  try {
    // Last: what is kept for us stays taken until then.
    await assertPortFree(port, "API", "SPENDGATE_API_PORT");
    await listen(server, port);
  } catch (error) {
    await disconnect();
    throw error;
  }
  return {
    url,
    async stop() {
      await close(server);
      agent.destroy();
      await disconnect();
    },
  };
}

/** A code by mail is of the type `email`; lite knows it by the older name of the same. */
async function asLiteReads(request: Request): Promise<Request> {
  if (request.method !== "POST" || new URL(request.url).pathname !== "/auth/v1/verify") {
    return request;
  }
  const text = await request.text();
  const { type, ...body } = JSON.parse(text || "{}");
  return new Request(request.url, {
    method: "POST",
    headers: request.headers,
    body: type === "email" ? JSON.stringify({ ...body, type: "magiclink" }) : text,
  });
}

/**
 * As the platform's gateway: Auth and the Data API may be called from any origin. A preflight is answered here: it
 * names no schema, so lite would look its table up in the wrong one.
 */
function allowCors(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader("access-control-allow-origin", "*");
  response.setHeader("access-control-expose-headers", "content-range, content-profile, location");
  if (request.method !== "OPTIONS") return;
  response.setHeader(
    "access-control-allow-methods",
    "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
  );
  response.setHeader("access-control-max-age", "3600");
  response.setHeader(
    "access-control-allow-headers",
    request.headers["access-control-request-headers"] ?? "authorization, apikey, content-type",
  );
}

/** Values as PostgREST prints them: numbers as numbers, ISO times, rows as objects. */
async function postgrestTypes(databaseUrl: string): Promise<Record<string, postgres.PostgresType>> {
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} });
  try {
    const types: Record<string, postgres.PostgresType> = {
      json: type(114, JSON.parse, jsonText),
      jsonb: type(3802, JSON.parse, jsonText),
      numeric: type(1700, Number),
      timestamptz: type(1184, isoTime),
      timestamp: type(1114, (text) => text.replace(" ", "T")),
    };
    for (const [oid, parse] of await compositeParsers(sql, EXPOSED_SCHEMAS)) {
      types[`composite_${oid}`] = type(oid, parse);
    }
    return types;
  } finally {
    await sql.end();
  }
}

function type(
  oid: number,
  parse: (text: string) => unknown,
  serialize: (value: unknown) => string = String,
): postgres.PostgresType {
  return { to: oid, from: [oid], serialize, parse };
}

/**
 * lite hands over the arguments of functions as JSON text already: a second time is once too
 * often. (A bare string as a jsonb argument it hands over as it is; that one call fails here.)
 */
function jsonText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/**
 * Passes a call on to the functions as the platform does: without the prefix, headers as they
 * are, the body streamed both ways, and a client that hangs up is seen there.
 */
function forward(
  request: IncomingMessage,
  response: ServerResponse,
  port: number,
  agent: Agent,
): void {
  const upstream = httpRequest({
    host: "127.0.0.1",
    port,
    method: request.method,
    path: request.url?.slice("/functions/v1".length),
    headers: request.headers,
    agent,
  });
  upstream.on("response", (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.statusMessage, answer.rawHeaders);
    response.flushHeaders();
    answer.pipe(response);
    answer.on("error", () => response.destroy());
  });
  upstream.on("error", (error) => {
    if (response.headersSent) return response.destroy();
    response.writeHead(503, { "content-type": "application/json" });
    response.end(JSON.stringify({ code: "BOOT_ERROR", message: `no functions: ${error.message}` }));
  });
  response.on("close", () => {
    if (!response.writableFinished) upstream.destroy();
  });
  request.pipe(upstream);
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
}

/** Waits for answers under way, for a moment. */
async function close(server: Server): Promise<void> {
  const closed = new Promise((done) => server.close(done));
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), CLOSE_SECONDS * 1000);
  await closed;
  clearTimeout(cut);
}

let hushed = false;

/** lite prints each database error that it answers; the caller has it already. */
function hushAnsweredErrors(): void {
  if (hushed) return;
  hushed = true;
  const print = console.error;
  console.error = (...args: unknown[]) => {
    const [error] = args;
    const answered =
      args.length === 1 &&
      error instanceof Error &&
      (error.name === "PostgresError" || "relation" in error);
    if (!answered) print(...args);
  };
}
