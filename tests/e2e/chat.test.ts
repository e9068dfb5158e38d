import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { eventsOf, say } from "../support/messages.ts";
import { callsOf, endedCall, limitTo, verifyBalances } from "../support/spend.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";
import { until } from "../support/until.ts";

/** Published prices of gpt-4o-mini, USD per million tokens: https://openai.com/api/pricing */
const INPUT_USD = 0.15;
const OUTPUT_USD = 0.6;

let stack: TestStack;
let user: TestUser;
let tenant: TestTenant;

beforeAll(async () => {
  stack = await startTestStack();
});
afterAll(() => stack.stop());

beforeEach(async () => {
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user] });
  stack.mock.clearRequests();
});

function chat(
  body: Record<string, unknown>,
  options: { user?: TestUser; signal?: AbortSignal } = {},
) {
  return stack.call("/chat", { user: options.user ?? user, json: body, signal: options.signal });
}

/** The stand-in answers `content` with this usage, to prompts that contain `prompt`. */
function answer(
  prompt: string,
  content: string,
  usage: { input: number; output: number },
  options: Record<string, unknown> = {},
) {
  stack.mock.prependFixture({
    match: { userMessage: prompt },
    response: {
      content,
      usage: {
        prompt_tokens: usage.input,
        completion_tokens: usage.output,
        total_tokens: usage.input + usage.output,
      },
    },
    ...options,
  });
}

const reservations = () => callsOf(stack.sql, tenant.id);
const ended = () => endedCall(stack.sql, tenant.id);

/** The text of a UI message stream. */
function textOf(stream: string): string {
  return eventsOf(stream)
    .filter((part) => part.type === "text-delta")
    .map((part) => part.delta)
    .join("");
}

describe("A call that fits the quota", () => {
  it("streams UI messages, and books 1,000 × $0.15 + 500 × $0.60 per million to the last decimal", async () => {
    answer("exact stream", "Hello from the model.", { input: 1000, output: 500 });

    const response = await chat(say("exact stream"));

    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    expect(response.headers.get("x-vercel-ai-ui-message-stream")).toBe("v1");
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect(textOf(await response.text())).toBe("Hello from the model.");
    expect(await ended()).toMatchObject({
      status: "settled",
      is_estimated: false,
      actual_cost_usd: "0.000450000000",
      user_id: user.id,
      task: "chat",
    });
    expect((1000 * INPUT_USD + 500 * OUTPUT_USD) / 1e6).toBeCloseTo(0.00045, 12);
  });

  it("answers JSON when it is asked not to stream", async () => {
    answer("exact json", "Hello.", { input: 7, output: 3 });

    const response = await chat({ ...say("exact json"), stream: false });

    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      text: "Hello.",
      finishReason: "stop",
      model: "openai/gpt-4o-mini",
      steps: 1,
      usage: { inputTokens: 7, outputTokens: 3 },
      calls: [
        {
          reservationId: response.headers.get("x-spendgate-reservation"),
          task: "chat",
          model: "openai/gpt-4o-mini",
          costUsd: "0.00000285",
          isEstimated: false,
        },
      ],
    });
    expect(response.headers.get("x-spendgate-cost-usd")).toBe("0.00000285");
    expect((await ended()).actual_cost_usd).toBe("0.000002850000");
  });

  it.each(["anthropic/claude-sonnet-4-5", "google/gemini-2.5-flash", "gpt-4o"])(
    "is booked for %s by its own prices",
    async (model) => {
      const response = await chat({ ...say("any provider"), model, stream: false });

      expect(response.status).toBe(200);
      const { usage } = (await response.json()) as {
        usage: { inputTokens: number; outputTokens: number };
      };
      expect((await ended()).is_estimated).toBe(false);
      const [event] = await stack.sql`
        select cost_usd, spend_private.price_usage(
          tenant_id, 'llm', spend_private.read_usage('llm', ${stack.sql.json({
            provider: model.includes("/") ? model.split("/")[0] : "openai",
            model: model.split("/").at(-1),
            input_tokens: usage.inputTokens,
            output_tokens: usage.outputTokens,
          })}), now()) as priced
        from spend.cost_events where tenant_id = ${tenant.id}`;
      expect(usage.inputTokens).toBeGreaterThan(0);
      expect(event?.priced).toContain(event?.cost_usd);
    },
  );

  it("takes messages as useChat sends them, and their id as the conversation", async () => {
    const response = await chat({
      id: "conversation-1",
      trigger: "submit-message",
      messages: [{ id: "m1", role: "user", parts: [{ type: "text", text: "as useChat" }] }],
    });

    expect(response.status).toBe(200);
    await response.text();
    const [row] = await stack.sql`
      select conversation_id from spend.reservations where tenant_id = ${tenant.id}`;
    expect(row?.conversation_id).toBe("conversation-1");
  });

  it("has an upper bound held while the provider answers, and nothing after", async () => {
    answer("slow answer", "Slow.", { input: 5, output: 1 }, { latency: 300 });

    const response = chat(say("slow answer"));
    const held = await until("a reservation is held", async () => (await reservations())[0]);
    expect(held.status).toBe("held");
    expect(Number(held.estimated_cost_usd)).toBeGreaterThan((4096 * OUTPUT_USD) / 1e6);

    await (await response).text();
    await ended();
    const [quota] = await stack.sql`
      select reserved_usd::float8, spent_usd::float8 from spend.quota_status
      where tenant_id = ${tenant.id} and resource_type = 'llm'`;
    expect(quota).toMatchObject({ reserved_usd: 0 });
  });
});

it.each([true, false])(
  "An answer warns in whole cents of a quota at its threshold (stream: %s)",
  async (stream) => {
    await limitTo(stack.sql, tenant.id, 1);
    await stack.service.rpc("adjust", { tenant_id: tenant.id, amount_usd: 0.85, reason: "spent" });
    const response = await chat({ ...say(), stream });
    await response.text();
    expect(response.headers.get("ratelimit-policy")).toBe(
      '"tenant-llm-month";q=100;qu="usd-cents"',
    );
    // $1 less $0.85 less what this call holds.
    expect(response.headers.get("ratelimit")).toMatch(/^"tenant-llm-month";r=14;t=\d+$/);
  },
);

describe("The estimate of a call", () => {
  async function held(body: Record<string, unknown>) {
    await (await chat({ ...body, stream: false })).text();
    const [row] = await stack.sql`
      select (usage_estimate ->> 'input_tokens')::int as input,
        (usage_estimate ->> 'output_tokens')::int as output
      from spend.reservations where tenant_id = ${tenant.id} order by created_at desc limit 1`;
    return row as { input: number; output: number };
  }

  it("is bounded by the model's own limit before it is priced", async () => {
    expect(await held({ ...say(), maxOutputTokens: 1_000_000 })).toMatchObject({
      output: 16_384,
    });
    const sent = stack.journal()[0]?.body as {
      max_tokens?: number;
      max_completion_tokens?: number;
    };
    expect(sent.max_tokens ?? sent.max_completion_tokens).toBe(16_384);
  });

  it("has an allowance for each image, whatever its bytes", async () => {
    const image = {
      type: "file",
      mediaType: "image/png",
      url: "data:image/png;base64,iVBORw0KGgo=",
    };
    const ask = (parts: object[]) => ({
      messages: [{ id: "1", role: "user", parts }],
      model: "gpt-4o",
    });
    const text = { type: "text", text: "What is this?" };
    const [without, one, two] = [
      await held(ask([text])),
      await held(ask([text, image])),
      await held(ask([text, image, image])),
    ];
    expect(one.input - without.input).toBeGreaterThanOrEqual(5000);
    expect(one.input - without.input).toBeLessThan(5500);
    expect(two.input - one.input).toBe(one.input - without.input);
  });
});

describe("A call that does not fit the quota", () => {
  it("gets a 429 with the quota that refused when it does not stream, and only another tenant's call reaches the provider", async () => {
    await limitTo(stack.sql, tenant.id, 0.001);
    const other = await stack.signUp();
    await stack.createTenant({ members: [other] });

    const response = await chat({ ...say(), stream: false });

    expect(response.status).toBe(429);
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    const body = await response.json();
    expect(body).toEqual({
      error: "quota_exceeded",
      message: expect.stringContaining("tenant quota of $0.001 per month for llm"),
      resourceType: "llm",
      reason: "exceeds_limit",
      quotaDetails: {
        scope: "tenant",
        scopeId: tenant.id,
        resourceType: "llm",
        limitUsd: 0.001,
        currentSpendUsd: 0,
        estimatedCostUsd: expect.any(Number),
        remainingUsd: 0.001,
        period: "month",
        utilizationPercent: 0,
      },
      retryAfter: null,
    });
    expect(stack.journal()).toHaveLength(0);
    expect((await chat({ ...say(), stream: false }, { user: other })).status).toBe(200);
    expect(stack.journal()).toHaveLength(1);
  });

  it("leaves a line in the log with who was refused, which quota and why, and no word of the prompt", async () => {
    await limitTo(stack.sql, tenant.id, 0.001);
    const [quota] = await stack.sql`
      select id::int from spend.cost_quotas
      where tenant_id = ${tenant.id} and scope = 'tenant' and resource_type = 'llm' and period = 'month'`;
    stack.logs.length = 0;

    expect((await chat({ ...say("whispered words"), task: "agent:clock" })).status).toBe(429);

    const line = await until("the refusal is logged", () =>
      stack.logs.find((logged) => logged.includes('"refused"')),
    );
    expect(JSON.parse(line.slice(line.indexOf("{")))).toMatchObject({
      event: "llm_call",
      outcome: "refused",
      reason: "exceeds_limit",
      tenantId: tenant.id,
      userId: user.id,
      quotaId: quota?.id,
      task: "agent:clock",
      model: "openai/gpt-4o-mini",
    });
    expect(stack.logs.join()).not.toContain("whispered");
  });

  it("gets a 429 as events, with Retry-After, from a client that reads nothing but events", async () => {
    await limitTo(stack.sql, tenant.id, 0.01);
    await stack.sql`select spend.adjust(${tenant.id}, 0.01, 'used up')`;

    const response = await stack.call("/chat", {
      user,
      json: say(),
      headers: { accept: "text/event-stream" },
    });

    expect(response.status).toBe(429);
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
    const [error, done] = (await response.text()).trim().split("\n\n");
    expect(error).toMatch(/^event: error\ndata: {"error":"quota_exceeded"/);
    expect(JSON.parse(error?.split("data: ")[1] as string)).toMatchObject({
      reason: "limit_reached",
      retryAfter: Number(response.headers.get("retry-after")),
      quotaDetails: { utilizationPercent: 100, currentSpendUsd: 0.01 },
    });
    expect(done).toBe('event: done\ndata: {"status":"quota_exceeded"}');
    expect(stack.journal()).toHaveLength(0);
  });

  it("is admitted with ENFORCE_COST_QUOTAS=false, and booked", async () => {
    const lenient = await startTestStack({ env: { ENFORCE_COST_QUOTAS: "false" } });
    try {
      const member = await lenient.signUp();
      const { id } = await lenient.createTenant({ members: [member] });
      await lenient.sql`update spend.cost_quotas set limit_usd = 0 where tenant_id = ${id}`;

      const response = await lenient.call("/chat", { user: member, json: say() });

      expect(response.status).toBe(200);
      await response.text();
      await until("the cost is booked", async () => {
        const [row] = await lenient.sql`select from spend.cost_events where tenant_id = ${id}`;
        return row;
      });
    } finally {
      await lenient.stop();
    }
  });
});

describe("A request that is wrong", () => {
  it.each([
    ["no messages", {}, "messages"],
    ["an unknown field", { ...say(), temperatur: 1 }, "temperatur"],
    ["a role that there is not", { messages: [{ role: "god", content: "x" }] }, "messages.0.role"],
    ["an absurd output", { ...say(), maxOutputTokens: 1e9 }, "maxOutputTokens"],
    ["a provider that there is not", { ...say(), model: "nobody/model" }, "model"],
  ])("with %s gets a 400 with what is wrong", async (_, body, path) => {
    const response = await chat(body);

    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: "invalid_request",
      issues: expect.arrayContaining([expect.objectContaining({ path })]),
    });
    expect(stack.journal()).toHaveLength(0);
  });

  it("with more messages than a conversation may have gets a 400", async () => {
    const messages = Array.from({ length: 501 }, () => ({ role: "user", content: "x" }));
    const response = await chat({ messages });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ issues: [{ path: "messages" }] });
  });

  it.each([
    ["a file at an address", "application/pdf", "https://example.com/a.pdf", "messages.0"],
    [
      "a file that is not encrypted on its way",
      "image/png",
      "http://example.com/a.png",
      "messages.0",
    ],
    ["a film", "video/mp4", "data:video/mp4;base64,AAAA", "messages"],
  ])("with %s, whose cost has no bound, gets a 400", async (_, mediaType, url, path) => {
    const parts = [{ type: "file", mediaType, url }];
    const response = await chat({ messages: [{ id: "1", role: "user", parts }] });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ issues: [{ path }] });
    expect(stack.journal()).toHaveLength(0);
  });

  it("with a body that is not JSON gets a 400", async () => {
    const response = await stack.call("/chat", { user, method: "POST", body: "{" });
    expect(response.status).toBe(400);
  });

  it("with a body of two megabytes gets a 413", async () => {
    const response = await chat(say("x".repeat(2_000_000)));
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ error: "request_too_large" });
  });

  it.each([
    ["no token", undefined],
    ["no JWT", "nonsense"],
    ["the publishable key", "publishable"],
    [
      "alg none",
      `${btoa('{"alg":"none","typ":"JWT"}')}.${btoa(
        '{"sub":"00000000-0000-4000-8000-000000000000","role":"authenticated","exp":9999999999}',
      )}.`.replaceAll("=", ""),
    ],
  ])("with %s gets a 401", async (_, token) => {
    const bearer = token === "publishable" ? stack.keys.publishable : token;
    const response = await stack.call("/chat", {
      json: say(),
      headers: bearer ? { authorization: `Bearer ${bearer}` } : {},
    });
    expect(response.status).toBe(401);
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect(await response.json()).toMatchObject({ error: "unauthorized" });
  });

  it("with another tenant's id gets a 403, and the provider is not called", async () => {
    const other = await stack.createTenant();
    const response = await chat({ ...say(), tenantId: other.id });
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ error: "not_a_member" });
    expect(stack.journal()).toHaveLength(0);
  });

  it("that names no tenant gets a 400 from a user who is in two, and a 200 with the name", async () => {
    await stack.createTenant({ members: [user] });
    expect((await chat(say())).status).toBe(400);
    expect((await chat({ ...say(), tenantId: tenant.id, stream: false })).status).toBe(200);
  });

  it("with a model without a price gets a 422, and the provider is not called", async () => {
    const response = await chat({ ...say(), model: "openai/unheard-of" });
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({ error: "unpriced_product" });
    expect(stack.journal()).toHaveLength(0);
  });

  it("of a closed tenant gets a 403 tenant_closed", async () => {
    await stack.sql`update spend.tenants set closed_at = now() where id = ${tenant.id}`;
    const response = await chat(say());
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ error: "tenant_closed" });
  });

  it("by OPTIONS, a preflight, is answered", async () => {
    const response = await stack.call("/chat", { method: "OPTIONS" });
    expect(response.status).toBe(204);
    expect(response.headers.get("access-control-allow-headers")).toContain("authorization");
  });

  it("by GET gets a 405", async () => {
    expect((await stack.call("/chat", { user })).status).toBe(405);
  });
});

describe("A provider that fails", () => {
  it.each([true, false])(
    "before its first token gives a 502, and the hold is released (stream: %s)",
    async (stream) => {
      stack.mock.nextRequestError(500, { message: "overloaded" });

      const response = await chat({ ...say(), stream });

      expect(response.status).toBe(502);
      expect(await response.json()).toMatchObject({
        error: "upstream_error",
        upstream: { status: 500 },
      });
      expect(await ended()).toMatchObject({
        status: "released",
        actual_cost_usd: "0.000000000000",
      });
      expect(stack.journal()).toHaveLength(1);
    },
  );

  it("in the middle of a stream ends it with an error, and the estimate is booked and marked as estimated", async () => {
    answer(
      "cut off",
      "word ".repeat(40),
      { input: 5, output: 40 },
      {
        truncateAfterChunks: 8,
        streamingProfile: { ttft: 10, tps: 50 },
      },
    );

    const response = await chat(say("cut off"));
    const body = await response.text().catch(() => "");

    expect(response.status).toBe(200);
    expect(textOf(body)).toContain("word");
    const row = await ended();
    expect(row).toMatchObject({ status: "settled", is_estimated: true });
    expect(row.actual_cost_usd).toBe(row.estimated_cost_usd);
  });
});

describe("A client that goes away", () => {
  it("in the middle of a stream leaves the provider read to its end, and its real usage booked", async () => {
    answer(
      "long answer",
      "word ".repeat(200),
      { input: 11, output: 200 },
      { streamingProfile: { ttft: 10, tps: 100 } },
    );
    const controller = new AbortController();

    const response = await chat(say("long answer"), { signal: controller.signal });
    const reader = response.body?.getReader();
    await reader?.read();
    controller.abort();

    expect(await ended()).toMatchObject({
      status: "settled",
      is_estimated: false,
      actual_cost_usd: "0.000121650000",
    });
  });
});

describe("A gate that cannot answer", () => {
  it("gives a 503 with Retry-After, and the provider is not called", async () => {
    await stack.sql`alter function spend.reserve rename to reserve_away`;
    try {
      const response = await chat(say());
      expect(response.status).toBe(503);
      expect(response.headers.get("retry-after")).toBe("5");
      expect(response.headers.get("access-control-allow-origin")).toBe("*");
      expect(await response.json()).toEqual({
        error: "quota_unavailable",
        message: "The quota cannot be checked right now; nothing was spent.",
      });
      expect(stack.journal()).toHaveLength(0);
    } finally {
      await stack.sql`alter function spend.reserve_away rename to reserve`;
    }
  });
});

it("After all of this the balances equal the ledger", async () => {
  expect(await verifyBalances(stack.sql)).toEqual([]);
});
