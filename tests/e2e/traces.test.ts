// One request is one trace: from its caller, through each call of a model and each sandbox, into SQL.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ATTRIBUTES } from "../../functions/_shared/runtime/telemetry/names.ts";
import { read } from "../docs/pages.ts";
import {
  type Collector,
  kindOfSpan,
  type ReceivedSpan,
  startCollector,
} from "../support/collector.ts";
import {
  answers,
  beginStream,
  callsTool,
  type ScriptedProvider,
  startScriptedProvider,
  textChunk,
} from "../support/provider.ts";
import { startServer } from "../support/server.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";
import { until } from "../support/until.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const USAGE = { prompt_tokens: 1000, completion_tokens: 500 };
const HELLO = { messages: [{ role: "user", content: "Hello" }] };

/** As docs/guides/telemetry.md has it. */
const NAME_TRACE = /```sql\n(create function public\.name_trace.*?)```/s.exec(
  read("docs/guides/telemetry.md"),
)?.[1];

let collector: Collector;
let provider: ScriptedProvider;
let stack: TestStack;
let user: TestUser;
let tenant: TestTenant;

beforeAll(async () => {
  collector = await startCollector();
  provider = await startScriptedProvider();
  stack = await startTestStack({
    env: {
      ...collector.env,
      ...provider.env,
      ALERT_ALLOW_PRIVATE_ADDRESSES: "true",
      // What arrives was flushed, not sent in the course of time.
      OTEL_BSP_SCHEDULE_DELAY: "600000",
      SPENDGATE_LOG_LEVEL: "debug",
    },
    prepare: `
      update spend.settings set allow_private_alert_targets = true;
      create table public.seen (reservation_id uuid, headers json, application_name text);
      create function public.see() returns trigger language plpgsql security definer as $$
      begin
        perform public.name_trace();
        insert into public.seen
        select new.id, current_setting('request.headers', true)::json, a.application_name
        from pg_stat_activity as a where a.pid = pg_backend_pid();
        return new;
      end $$;
      ${NAME_TRACE}
      create trigger see after insert on spend.reservations for each row execute function public.see();`,
  });
});
afterAll(async () => {
  await stack?.stop();
  await provider.stop();
  await collector.stop();
});
beforeEach(async () => {
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user], role: "owner" });
  provider.plays(answers("Hello there", USAGE));
});

/** The lines of the log that are of a trace. */
function linesOf(traceId: string): Record<string, unknown>[] {
  const lines = stack.logs.filter((line) => line.includes(traceId));
  return lines.map((line) => JSON.parse(line));
}

let traces = 0;
/** A caller's headers, in a trace of its own. */
function newTrace() {
  const traceId = (++traces).toString(16).padStart(32, "a");
  const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-01`, tracestate: "vendor=one" };
  return { traceId, headers };
}

const spansOf = (traceId: string) => collector.spans.filter((span) => span.traceId === traceId);

/** The tree of a trace, when its request has ended and all of it has arrived. */
async function treeOf(traceId: string, last = "api."): Promise<string> {
  await until(`${last} of ${traceId}`, () =>
    spansOf(traceId).some(({ name }) => name.startsWith(last)),
  );
  let count = -1;
  await until("no more spans arrive", async () => {
    const isQuiet = count === spansOf(traceId).length;
    count = spansOf(traceId).length;
    await new Promise((done) => setTimeout(done, 300));
    return isQuiet;
  });
  return collector.tree(traceId);
}

function named(traceId: string, name: string): ReceivedSpan {
  const span = spansOf(traceId).find((one) => one.name === name);
  if (span === undefined) throw new Error(`there is no span ${name} in ${collector.tree(traceId)}`);
  return span;
}

it.each([true, false])("a chat is one trace (streamed: %s)", async (stream) => {
  const { traceId, headers } = newTrace();
  const response = await stack.call("/chat", { user, headers, json: { ...HELLO, stream } });
  expect(response.status).toBe(200);
  await response.text();

  expect(await treeOf(traceId)).toBe(
    `
api.chat
  authenticate
  quota.reserve
    spend.reserve
  chat gpt-4o-mini
  cost.settle
    spend.settle`.trim(),
  );
  const request = named(traceId, "api.chat");
  expect(request).toMatchObject({
    kind: 2,
    parentSpanId: "00f067aa0ba902b7",
    traceState: "vendor=one",
  });
  for (const { startedAt, endedAt } of spansOf(traceId)) {
    expect(startedAt).toBeGreaterThanOrEqual(request.startedAt);
    expect(endedAt).toBeGreaterThanOrEqual(startedAt);
  }
  const [event] = await stack.sql`
    select reservation_id, cost_usd from spend.cost_events where tenant_id = ${tenant.id}`;
  expect(named(traceId, "chat gpt-4o-mini")).toMatchObject({ kind: 3, isFailed: false });
  const { "gen_ai.response.time_to_first_chunk": seconds, ...attributes } = named(
    traceId,
    "chat gpt-4o-mini",
  ).attributes;
  expect(attributes).toEqual({
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.request.max_tokens": 4096,
    ...(stream && { "gen_ai.request.stream": true }),
    "gen_ai.response.model": "gpt-4o-mini",
    "gen_ai.response.id": "1",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 500,
    "spendgate.task": "chat",
    "spendgate.tenant.id": tenant.id,
    "spendgate.reservation.id": event?.reservation_id,
    "spendgate.cost_usd": Number(event?.cost_usd),
    "spendgate.is_estimated": false,
    "spendgate.outcome": "settled",
  });
  expect(typeof seconds).toBe(stream ? "number" : "undefined");
});

it.each([true, false])(
  "an agent that runs code, and whose second step is refused, is one trace (streamed: %s)",
  async (stream) => {
    const { traceId, headers } = newTrace();
    const run = callsTool("call_1", "run_code", USAGE, { code: "6 * 7", language: "javascript" });
    provider.plays(async (...call) => {
      await stack.sql`
        update spend.cost_quotas set limit_usd = 0
        where tenant_id = ${tenant.id} and resource_type = 'llm'`;
      await run(...call);
    });
    const response = await stack.call("/chat", {
      user,
      headers,
      json: { ...HELLO, stream, tools: ["run_code"], conversationId: "report", task: "agent:one" },
    });
    expect(await response.text()).toContain("quota_exceeded");

    expect(await treeOf(traceId)).toBe(
      `
api.chat
  authenticate
  agent.step
    quota.reserve
      spend.reserve
    chat gpt-4o-mini
    cost.settle
      spend.settle
    execute_tool run_code
      execution_context.get_or_create
        quota.reserve
          spend.claim_context
        sandbox.create
          spend.confirm_context
      sandbox.run
  agent.step (failed)
    quota.reserve (failed)
      spend.reserve`.trim(),
    );
    expect(named(traceId, "execute_tool run_code").attributes).toEqual({
      "gen_ai.operation.name": "execute_tool",
      "gen_ai.tool.name": "run_code",
      "gen_ai.tool.call.id": "call_1",
    });
    // The trace is the caller's, and goes on in SQL: each hold was made in the span of its call.
    expect(named(traceId, "api.chat")).toMatchObject({
      kind: 2,
      parentSpanId: "00f067aa0ba902b7",
      traceState: "vendor=one",
    });
    const holds = ["spend.reserve", "spend.claim_context"].map(
      (name) => `00-${traceId}-${named(traceId, name).spanId}-01`,
    );
    const seen = await stack.sql`
      select s.headers ->> 'traceparent' as traceparent, s.headers ->> 'tracestate' as tracestate, s.application_name
      from public.seen as s join spend.reservations as r on r.id = s.reservation_id
      where r.tenant_id = ${tenant.id} order by r.resource_type desc`;
    expect([...seen]).toEqual(
      holds.map((traceparent) => ({
        traceparent,
        tracestate: "vendor=one",
        application_name: traceparent,
      })),
    );
    const failed = spansOf(traceId).filter(({ isFailed }) => isFailed);
    expect(failed.map(({ attributes }) => attributes["error.type"])).toEqual([
      "quota_exceeded",
      "quota_exceeded",
    ]);
  },
);

it("compaction, and a fallback of a model that fails, are in the trace of their chat", async () => {
  const { traceId, headers } = newTrace();
  provider.plays(
    answers("A summary", USAGE),
    (response) => void response.writeHead(500).end("{}"),
    answers("Hello", USAGE),
  );
  const long = Array.from({ length: 6 }, (_, index) => ({
    role: index % 2 ? "assistant" : "user",
    content: "word ".repeat(20_000),
  }));
  const response = await stack.call("/chat", {
    user,
    headers,
    json: {
      stream: false,
      messages: [...long, ...HELLO.messages],
      fallbackModels: ["openai/gpt-4.1-nano"],
    },
  });
  expect(response.status).toBe(200);
  expect(await treeOf(traceId)).toBe(
    `
api.chat
  authenticate
  chat.compaction
    quota.reserve
      spend.reserve
    chat gpt-4o-mini
    cost.settle
      spend.settle
  quota.reserve
    spend.reserve
  chat gpt-4o-mini (failed)
  cost.settle
    spend.release
  quota.reserve
    spend.reserve
  chat gpt-4.1-nano
  cost.settle
    spend.settle`.trim(),
  );
});

it("a stream that breaks in its middle is a failed call, with what broke it, on span and duration", async () => {
  const { traceId, headers } = newTrace();
  provider.plays((response) => {
    beginStream(response);
    response.write(textChunk("Hel"));
    setTimeout(() => response.destroy(), 100);
  });
  const response = await stack.call("/chat", { user, headers, json: HELLO });
  await response.text();
  await treeOf(traceId);
  const call = named(traceId, "chat gpt-4o-mini");
  expect(call.isFailed).toBe(true);
  const error = call.attributes["error.type"];
  expect(error).toMatch(/^\w+$/);
  expect(call.attributes["spendgate.stage"]).toBe("stream");
  const durations = collector.series("gen_ai.client.operation.duration");
  expect(
    durations.map(({ attributes }) => [attributes["error.type"], attributes["spendgate.stage"]]),
  ).toContainEqual([error, "stream"]);
  const line = linesOf(traceId).find(({ event }) => event === "llm_call");
  expect(line).toMatchObject({ level: "warn", stage: "stream", task: "chat", userId: user.id });
});

it("a sandbox from its start to its end: each request is a trace, and each stage a span in it", async () => {
  const opening = newTrace();
  const opened = await stack.call("/sandbox", {
    user,
    headers: opening.headers,
    json: { conversationId: "talk" },
  });
  const { id } = (await opened.json()) as { id: string };
  expect(await treeOf(opening.traceId)).toBe(
    `
api.sandbox
  authenticate
  execution_context.get_or_create
    quota.reserve
      spend.claim_context
    sandbox.create
      spend.confirm_context`.trim(),
  );

  const running = newTrace();
  await stack.call(`/sandbox/${id}/run`, {
    user,
    headers: running.headers,
    json: { code: "1", language: "javascript" },
  });
  const ran = await treeOf(running.traceId);
  expect(ran).toContain("execution_context.use\n    quota.reserve\n      spend.use_context");
  expect(ran).toMatch(/\n {2}sandbox\.run$/m);

  const ending = newTrace();
  await stack.call(`/sandbox/${id}`, { user, method: "DELETE", headers: ending.headers });
  expect(await treeOf(ending.traceId)).toBe(
    `
api.sandbox
  authenticate
  spend.find_context
  sandbox.terminate
  cost.settle
    spend.end_context`.trim(),
  );
});

it("what scheduled functions do is one trace each", async () => {
  const { traceId, headers } = newTrace();
  await stack.call("/maintenance", {
    method: "POST",
    headers: { ...headers, apikey: stack.keys.secret },
  });
  const tree = await treeOf(traceId);
  expect(tree).toMatch(
    /^api\.maintenance\n {2}maintenance\.run\n {4}spend\.maintenance_jobs\n {4}maintenance\.job\n {6}spend\.maintain\n/,
  );
  expect(tree).toMatch(/\n {2}sandbox\.reconcile\n {4}spend\.database_time\n/);
});

it("an alert that reaches one channel and fails at another is in the trace of its delivery", async () => {
  await stack.sql`select spend.adjust(${tenant.id}, 45, 'test', 'e2b')`;
  const receiver = await startServer(async (_, response) => void response.writeHead(204).end());
  try {
    for (const [name, target] of [
      ["here", `${receiver.url}/hook`],
      ["nowhere", "http://127.0.0.1:9/nobody"],
    ]) {
      await stack.sql`
        select spend.save_alert_channel(${tenant.id}, 'webhook', ${name as string}, ${target as string})`;
    }
    const { traceId, headers } = newTrace();
    const response = await stack.call("/alerts", {
      method: "POST",
      headers: { ...headers, apikey: stack.keys.secret },
    });
    expect(await response.json()).toEqual({ delivered: 1, failed: 1 });
    const lines = (await treeOf(traceId)).split("\n");
    expect([lines.slice(0, 2), lines.slice(2).sort()]).toEqual([
      ["api.alerts", "  spend.claim_deliveries"],
      [
        "  alert.deliver",
        "  alert.deliver (failed)",
        "  spend.finish_delivery",
        "  spend.finish_delivery",
      ],
    ]);
    const [alert] = await stack.sql`select id from spend.alerts where tenant_id = ${tenant.id}`;
    expect(named(traceId, "alert.deliver")).toMatchObject({
      kind: 3,
      attributes: {
        "spendgate.alert.id": Number(alert?.id),
        "spendgate.alert.kind": "quota_warning",
      },
    });
  } finally {
    await receiver.stop();
    await stack.sql`delete from spend.alert_channels where tenant_id = ${tenant.id}`;
  }
});

it("the trace goes on in SQL: as request.headers and, by the recipe, in pg_stat_activity", async () => {
  const { traceId, headers } = newTrace();
  await (await stack.call("/chat", { user, headers, json: HELLO })).text();
  await treeOf(traceId);
  const call = named(traceId, "spend.reserve");
  const seen = await stack.sql`
    select headers ->> 'traceparent' as traceparent, headers ->> 'tracestate' as tracestate, application_name
    from public.seen
    where reservation_id = ${named(traceId, "chat gpt-4o-mini").attributes["spendgate.reservation.id"] as string}`;
  const traceparent = `00-${traceId}-${call.spanId}-01`;
  expect(seen).toEqual([{ traceparent, tracestate: "vendor=one", application_name: traceparent }]);
});

describe("what is no trace is not taken up", () => {
  it.each([
    ["nothing", ""],
    ["of zeros", `00-${"0".repeat(32)}-00f067aa0ba902b7-01`],
    ["of a span of zeros", `00-${TRACE}-${"0".repeat(16)}-01`],
    ["too short", `00-${TRACE.slice(1)}-00f067aa0ba902b7-01`],
    ["in capitals", `00-${TRACE.toUpperCase()}-00f067aa0ba902b7-01`],
    ["of version ff", `ff-${TRACE}-00f067aa0ba902b7-01`],
    ["of version 00, with more", `00-${TRACE}-00f067aa0ba902b7-01-more`],
    ["a sentence", `${TRACE} please`],
  ])("%s", async (_, traceparent) => {
    const requestId = `req.${Math.random()}`;
    await stack.call("/chat", {
      user,
      json: HELLO,
      headers: { traceparent, tracestate: "vendor=one", "x-request-id": requestId },
    });
    const span = await until("the request's span", () =>
      collector.spans.find(({ attributes }) => attributes["spendgate.request.id"] === requestId),
    );
    expect(span.parentSpanId).toBeUndefined();
    expect(span.traceId).not.toBe(TRACE);
    expect(span.traceState).toBeUndefined();
  });

  it("and one of a later version is", async () => {
    const { traceId } = newTrace();
    await stack.call("/chat", {
      user,
      json: HELLO,
      headers: { traceparent: `01-${traceId}-00f067aa0ba902b7-01-more` },
    });
    expect(await treeOf(traceId)).toContain("api.chat");
  });
});

it("a refusal is sent, and logged once, with its trace, request, function, tenant, user and task", async () => {
  const { traceId, headers } = newTrace();
  await stack.sql`update spend.cost_quotas set limit_usd = 0 where tenant_id = ${tenant.id}`;
  for (const path of ["/chat", "/sandbox"]) {
    const json = path === "/chat" ? HELLO : { conversationId: "talk" };
    const response = await stack.call(path, { user, headers, json });
    expect(response.status).toBe(429);
  }
  await until("both requests", () => {
    const names = spansOf(traceId).map(({ name }) => name);
    return names.includes("api.chat") && names.includes("api.sandbox");
  });
  const [answered, lines] = [true, false].map((isAnswer) =>
    linesOf(traceId).filter(({ event }) => (event === "request") === isAnswer),
  ) as [Record<string, unknown>[], Record<string, unknown>[]];
  expect(answered).toMatchObject([
    { level: "debug", function: "chat", method: "POST", status: 429 },
    { level: "debug", function: "sandbox", method: "POST", status: 429 },
  ]);
  expect(lines).toMatchObject([
    { event: "llm_call", outcome: "refused", function: "chat", task: "chat" },
    { event: "sandbox", outcome: "refused", function: "sandbox", task: "sandbox" },
  ]);
  for (const line of lines) {
    expect(line).toMatchObject({
      level: "info",
      requestId: expect.stringMatching(/./),
      tenantId: tenant.id,
      userId: user.id,
      stage: "quota_check",
    });
  }
});

it("a call that is admitted near a limit is logged as a warning", async () => {
  await stack.sql`
    update spend.cost_quotas set limit_usd = 0.003
    where tenant_id = ${tenant.id} and resource_type = 'llm' and scope = 'tenant'`;
  await (await stack.call("/chat", { user, json: HELLO })).text();
  const line = await until("the warning", () =>
    stack.logs.find((text) => text.includes("quota_warning") && text.includes(tenant.id)),
  );
  expect(JSON.parse(line)).toMatchObject({
    level: "info",
    userId: user.id,
    scope: expect.stringMatching(/./),
    utilizationPercent: expect.any(Number),
  });
});

it("every span and attribute that came is one of the table", () => {
  const known = new Set<string>(Object.values(ATTRIBUTES));
  const unknown = collector.spans.flatMap(({ name, attributes }) => [
    ...(kindOfSpan(name) === undefined ? [name] : []),
    ...Object.keys(attributes).filter((attribute) => !known.has(attribute)),
  ]);
  expect(unknown).toEqual([]);
  expect(new Set(collector.spans.map(({ resource }) => resource["service.name"]))).toEqual(
    new Set(["spendgate"]),
  );
});
