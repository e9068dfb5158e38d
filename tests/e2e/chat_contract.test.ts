// What a chat guarantees whatever its provider, client and database do. How calls end is in chat_endings.test.ts.
import { DefaultChatTransport, type UIMessageChunk } from "ai";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { say } from "../support/messages.ts";
import {
  answers,
  refuses,
  type Script,
  type ScriptedProvider,
  startScriptedProvider,
} from "../support/provider.ts";
import { callsOf, endedCall, limitTo, verifyBalances } from "../support/spend.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";
import { until } from "../support/until.ts";

let provider: ScriptedProvider;
let stack: TestStack;
let user: TestUser;
let tenant: TestTenant;

beforeAll(async () => {
  provider = await startScriptedProvider();
  stack = await startTestStack({ provider });
});
afterAll(() => stack.stop());
beforeEach(async () => {
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user] });
  provider.plays(answers("Hello", { prompt_tokens: 9, completion_tokens: 1 }));
  provider.journal.length = 0;
});

function chat(body: Record<string, unknown> = say(), init: RequestInit = {}) {
  return stack.call("/chat", { user, json: body, ...init });
}

const ended = () => endedCall(stack.sql, tenant.id);

describe("Usage", () => {
  it("with cached and reasoning tokens is booked as parts of the input and the output", async () => {
    const usage = {
      prompt_tokens: 2000,
      completion_tokens: 300,
      prompt_tokens_details: { cached_tokens: 1500 },
      completion_tokens_details: { reasoning_tokens: 250 },
    };
    provider.plays(answers("Hello", usage));

    await (await chat()).text();

    // 500 fresh × $0.15 + 1,500 cached × $0.075 + 300 × $0.60, a million tokens each.
    const row = await ended();
    expect(row).toMatchObject({ is_estimated: false, actual_cost_usd: "0.000367500000" });
    expect(row.usage).toMatchObject({
      input_tokens: 2000,
      cache_read_tokens: 1500,
      output_tokens: 300,
      reasoning_tokens: 250,
    });
  });

  it.each([
    ["negative", { prompt_tokens: -5, completion_tokens: 3 }],
    ["fractional", { prompt_tokens: 5.5, completion_tokens: 3 }],
    // No prompt is empty.
    ["zero", { prompt_tokens: 0, completion_tokens: 0 }],
  ])("that is %s counts as unknown", async (_, usage) => {
    provider.plays(answers("Hello", usage));

    await (await chat()).text();

    const row = await ended();
    expect(row).toMatchObject({ status: "settled", is_estimated: true });
    expect(row.actual_cost_usd).toBe(row.estimated_cost_usd);
  });
});

describe("A provider that", () => {
  it.each([
    ["hangs up without an answer", (response) => void response.destroy()],
    [
      "answers something that is no JSON",
      (response) =>
        void response.writeHead(200, { "content-type": "application/json" }).end("<html>"),
    ],
  ] as [string, Script][])(
    "%s gives a 502, and the estimate is booked because it may charge",
    async (_, misbehave) => {
      provider.plays(misbehave);

      const response = await chat({ ...say(), stream: false });

      expect(response.status).toBe(502);
      expect(await response.json()).toMatchObject({ error: "upstream_error" });
      expect(await ended()).toMatchObject({ status: "settled", is_estimated: true });
    },
  );
});

describe("A database that", () => {
  it("is slow to hold a call keeps its provider waiting: it is called when the hold is there", async () => {
    let statuses: unknown;
    provider.plays(async (response, request) => {
      statuses = (await callsOf(stack.sql, tenant.id)).map(({ status }) => status);
      await answers("Hello", { prompt_tokens: 9, completion_tokens: 1 })(response, request);
    });
    const blocker = await stack.sql.reserve();
    try {
      await blocker`begin`;
      await blocker`lock table spend.reservations in exclusive mode`;
      const answer = chat();
      await until("the hold waits", async () => {
        const waiting = await stack.sql`
          select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
        return waiting.length > 0;
      });
      await blocker`commit`;
      expect(await (await answer).text()).toContain("Hello");
    } finally {
      blocker.release();
    }
    expect(statuses).toEqual(["held"]);
    expect(provider.journal).toHaveLength(1);
  });

  it("does not answer in time gives a 503, no provider is called, and nothing stays held or is booked", async () => {
    const hasty = await startTestStack({ env: { SPENDGATE_GATE_TIMEOUT_MS: "500" } });
    try {
      const member = await hasty.signUp();
      const { id } = await hasty.createTenant({ members: [member] });
      const blocker = await hasty.sql.reserve();
      await blocker`begin`;
      await blocker`lock table spend.reservations in access exclusive mode`;

      const response = await hasty.call("/chat", {
        user: member,
        json: { ...say(), tenantId: id },
      });
      expect(response.status).toBe(503);
      expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
      expect(hasty.journal()).toHaveLength(0);

      // The reserve that nobody waited for goes on as soon as it can.
      await blocker`commit`;
      blocker.release();
      await until("the late hold has come and gone", async () => {
        const rows = await hasty.sql`select status from spend.reservations where tenant_id = ${id}`;
        return rows.length > 0 && rows.every(({ status }) => status === "released");
      });
      expect(await hasty.sql`select from spend.cost_events where tenant_id = ${id}`).toEqual([]);
    } finally {
      await hasty.stop();
    }
  });

  it("refuses to settle at first is asked again, and the call is booked exactly", async () => {
    await stack.sql.unsafe(`
      create sequence spend_private.failed_settles;
      alter function spend.settle rename to settle_away;
      create function spend.settle(reservation_id uuid, usage jsonb, metadata jsonb default '{}')
      returns spend.settle_result language plpgsql security definer as $$
      begin
        perform nextval('spend_private.failed_settles');
        raise exception using errcode = '55P03', message = 'canceling statement due to lock timeout';
      end $$;
      grant execute on function spend.settle to service_role`);
    try {
      await (await chat()).text();
      await until("settling has failed", async () => {
        const [row] = await stack.sql`select is_called from spend_private.failed_settles`;
        return row?.is_called;
      });
    } finally {
      await stack.sql.unsafe(`
        drop function spend.settle;
        alter function spend.settle_away rename to settle;
        drop sequence spend_private.failed_settles`);
    }
    // 9 × $0.15 + 1 × $0.60, a million tokens each.
    expect(await ended()).toMatchObject({
      status: "settled",
      is_estimated: false,
      actual_cost_usd: "0.000001950000",
    });
  });
});

it("A history that was stopped in the middle of a tool's work can be continued", async () => {
  const response = await chat({
    messages: [
      { id: "1", role: "user", parts: [{ type: "text", text: "Look." }] },
      {
        id: "2",
        role: "assistant",
        parts: [{ type: "tool-look", toolCallId: "a", state: "input-available", input: {} }],
      },
      { id: "3", role: "user", parts: [{ type: "text", text: "And?" }] },
    ],
  });
  expect(response.status).toBe(200);
  await response.text();
  expect(await ended()).toMatchObject({ status: "settled", is_estimated: false });
});

it.each(
  ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5", "google/gemini-2.5-flash"].flatMap((model) =>
    [true, false].map((stream) => [model, stream] as const),
  ),
)(
  "A call of %s that is refused (streamed: %s) sends nothing, and no other model is asked",
  async (model, stream) => {
    await limitTo(stack.sql, tenant.id, 0);
    const response = await chat({ ...say(), model, stream, fallbackModels: ["openai/gpt-4o"] });
    expect(response.status).toBe(429);
    expect(await response.json()).toMatchObject({ error: "quota_exceeded" });
    expect([...provider.journal, ...stack.journal()]).toEqual([]);
    expect(await callsOf(stack.sql, tenant.id)).toEqual([]);
  },
);

describe("useChat's own transport", () => {
  function send() {
    const transport = new DefaultChatTransport({
      api: `${stack.url}/functions/v1/chat`,
      headers: { authorization: `Bearer ${user.jwt}`, apikey: stack.keys.publishable },
    });
    return transport.sendMessages({
      chatId: "conversation",
      messageId: undefined,
      trigger: "submit-message",
      messages: [{ id: "m1", role: "user", parts: [{ type: "text", text: "Hello" }] }],
      abortSignal: undefined,
    });
  }

  it("reads the answer as UI message chunks", async () => {
    const chunks: UIMessageChunk[] = [];
    for await (const chunk of await send()) chunks.push(chunk);
    const types = chunks.map(({ type }) => type);
    expect(types.at(0)).toBe("start");
    expect(types).toContain("text-delta");
    expect(types.at(-1)).toBe("finish");
  });

  it("throws the refusal, so that useChat's onError shows it", async () => {
    await limitTo(stack.sql, tenant.id, 0);
    await expect(send()).rejects.toThrow(/quota_exceeded/);
  });
});

describe("An id that Postgres accepts and RFC 9562 does not, as in many seeds", () => {
  it.each(["body", "header"])("names a tenant in the %s", async (where) => {
    const id =
      where === "body"
        ? "11111111-1111-1111-1111-111111111111"
        : "22222222-2222-2222-2222-222222222222";
    await stack.sql`insert into spend.tenants (id, name) values (${id}, 'Seeded')`;
    await stack.sql`insert into spend.tenant_members (tenant_id, user_id) values (${id}, ${user.id})`;
    const response =
      where === "body"
        ? await chat({ ...say(), tenantId: id })
        : await chat(say(), { headers: { "x-spendgate-tenant": id } });
    expect(response.status).toBe(200);
    await response.text();
    const calls = await stack.sql`select tenant_id from spend.reservations where tenant_id = ${id}`;
    expect(calls).toEqual([{ tenant_id: id }]);
  });
});

describe("Every answer", () => {
  const bodies: [number, () => Record<string, unknown> | Promise<Record<string, unknown>>][] = [
    [200, () => say()],
    [400, () => ({})],
    [403, async () => ({ ...say(), tenantId: (await stack.createTenant()).id })],
    [422, () => ({ ...say(), model: "openai/unheard-of" })],
    [413, () => say("x".repeat(6_000_000))],
    [
      429,
      async () => {
        await limitTo(stack.sql, tenant.id, 0);
        return say();
      },
    ],
    [
      429,
      async () => {
        await limitTo(stack.sql, tenant.id, 0);
        return { ...say(), stream: false };
      },
    ],
    [
      502,
      () => {
        provider.plays(refuses(500));
        return say();
      },
    ],
  ];
  it.each(bodies)("with %i has CORS, and says nothing of what is inside", async (status, body) => {
    const response = await chat(await body());
    expect(response.status).toBe(status);
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect(response.headers.get("access-control-expose-headers")).toContain("retry-after");
    expect(await response.text()).not.toMatch(/\.ts:\d|node_modules|spend_private|stack/);
  });

  it("that refuses for good has no Retry-After, as JSON and as events", async () => {
    await limitTo(stack.sql, tenant.id, 0);
    const asJson = await chat();
    const asStream = await chat(say(), { headers: { accept: "text/event-stream" } });
    expect([asJson.headers.get("retry-after"), asStream.headers.get("retry-after")]).toEqual([
      null,
      null,
    ]);
    const refusal = (await asJson.json()) as { reason: string; retryAfter: number | null };
    expect(refusal).toMatchObject({ reason: "exceeds_limit", retryAfter: null });
    expect(await asStream.text()).toBe(
      `event: error\ndata: ${JSON.stringify(refusal)}\n\nevent: done\ndata: {"status":"quota_exceeded"}\n\n`,
    );
    expect(provider.journal).toHaveLength(0);
  });
});

it("After all of this nothing is held, and the balances equal the ledger", async () => {
  await until("nothing is held", async () => {
    const [row] =
      await stack.sql`select count(*)::int from spend.reservations where status = 'held'`;
    return row?.count === 0;
  });
  expect(await verifyBalances(stack.sql)).toEqual([]);
});
