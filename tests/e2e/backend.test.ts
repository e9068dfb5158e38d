// A backend calls with the secret key: for a tenant, and for a user of it or for none.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";
import { until } from "../support/until.ts";

let stack: TestStack;
let user: TestUser;
let tenant: TestTenant;
let other: TestTenant;
let stranger: TestUser;

beforeAll(async () => {
  stack = await startTestStack();
  stack.mock.prependFixture({
    match: { inputText: "Hello", endpoint: "embedding" },
    response: { embedding: [0.5, -0.25] } as never,
  });
});
afterAll(() => stack.stop());
beforeEach(async () => {
  user = await stack.signUp();
  stranger = await stack.signUp();
  tenant = await stack.createTenant({ members: [user] });
  other = await stack.createTenant({ members: [stranger] });
});

const messages = [{ role: "user", content: "Hello" }];
const CHAT: [string, object] = ["/chat", { stream: false, messages }];
/** What a user may call, and what it is booked as. */
const CALLS: [string, object, string][] = [
  [...CHAT, "chat"],
  ["/chat", { messages }, "chat"],
  ["/openai/chat/completions", { model: "openai/gpt-4o-mini", messages }, "chat"],
  ["/openai/embeddings", { model: "openai/text-embedding-3-small", input: "Hello" }, "embeddings"],
  ["/example", { text: "Quotas in Postgres are exact." }, "title"],
];

/** Calls with the secret key, as OpenAI's clients send a key. */
const send = ([path, json]: [string, object], headers: Record<string, string> = {}) =>
  stack.call(path, { json, headers: { authorization: `Bearer ${stack.keys.secret}`, ...headers } });

async function answerOf(call: Promise<Response>) {
  const response = await call;
  return [response.status, await response.json()];
}

/** What was booked for a tenant, by whom. */
const bookings = async ({ id }: TestTenant) => [
  ...(await stack.sql`
    select user_id, task from spend.cost_events where tenant_id = ${id} order by booked_at, task`),
];
const booked = (count: number) =>
  until(`${count} calls are booked`, async () => {
    const rows = await bookings(tenant);
    return rows.length === count ? rows : undefined;
  });
const reservations = async () => {
  const [row] = await stack.sql`select count(*)::int as count from spend.reservations`;
  return row?.count;
};

describe("A backend with the secret key", () => {
  it("calls each endpoint for a tenant, and for no user of it", async () => {
    for (const [path, json] of CALLS) {
      const response = await send([path, json], { "x-spendgate-tenant": tenant.id });
      expect([path, response.status, await response.text()]).toEqual([
        path,
        200,
        expect.any(String),
      ]);
    }
    expect(await booked(CALLS.length)).toEqual(
      CALLS.map(([, , task]) => ({ user_id: null, task })),
    );
  });

  it("calls each endpoint for a user, whose quota counts", async () => {
    const headers = { "x-spendgate-tenant": tenant.id, "x-spendgate-user": user.id };
    for (const [path, json] of CALLS) {
      const response = await send([path, json], headers);
      expect([path, response.status, await response.text()]).toEqual([
        path,
        200,
        expect.any(String),
      ]);
    }
    expect(await booked(CALLS.length)).toEqual(
      CALLS.map(([, , task]) => ({ user_id: user.id, task })),
    );
    await stack.sql`
      insert into spend.cost_quotas (tenant_id, scope, scope_id, resource_type, period, limit_usd)
      values (${tenant.id}, 'user', ${user.id}, 'llm', 'lifetime', 0)`;
    expect((await send(CHAT, headers)).status).toBe(429);
    expect((await send(CHAT, { "x-spendgate-tenant": tenant.id })).status).toBe(200);
  });

  it("may send the key as apikey; beside a user's JWT it is the user who calls", async () => {
    const apikey = { apikey: stack.keys.secret };
    const [path, json] = CHAT;
    const headers = { ...apikey, "x-spendgate-tenant": tenant.id };
    expect((await stack.call(path, { json, headers })).status).toBe(200);
    expect((await stack.call(path, { json, headers: apikey, user })).status).toBe(200);
    expect((await stack.call(path, { json, headers, user: stranger })).status).toBe(403);
    expect((await booked(2)).map(({ user_id }) => user_id)).toEqual([null, user.id]);
  });

  it("has to name the tenant in the header: 400 says so, a body is not enough, and must not name another", async () => {
    const before = await reservations();
    for (const [path, json] of CALLS) {
      const named = path === "/chat" ? { ...json, tenantId: tenant.id } : json;
      const response = await send([path, named]);
      const text = await response.text();
      expect([path, response.status, text]).toEqual([
        path,
        400,
        expect.stringContaining(
          "x-spendgate-tenant: The secret key belongs to no tenant: name the one that pays.",
        ),
      ]);
    }
    const json = { ...CHAT[1], tenantId: other.id };
    expect(
      await answerOf(send(["/chat", json], { "x-spendgate-tenant": tenant.id })),
    ).toMatchObject([400, { error: "invalid_request", issues: [{ path: "tenantId" }] }]);
    expect(await answerOf(send(CHAT, { "x-spendgate-tenant": "Acme" }))).toMatchObject([
      400,
      { error: "invalid_request", issues: [{ path: "x-spendgate-tenant" }] },
    ]);
    expect(await reservations()).toBe(before);
    const same = { ...CHAT[1], tenantId: tenant.id.toUpperCase() };
    expect((await send(["/chat", same], { "x-spendgate-tenant": tenant.id })).status).toBe(200);
  });

  it("gets 403 for a user of another tenant, for nobody, and for a tenant that is none", async () => {
    const before = await reservations();
    for (const [tenantId, userId] of [
      [tenant.id, stranger.id],
      [tenant.id, randomUUID()],
      [randomUUID(), user.id],
      [randomUUID(), undefined],
    ]) {
      const headers = {
        "x-spendgate-tenant": tenantId as string,
        ...(userId && { "x-spendgate-user": userId }),
      };
      expect(await answerOf(send(CHAT, headers))).toMatchObject([403, { error: "not_a_member" }]);
      if (!userId) continue;
      const models = await stack.call("/openai/models", {
        headers: { ...headers, authorization: `Bearer ${stack.keys.secret}` },
      });
      expect([models.status, await models.json()]).toMatchObject([
        403,
        { error: { code: "not_a_member" } },
      ]);
    }
    expect(await reservations()).toBe(before);
  });

  it("in a browser gets 401: whoever opens the page could read the key", async () => {
    const before = await reservations();
    const headers = { "x-spendgate-tenant": tenant.id, origin: "https://app.example.com" };
    expect(await answerOf(send(CHAT, headers))).toEqual([
      401,
      {
        error: "unauthorized",
        message: "The secret key is not for browsers. Replace it, and send the user's JWT.",
      },
    ]);
    expect(await reservations()).toBe(before);
  });

  it("opens, uses and ends a sandbox for the tenant, which no member sees but its owner", async () => {
    const owner = await stack.signUp();
    await stack.sql`
      insert into spend.tenant_members (tenant_id, user_id, role)
      values (${tenant.id}, ${owner.id}, 'owner')`;
    const headers = { "x-spendgate-tenant": tenant.id };
    const opened = await send(["/sandbox", { conversationId: "nightly" }], headers);
    expect(opened.status).toBe(201);
    const { id } = (await opened.json()) as { id: string };
    const run: [string, object] = [
      `/sandbox/${id}/run`,
      { code: "console.log(6 * 7)", language: "javascript" },
    ];
    expect(await answerOf(send(run, headers))).toMatchObject([200, { stdout: "42\n" }]);
    const asUser = (who: TestUser) => stack.call(run[0], { user: who, json: run[1] });
    expect((await asUser(user)).status).toBe(404);
    expect((await asUser(owner)).status).toBe(200);
    const end = (tenantId: string) =>
      stack.call(`/sandbox/${id}`, {
        method: "DELETE",
        headers: {
          authorization: `Bearer ${stack.keys.secret}`,
          "x-spendgate-tenant": tenantId,
        },
      });
    expect((await end(other.id)).status).toBe(404);
    expect((await end(tenant.id)).status).toBe(200);
    expect(await booked(1)).toEqual([{ user_id: null, task: "sandbox" }]);
  });
});

it("A user who names another in x-spendgate-user calls as who they are", async () => {
  const [path, json] = CHAT;
  const headers = { "x-spendgate-user": stranger.id, "x-spendgate-tenant": tenant.id };
  expect((await stack.call(path, { user, json, headers })).status).toBe(200);
  expect(await booked(1)).toEqual([{ user_id: user.id, task: "chat" }]);
  headers["x-spendgate-tenant"] = other.id;
  expect((await stack.call(path, { user, json, headers })).status).toBe(403);
});
