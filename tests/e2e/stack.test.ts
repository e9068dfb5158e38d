// The stack itself: what everything else is tested on must behave as the platform does.
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startFunctions } from "../../scripts/stack/functions.ts";
import { cloneDatabase } from "../support/database.ts";
import { startTestStack, type TestStack } from "../support/stack.ts";
import { until } from "../support/until.ts";

let stack: TestStack;

beforeAll(async () => {
  stack = await startTestStack({
    functionsFolder: fileURLToPath(new URL("../support/functions", import.meta.url)),
    env: { ENFORCE_COST_QUOTAS: "false" },
    prepare: PROBES,
  });
});
afterAll(() => stack?.stop());

const PROBES = `
  create type spend.probe_item as (n integer, txt text, usd numeric, at timestamptz);
  create type spend.probe as (items spend.probe_item[], none spend.probe_item, ok boolean, raw jsonb);
  create function spend.probe(texts text[]) returns spend.probe language sql stable as $$
    select row(
      (select array_agg(row(i, t, 0.1, '2026-01-31 12:00:00.5+00')::spend.probe_item order by i)
       from unnest(texts) with ordinality as u (t, i)),
      null, true, '{"a": "b, \\"c\\""}'
    )::spend.probe
  $$;
  create function spend.json_probe(value jsonb) returns jsonb language sql stable as 'select value';
  grant execute on function spend.probe, spend.json_probe to service_role;
`;

const USAGE = { provider: "openai", model: "gpt-4o", input_tokens: 1000, output_tokens: 0 };

describe("The Data API", () => {
  it("answers rows within rows as objects, numbers as numbers and times as ISO, like PostgREST", async () => {
    const user = await stack.signUp();
    const tenant = await stack.createTenant({ members: [user] });
    await stack.sql`
      update spend.cost_quotas set limit_usd = 0.0024, warning_threshold = 0.1
      where tenant_id = ${tenant.id}`;

    const { data, error } = await stack.service.rpc("reserve", {
      tenant_id: tenant.id,
      user_id: user.id,
      resource_type: "llm",
      usage: USAGE,
    });

    expect(error).toBeNull();
    expect(data).toMatchObject({
      allowed: false,
      reservation_id: null,
      estimated_cost_usd: 0.0025,
      quota: {
        scope: "tenant",
        scope_id: tenant.id,
        limit_usd: 0.0024,
        spent_usd: 0,
        period_end: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$/),
      },
      warnings: [],
    });
  });

  it("answers an array of rows within a row, with quotes, commas, nulls and braces in its texts", async () => {
    const texts = ['a "quoted" one', "comma, (paren)", "back\\slash", "{brace}", "", null, "NULL"];

    const { data } = await stack.service.rpc("probe" as never, { texts } as never);

    expect(data).toEqual({
      items: texts.map((txt, i) => ({
        n: i + 1,
        txt,
        usd: 0.1,
        at: "2026-01-31T12:00:00.5+00:00",
      })),
      none: null,
      ok: true,
      raw: { a: 'b, "c"' },
    });
  });

  it.each([[{ a: 1, b: { c: [1, "x"] } }], [[1, 2, { a: null }]], [5], [true]])(
    "hands %j to a jsonb argument as it is",
    async (value) => {
      const { data, error } = await stack.service.rpc("json_probe" as never, { value } as never);
      expect(error).toBeNull();
      expect(data).toEqual(value);
    },
  );

  it("knows the user by the JWT: a member reads the tenant's quotas, another user none", async () => {
    const [member, stranger] = await Promise.all([stack.signUp(), stack.signUp()]);
    const tenant = await stack.createTenant({ members: [member] });

    const mine = await member.client.from("cost_quotas").select().eq("tenant_id", tenant.id);
    const theirs = await stranger.client.from("cost_quotas").select().eq("tenant_id", tenant.id);

    expect(mine.error).toBeNull();
    expect(mine.data?.length).toBeGreaterThan(0);
    expect(theirs.data).toEqual([]);
  });

  it("refuses a forged JWT", async () => {
    const user = await stack.signUp();
    const response = await fetch(`${stack.url}/rest/v1/cost_quotas`, {
      headers: {
        apikey: stack.keys.publishable,
        authorization: `Bearer ${user.jwt.slice(0, -4)}AAAA`,
        "accept-profile": "spend",
      },
    });
    expect(response.status).toBe(401);
  });

  it("refuses a function for the service role to a user (403) and to nobody (401)", async () => {
    const user = await stack.signUp();
    const asUser = await user.client.rpc("verify_balances");
    const asNobody = await stack.anonymous.rpc("verify_balances");
    const asService = await stack.service.rpc("verify_balances");

    expect([asUser.status, asUser.error?.code]).toEqual([403, "42501"]);
    expect([asNobody.status, asNobody.error?.code]).toEqual([401, "42501"]);
    expect([asService.status, asService.data]).toEqual([200, []]);
  });

  it("keeps the status, message, detail and hint of errors", async () => {
    const tenant = await stack.createTenant();
    const { status, error } = await stack.service.rpc("reserve", {
      tenant_id: tenant.id,
      user_id: null as unknown as string,
      resource_type: "llm",
      usage: { ...USAGE, model: "no-such-model" },
    });
    expect(status).toBe(422);
    expect(error).toMatchObject({ code: "PT422", message: "unpriced_product" });
    expect(error?.hint).toBeTruthy();
    expect(JSON.parse(error?.details ?? "null")).toMatchObject({ provider: "openai" });
  });

  it("refuses a call without a key, and a schema that is not exposed", async () => {
    const keyless = await fetch(`${stack.url}/rest/v1/prices`, {
      headers: { "accept-profile": "spend" },
    });
    const hidden = await fetch(`${stack.url}/rest/v1/quota_balances`, {
      headers: { apikey: stack.keys.secret, "accept-profile": "spend_private" },
    });
    expect([keyless.status, hidden.status]).toEqual([401, 406]);
  });

  it("grants nothing when it serves: the privileges are those of the migrations", async () => {
    // Whatever the tests above asked for, lite has had its first requests.
    await stack.service.from("prices").select().limit(1);
    const untouched = await cloneDatabase();
    try {
      const privileges = (sql: Sql) => sql`
        select n.nspname || '.' || c.relname as object, c.relacl::text as acl
        from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('public', 'spend', 'spend_private', 'auth') and c.relkind not in ('i', 'I', 'c')
        union all
        select nspname, nspacl::text from pg_catalog.pg_namespace where nspname !~ '^pg_(toast|temp)'
        union all
        select 'default in ' || coalesce(nspname, 'all') || ' of ' || defaclobjtype::text, defaclacl::text
        from pg_catalog.pg_default_acl left join pg_catalog.pg_namespace n on n.oid = defaclnamespace
        order by 1`;
      expect(await privileges(stack.sql)).toEqual(await privileges(untouched.sql));
    } finally {
      await untouched.close();
    }
  });
});

describe("Auth", () => {
  it("signs up, signs in and names the user of a token", async () => {
    const user = await stack.signUp();
    const { data } = await stack.anonymous.auth.getUser(user.jwt);
    expect(data.user?.id).toBe(user.id);
    expect(await stack.sql`select email from auth.users where id = ${user.id}`).toEqual([
      { email: user.email },
    ]);
  });
});

describe("A browser on a page of another origin", () => {
  const origin = "http://localhost:5173";
  const requests: [string, string, string][] = [
    ["signs up", "POST", "/auth/v1/signup"],
    ["asks who it is", "GET", "/auth/v1/user"],
    ["reads a table of schema spend", "GET", "/rest/v1/quota_status"],
    ["changes a row", "PATCH", "/rest/v1/cost_quotas?id=eq.1"],
    ["calls a function of schema spend", "POST", "/rest/v1/rpc/cost_report"],
  ];

  it.each(requests)("%s: the preflight allows its headers", async (_what, method, path) => {
    // As browsers send it: without the profile header itself, which it asks about.
    const headers = "accept-profile,apikey,authorization,content-profile,content-type";
    const response = await fetch(`${stack.url}${path}`, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": method,
        "access-control-request-headers": headers,
      },
    });
    expect(response.status).toBe(204);
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect(response.headers.get("access-control-allow-headers")).toBe(headers);
    expect(response.headers.get("access-control-allow-methods")).toContain(method);
  });

  it.each(requests)("%s: it may read the answer, errors too", async (_what, method, path) => {
    const response = await fetch(`${stack.url}${path}`, {
      method,
      headers: { origin, "content-type": "application/json" },
      ...(method !== "GET" && { body: "{}" }),
    });
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect(response.headers.get("access-control-expose-headers")).toMatch(/content-range/i);
  });
});

describe("The functions", () => {
  it("get the path without /functions/v1, and headers and body as they were sent", async () => {
    const response = await stack.call("/probe/echo/deeper?x=1", {
      json: { hello: "wörld" },
      headers: { "x-custom": "1", "idempotency-key": "k" },
    });
    expect(await response.json()).toMatchObject({
      path: "/probe/echo/deeper?x=1",
      method: "POST",
      headers: { "x-custom": "1", "idempotency-key": "k", apikey: stack.keys.publishable },
      body: '{"hello":"wörld"}',
    });
  });

  it("have the platform's environment and the providers' stand-in, and nothing of ours besides", async () => {
    const env = (await (await stack.call("/probe/env")).json()) as Record<string, string>;
    const providers = stack.services.providers?.url;
    expect(env).toMatchObject({
      SUPABASE_URL: stack.url,
      SUPABASE_ANON_KEY: stack.keys.publishable,
      SUPABASE_SERVICE_ROLE_KEY: stack.keys.secret,
      SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: stack.keys.publishable }),
      SUPABASE_SECRET_KEYS: JSON.stringify({ default: stack.keys.secret }),
      OPENAI_API_KEY: "local",
      OPENAI_BASE_URL: `${providers}/v1`,
      ANTHROPIC_BASE_URL: `${providers}/v1`,
      GOOGLE_GENERATIVE_AI_BASE_URL: `${providers}/v1beta`,
      ENFORCE_COST_QUOTAS: "false",
    });
    expect(Object.keys(env).filter((name) => /VITEST|npm_/i.test(name))).toEqual([]);
  });

  it("stream: the first line is there before the second is written", async () => {
    const response = await stack.call("/probe/stream");
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    expect(response.headers.get("x-kept")).toBe("yes");
    expect((await reader?.read())?.value).toBe("first\n");
    await stack.call("/probe/release");
    expect((await reader?.read())?.value).toBe("second\n");
  });

  it("see that the client has gone", async () => {
    const controller = new AbortController();
    const response = await stack.call("/probe/endless", { signal: controller.signal });
    await response.body?.getReader().read();
    controller.abort();
    await until("the function sees it", () => stack.logs.includes("client has gone"));
  });

  it("answer 500 when they throw, and live on when they leave a rejection behind", async () => {
    expect((await stack.call("/probe/throws")).status).toBe(500);
    expect((await stack.call("/probe/rejects")).status).toBe(200);
    expect((await stack.call("/probe/echo")).status).toBe(200);
  });

  it.each(["/nothing", "/_shared", "/..%2fsetup", "/"])(
    "answer 404 at %s, where there is none",
    async (path) => {
      expect((await stack.call(path)).status).toBe(404);
    },
  );
});

describe("The providers' stand-in", () => {
  const post = (path: string, body: unknown) =>
    fetch(`${stack.services.providers?.url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", "anthropic-version": "2023-06-01" },
      body: JSON.stringify(body),
    });
  const messages = [{ role: "user", content: "twelve chars" }];

  it.each([
    ["OpenAI chat", "/v1/chat/completions", { model: "gpt-4o", messages }, /"prompt_tokens":3,/],
    [
      "OpenAI chat, streamed",
      "/v1/chat/completions",
      { model: "gpt-4o", messages, stream: true, stream_options: { include_usage: true } },
      /"prompt_tokens":3,/,
    ],
    [
      "OpenAI responses, streamed",
      "/v1/responses",
      { model: "gpt-4o", input: [{ role: "user", content: "twelve chars" }], stream: true },
      /"input_tokens":3,/,
    ],
    [
      "Anthropic, streamed",
      "/v1/messages",
      { model: "claude-sonnet-4-5", max_tokens: 100, messages, stream: true },
      /"input_tokens":3,/,
    ],
    [
      "Google, streamed",
      "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
      { contents: [{ role: "user", parts: [{ text: "twelve chars" }] }] },
      /"promptTokenCount":3,/,
    ],
  ])(
    "answers %s with the usage of the question's twelve characters, three tokens",
    async (_name, path, body, usage) => {
      const before = stack.journal().length;
      const response = await post(path, body);
      expect(response.status).toBe(200);
      expect(await response.text()).toMatch(usage);
      expect(stack.journal().length).toBe(before + 1);
    },
  );
});

describe("The stack", () => {
  it("keeps the functions alive when the time that they had to start has passed", async () => {
    const functions = await startFunctions({
      apiUrl: stack.url,
      keys: stack.keys,
      folder: fileURLToPath(new URL("../support/functions", import.meta.url)),
      startSeconds: 4,
    });
    try {
      await sleep(4500);
      const response = await fetch(`http://127.0.0.1:${functions.port}/probe/echo`);
      expect(response.status).toBe(200);
    } finally {
      await functions.stop();
    }
  });

  it("waits for background work when it stops", async () => {
    const own = await startTestStack({
      functionsFolder: fileURLToPath(new URL("../support/functions", import.meta.url)),
    });
    await own.call("/probe/background");
    await own.stop();
    expect(own.logs).toContain("background done");
  });

  it("names a taken port, with the remedy", async () => {
    const { startDatabase } = await import("../../scripts/stack/database.ts");
    const blocker = createServer().listen(0, "127.0.0.1");
    await until("the port is taken", () => blocker.listening);
    const { port } = blocker.address() as { port: number };
    await expect(startDatabase({ port })).rejects.toThrow(
      new RegExp(`Port ${port} \\(PostgreSQL\\) is taken.*lsof -i :${port}`),
    );
    blocker.close();
  });
});
