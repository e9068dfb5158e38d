// Every endpoint × everybody over HTTP, as expected.md says; and tokens that nobody should take, at every endpoint and
// at the Data API.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readConfig } from "../../scripts/stack/schemas.ts";
import { startTestStack, type TestStack, type TestUser } from "../support/stack.ts";
import { until } from "../support/until.ts";
import { ACTORS, type Actor, type Answers, asLine, expected } from "./expected.ts";
import { type Call, REQUESTS } from "./requests.ts";
import { claimsOf, forgeries, sign } from "./tokens.ts";
import { buildWorld, PEOPLE, type Person, type World } from "./world.ts";

let stack: TestStack;
let world: World;
let users: Record<Person, TestUser>;
let sandbox: string;

beforeAll(async () => {
  stack = await startTestStack();
  stack.mock.prependFixture({
    match: { inputText: "Hello", endpoint: "embedding" },
    response: { embedding: [0.5, -0.25] } as never,
  });
  users = {} as Record<Person, TestUser>;
  for (const person of PEOPLE) users[person] = await stack.signUp();
  const ids = Object.fromEntries(PEOPLE.map((person) => [person, users[person].id]));
  world = await buildWorld(stack.sql, ids as Record<Person, string>);
  // What is spent in the world is spent; here, who may call is asked.
  await stack.sql`update spend.cost_quotas set limit_usd = 1000 where tenant_id is not null`;
  const opened = await stack.call("/sandbox", {
    user: users.owner,
    json: { tenantId: world.tenant, conversationId: "the owner's" },
  });
  sandbox = ((await opened.json()) as { id: string }).id;
}, 120_000);
afterAll(() => stack?.stop());

function tokenOf(actor: Actor): string | undefined {
  if (actor === "anon") return undefined;
  return actor === "service" ? stack.keys.secret : users[actor].jwt;
}

function send(
  { method, path, headers, json, body }: Call,
  token: string | undefined,
): Promise<Response> {
  return stack.call(path.replace("(stream)", ""), {
    method,
    json,
    body,
    headers: { ...headers, ...(token !== undefined && { authorization: `Bearer ${token}` }) },
  });
}

/** Everything that a call could leave behind: reservations and events of both tenants, calls of a provider. */
async function traces() {
  const [row] = await stack.sql`
    select (select count(*) from spend.reservations)::int as reservations,
      (select count(*) from spend.cost_events)::int as events`;
  return { ...row, calls: stack.journal().length };
}

async function reservationsOf(tenant: string, user: string | null): Promise<number> {
  const [row] = await stack.sql`
    select count(*)::int as count from spend.reservations
    where tenant_id = ${tenant} and user_id is not distinct from ${user}`;
  return row?.count as number;
}

async function untilNothingIsHeld(): Promise<void> {
  await until("every call of the endpoints is booked", async () => {
    const [row] = await stack.sql`
      select count(*)::int as held from spend.reservations
      where status = 'held' and resource_type = 'llm' and provider <> 'test'`;
    return row?.held === 0;
  });
}

describe("The endpoints", () => {
  it("are all in expected.md: each function of config.toml has a line, and each line a request", async () => {
    const { functions } = (await readConfig()) as { functions?: Record<string, unknown> };
    const named = [...expected("Endpoints").keys()];
    const missing = Object.keys(functions ?? {}).filter(
      (name) => !named.some((key) => new RegExp(` /${name}(/|\\(| )`).test(key)),
    );
    expect(missing, "add them to expected.md and requests.ts").toEqual([]);
    expect(Object.keys(REQUESTS)).toEqual(named);
  });

  it("answer everybody who asks for our tenant as expected.md says: who is let in pays from it, and nobody else from any", async () => {
    const found: string[] = [];
    for (const [key, { call, reserves }] of Object.entries(REQUESTS)) {
      const answers = {} as Answers;
      for (const actor of ACTORS) {
        const before = await traces();
        const user = actor === "anon" || actor === "service" ? null : world.users[actor];
        const own = await reservationsOf(world.tenant, user);
        const response = await send(call(world.tenant, sandbox), tokenOf(actor));
        const text = await response.text();
        answers[actor] = `${response.status}`;
        expect([key, actor, text.includes(world.other)]).toEqual([key, actor, false]);
        if (response.ok && reserves) {
          expect([key, actor, await reservationsOf(world.tenant, user)]).toEqual([
            key,
            actor,
            own + 1,
          ]);
        } else if (reserves) {
          expect([key, actor, await traces()]).toEqual([key, actor, before]);
        }
        await untilNothingIsHeld();
      }
      found.push(asLine(key, answers));
    }
    expect(found).toEqual([...expected("Endpoints")].map(([key, answers]) => asLine(key, answers)));
  }, 120_000);

  it("show the other tenant's backend no sandbox of ours, and a backend that speaks for a member only the member's", async () => {
    const opened = await stack.call("/sandbox", {
      user: users.owner,
      json: { tenantId: world.tenant, conversationId: "the owner's second" },
    });
    const { id } = (await opened.json()) as { id: string };
    const before = await traces();
    const statusOf = async (key: string, tenant: string, user?: Person) => {
      const request = REQUESTS[key]?.call(tenant, id) as Call;
      const headers = { ...request.headers, ...(user && { "x-spendgate-user": users[user].id }) };
      const response = await send({ ...request, headers }, stack.keys.secret);
      await response.body?.cancel();
      return response.status;
    };
    const run = "POST /sandbox/{id}/run header";
    for (const key of [run, "DELETE /sandbox/{id} header"]) {
      expect([key, await statusOf(key, world.other)]).toEqual([key, 404]);
      expect([key, await statusOf(key, world.other, "other owner")]).toEqual([key, 404]);
      expect([key, await statusOf(key, world.other, "owner")]).toEqual([key, 403]);
      expect([key, await statusOf(key, world.tenant, "other owner")]).toEqual([key, 403]);
      expect([key, await statusOf(key, world.tenant, "member")]).toEqual([key, 404]);
    }
    expect(await traces()).toEqual(before);
    expect(await statusOf(run, world.tenant, "owner")).toBe(200);
    expect(await statusOf(run, world.tenant)).toBe(200);
  });

  it("refuse a body that names our tenant, whatever the header names", async () => {
    const before = await traces();
    const { call } = REQUESTS["POST /chat body"] as (typeof REQUESTS)[string];
    const request = call(world.tenant, sandbox);
    const response = await send(
      { ...request, headers: { "x-spendgate-tenant": world.other } },
      users["other owner"].jwt,
    );
    expect([response.status, ((await response.json()) as { error: string }).error]).toEqual([
      403,
      "not_a_member",
    ]);
    expect(await traces()).toEqual(before);
  });
});

describe("A forged token", () => {
  it("of any kind is refused by every endpoint with 401, reserves nothing and calls no provider", async () => {
    const before = await traces();
    const forged = forgeries(users["other owner"].jwt, stack.keys.jwtSecret, users.owner.id);
    // Signed by the right key, but no user's: the functions speak for signed-in users alone.
    forged["service_role, right key"] = sign({ role: "service_role" }, stack.keys.jwtSecret);
    forged["anon, right key"] = sign({ role: "anon" }, stack.keys.jwtSecret);
    forged["another role in a user's name, right key"] = sign(
      { ...claimsOf(users.owner.jwt), role: "service_role" },
      stack.keys.jwtSecret,
    );
    const taken: unknown[] = [];
    for (const [key, { call }] of Object.entries(REQUESTS)) {
      for (const [attack, token] of Object.entries(forged)) {
        const response = await send(call(world.tenant, sandbox), token);
        await response.body?.cancel();
        if (response.status !== 401) taken.push([key, attack, response.status]);
      }
    }
    expect(taken).toEqual([]);
    expect(await traces()).toEqual(before);
  });

  it("of any kind reads nothing and calls nothing at the Data API", async () => {
    const { keys, url } = stack;
    const before = await traces();
    const forged = forgeries(users["other owner"].jwt, keys.jwtSecret, users.owner.id);
    const targets: [string, RequestInit][] = [
      ["/rest/v1/reservations?select=*", { method: "GET" }],
      [`/rest/v1/tenants?id=eq.${world.tenant}`, { method: "GET" }],
      ["/rest/v1/rpc/verify_balances", { method: "POST", body: "{}" }],
      ["/rest/v1/rpc/cost_report", { method: "POST", body: "{}" }],
      [
        "/rest/v1/rpc/adjust",
        {
          method: "POST",
          body: JSON.stringify({ tenant_id: world.tenant, amount_usd: -1, reason: "forged" }),
        },
      ],
      ["/rest/v1/cost_quotas?scope=eq.user", { method: "PATCH", body: '{"limit_usd": 0}' }],
    ];
    const taken: unknown[] = [];
    for (const [attack, token] of Object.entries(forged)) {
      for (const [path, init] of targets) {
        const response = await fetch(url + path, {
          ...init,
          headers: {
            apikey: keys.publishable,
            authorization: `Bearer ${token}`,
            "content-type": "application/json",
            "accept-profile": "spend",
            "content-profile": "spend",
          },
        });
        const text = await response.text();
        if (response.ok || response.status >= 500 || text.includes(world.tenant)) {
          taken.push([attack, path, response.status, text.slice(0, 100)]);
        }
      }
    }
    expect(taken).toEqual([]);
    expect(await traces()).toEqual(before);
  });

  it("would be noticed: the same requests with the owner's own token are answered", async () => {
    const response = await fetch(`${stack.url}/rest/v1/tenants?id=eq.${world.tenant}`, {
      headers: {
        apikey: stack.keys.publishable,
        authorization: `Bearer ${users.owner.jwt}`,
        "accept-profile": "spend",
      },
    });
    expect([response.status, ((await response.json()) as unknown[]).length]).toEqual([200, 1]);
  });
});
