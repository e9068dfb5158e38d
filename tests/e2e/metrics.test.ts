// Metrics add up: over all workers, to what the ledger says; and none is sent that the table does not have.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  ATTRIBUTES,
  GAUGES,
  METRICS,
  type Metric,
  TOTALS,
} from "../../functions/_shared/runtime/telemetry/names.ts";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { type Services, startServices } from "../../scripts/stack/stack.ts";
import { type Collector, startCollector } from "../support/collector.ts";
import { answers, type ScriptedProvider, startScriptedProvider } from "../support/provider.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";
import { until } from "../support/until.ts";

const ALL: Metric[] = [METRICS, GAUGES, TOTALS].flatMap((table) => Object.values<Metric>(table));
const HELLO = { messages: [{ role: "user", content: "Hello" }] };

let collector: Collector;
let provider: ScriptedProvider;
let stack: TestStack;
let second: Services;
let user: TestUser;
let tenant: TestTenant;

beforeAll(async () => {
  collector = await startCollector();
  provider = await startScriptedProvider();
  const env = {
    ...collector.env,
    ...provider.env,
    ALERT_WEBHOOK_URL: "http://127.0.0.1:9/nobody",
    OTEL_SERVICE_NAME: "gate",
    OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test",
    OTEL_EXPORTER_OTLP_HEADERS: "x-collector-key=one",
  };
  stack = await startTestStack({ env });
  second = await startServices({
    databaseUrl: stack.database.url,
    keys: stack.keys,
    env: { ...env, ...sameSandboxes() },
    onLog: (line) => stack.logs.push(line),
  });
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user], role: "owner" });
});
afterAll(async () => {
  await second?.stop();
  await stack?.stop();
  await provider.stop();
  await collector.stop();
});

/** All workers have one account of E2B: with one of its own, a worker would find the others' sandboxes lost. */
function sameSandboxes() {
  const { url } = stack.sandboxes;
  return { E2B_API_URL: url, E2B_SANDBOX_URL: url };
}

/** A call of one of the two workers. */
function call(worker: number, path: string, json: unknown, as = user): Promise<Response> {
  return fetch(`${worker % 2 ? second.url : stack.url}/functions/v1${path}`, {
    method: "POST",
    body: JSON.stringify(json),
    headers: {
      apikey: stack.keys.publishable,
      authorization: `Bearer ${as.jwt}`,
      "content-type": "application/json",
    },
  });
}

const schedule = (name: string) =>
  stack.call(`/${name}`, { method: "POST", headers: { apikey: stack.keys.secret } });

it("two workers, 200 mixed calls: the sums of cost and tokens are the ledger's, those of refusals the calls'", async () => {
  const poor = await stack.signUp();
  const none = await stack.createTenant({ members: [poor] });
  await stack.sql`update spend.cost_quotas set limit_usd = 0 where tenant_id = ${none.id}`;
  let usage = 0;
  provider.plays((response, request) =>
    answers("Hello there", {
      prompt_tokens: 100 + (usage++ % 7),
      completion_tokens: 10 + (usage % 5),
    })(response, request),
  );
  const kinds: [path: string, json: object, as: TestUser, status: number][] = [
    ["/chat", { ...HELLO, stream: false }, user, 200],
    ["/chat", HELLO, user, 200],
    ["/openai/v1/chat/completions", { ...HELLO, model: "gpt-4o" }, user, 200],
    ["/openai/v1/chat/completions", { ...HELLO, model: "gpt-4o-mini", stream: true }, user, 200],
    ["/chat", HELLO, poor, 429],
  ];
  const left = Array.from({ length: 200 }, (_, index) => index);
  await Promise.all(
    Array.from({ length: 6 }, async () => {
      for (let index = left.shift(); index !== undefined; index = left.shift()) {
        const [path, json, as, status] = kinds[index % kinds.length] as (typeof kinds)[number];
        const response = await call(Math.floor(index / kinds.length), path, json, as);
        expect([path, response.status]).toEqual([path, status]);
        await response.text();
      }
    }),
  );
  const [ledger] = await until("all calls are on the books", async () => {
    const rows = await stack.sql`
      select count(*)::int as calls, sum(cost_usd)::float8 as cost,
        sum((usage ->> 'input_tokens')::int)::int as input,
        sum((usage ->> 'output_tokens')::int)::int as output
      from spend.cost_events where tenant_id = ${tenant.id}`;
    return rows[0]?.calls === 160 ? rows : undefined;
  });
  await until(
    "all metrics have arrived",
    () => Math.abs(collector.sum("spendgate.cost") - ledger?.cost) < 1e-9,
  );
  const tokens = (type: string) =>
    collector.sum("gen_ai.client.token.usage", { "gen_ai.token.type": type });
  expect([tokens("input"), tokens("output")]).toEqual([ledger?.input, ledger?.output]);
  expect(collector.sum("spendgate.refusals")).toBe(40);
  expect(collector.series("spendgate.refusals")[0]?.attributes).toEqual({
    "spendgate.resource_type": "llm",
    "spendgate.refusal.reason": "exceeds_limit",
    "spendgate.quota.scope": "tenant",
  });
  const workers = collector
    .series("spendgate.cost")
    .map(({ resource }) => resource["service.instance.id"]);
  expect(new Set(workers).size).toBe(2);
});

it("sandboxes, alerts, failures to settle and the state that all share are measured", async () => {
  const opened = await call(0, "/sandbox", { conversationId: "talk" });
  expect(opened.status).toBe(201);
  stack.sandboxes.fault({ operation: "create", status: 429 });
  expect((await call(0, "/sandbox", { conversationId: "other" })).status).toBe(502);
  await stack.sql`revoke execute on function spend.settle from service_role`;
  await (await call(0, "/chat", { ...HELLO, stream: false })).text();
  await until("the settle is given up", () => collector.sum("spendgate.settle.failures") === 1, 20);
  await stack.sql`grant execute on function spend.settle to service_role`;
  await stack.sql`select spend.adjust(${tenant.id}, 45, 'test', 'e2b')`;
  expect(await (await schedule("alerts")).json()).toEqual({ delivered: 0, failed: 2 });
  await stack.sql`
    update spend.reservations set created_at = created_at - interval '1 hour', expires_at = now() - interval '1 s'
    where status = 'held' and resource_type = 'llm'`;
  expect((await schedule("maintenance")).status).toBe(200);

  await until("the gauges", () => collector.series("spendgate.ledger.cost").length === 2);
  const values = (metric: string) =>
    Object.fromEntries(
      collector
        .series(metric)
        .map(({ attributes, value }) => [Object.values(attributes).join(" "), value]),
    );
  expect(values("spendgate.sandbox.active")).toEqual({ creating: 0, running: 1, paused: 0 });
  expect(values("spendgate.reservations.open")).toEqual({ llm: 0, e2b: 1 });
  expect(values("spendgate.reservations.expired")).toEqual({ llm: 1, e2b: 0 });
  expect(values("spendgate.quota.utilization")).toMatchObject({ "tenant e2b month": 0.9002 });
  expect(values("spendgate.ledger.cost").e2b).toBe(45);
  expect(collector.series("spendgate.ledger.cost")[0]?.resource).toMatchObject({
    "service.instance.id": "shared",
  });
  expect(collector.sum("spendgate.sandbox.errors", { "spendgate.stage": "create" })).toBe(1);
  expect(collector.sum("spendgate.sandbox.operations", { "spendgate.stage": "create" })).toBe(2);
  await until("the alerts", () => collector.sum("spendgate.alerts") === 2);
  const failed = (kind: string) => ({
    "spendgate.alert.kind": kind,
    "spendgate.outcome": "failed",
  });
  const told = collector.series("spendgate.alerts").map(({ attributes }) => attributes);
  expect(told).toHaveLength(2);
  expect(told).toEqual(expect.arrayContaining([failed("quota_warning"), failed("settle_failed")]));
});

/** What the ledger has, as the counter has it: "e2b charge". */
async function ledgerTotals(): Promise<Record<string, number>> {
  const rows = await stack.sql`
    select r.type || ' ' || b.booking as series,
      coalesce(sum(abs(e.cost_usd)) filter (where (e.cost_usd < 0) = (b.booking = 'credit')), 0)::float8 as usd
    from unnest(array['llm', 'e2b']) as r (type) cross join unnest(array['charge', 'credit']) as b (booking)
    left join spend.cost_events as e on e.resource_type = r.type
    group by 1`;
  return Object.fromEntries(rows.map(({ series, usd }) => [series, usd]));
}

const bookedOf = (service: string) =>
  collector
    .series("spendgate.ledger.booked")
    .filter(({ resource }) => resource["service.name"] === service);
const toldTotals = (service = "gate") =>
  Object.fromEntries(
    bookedOf(service).map(({ attributes, value }) => [Object.values(attributes).join(" "), value]),
  );
const areEqual = (told: Record<string, number>, wanted: Record<string, number>) =>
  Object.entries(wanted).every(([series, usd]) => Math.abs((told[series] ?? -1) - usd) < 1e-9);

async function maintain({ url }: { url: string }): Promise<void> {
  const response = await fetch(`${url}/functions/v1/maintenance`, {
    method: "POST",
    headers: { apikey: stack.keys.secret },
  });
  expect(response.status).toBe(200);
}

/**
 * What the ledger has, once maintenance has told it. It tells what was booked before any transaction that is still open
 * began, and other tests' databases on this server have some: so it is run again until all is told.
 */
function toldByMaintenance(
  run: () => Promise<unknown>,
  service = "gate",
): Promise<Record<string, number>> {
  return until("the totals", async () => {
    await run();
    // Maintenance books, too.
    const totals = await ledgerTotals();
    return areEqual(toldTotals(service), totals) && totals;
  });
}

it("what the ledger booked, sandboxes, expiries, corrections and credits included, is told by the cent, though exports fail and two workers tell it at once", async () => {
  const opened = await call(0, "/sandbox", { conversationId: "ends" });
  const { id } = (await opened.json()) as { id: string };
  await stack.call(`/sandbox/${id}`, { user, method: "DELETE" });
  await stack.sql`select spend.adjust(${tenant.id}, -5.25, 'credit', 'e2b')`;
  const [expired] = await stack.sql`
    select id from spend.reservations where status = 'expired' and resource_type = 'llm' limit 1`;
  await stack.sql`select spend.release(${expired?.id}, 'provider_failed')`;
  const wanted = await ledgerTotals();
  for (const series of ["llm charge", "llm credit", "e2b charge", "e2b credit"]) {
    expect(wanted[series], series).toBeGreaterThan(0);
  }
  expect(areEqual(toldTotals(), wanted)).toBe(false);

  collector.refusesWith = 400;
  try {
    const sent = collector.headers.length;
    expect((await schedule("maintenance")).status).toBe(200);
    await until("an export that fails", () => collector.headers.length > sent);
    await new Promise((done) => setTimeout(done, 500));
  } finally {
    collector.refusesWith = undefined;
  }
  expect(areEqual(toldTotals(), wanted)).toBe(false);

  const told = await toldByMaintenance(() => maintain(second).then(() => maintain(stack)));
  expect(Object.keys(toldTotals()).sort()).toEqual(Object.keys(told).sort());

  // More is booked, and two workers tell it.
  await stack.sql`select spend.adjust(${tenant.id}, 1.5, 'debit', 'e2b')`;
  await toldByMaintenance(() => Promise.all([stack, second].map(maintain)));
  const series = bookedOf("gate");
  expect(series).toHaveLength(4);
  const [state] = await stack.sql`
    select distinct floor(extract(epoch from since) * 1000)::text as since from spend_private.ledger_totals`;
  expect(new Set(series.map(({ since }) => since?.slice(0, 13)))).toEqual(new Set([state?.since]));
  expect(new Set(series.map(({ resource }) => resource["service.instance.id"]))).toEqual(
    new Set(["shared"]),
  );
});

it("every metric of the table came, with its unit, kind, description and buckets, and no other one", () => {
  const received = collector.series();
  expect([...new Set(received.map(({ metric }) => metric))].sort()).toEqual(
    ALL.map(({ name }) => name).sort(),
  );
  for (const { metric, unit, kind, description, bounds, attributes } of received) {
    const row = ALL.find(({ name }) => name === metric);
    expect({ metric, unit, kind, description, bounds }).toEqual({
      metric,
      unit: row?.unit,
      kind: row?.kind,
      description: row?.description,
      bounds: row?.buckets,
    });
    const names = row?.attributes.map((key) => ATTRIBUTES[key]) ?? [];
    expect(names, metric).toEqual(expect.arrayContaining(Object.keys(attributes)));
  }
});

it("no value of an attribute is a tenant, a user or a reservation", () => {
  for (const { metric, attributes } of collector.series()) {
    expect(JSON.stringify(attributes), metric).not.toMatch(/[\da-f]{8}-[\da-f]{4}-/);
  }
});

it("OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES and OTEL_EXPORTER_OTLP_HEADERS are heeded", () => {
  for (const { resource } of [...collector.series(), ...collector.spans]) {
    expect(resource).toMatchObject({
      "service.name": "gate",
      "deployment.environment.name": "test",
    });
  }
  expect(collector.headers.every((headers) => headers["x-collector-key"] === "one")).toBe(true);
});

it("OTEL_TRACES_SAMPLER and the temporality of metrics are heeded: no span, and increments", async () => {
  const quiet = await startServices({
    databaseUrl: stack.database.url,
    keys: stack.keys,
    env: {
      ...collector.env,
      ...provider.env,
      ...sameSandboxes(),
      OTEL_SERVICE_NAME: "quiet",
      OTEL_TRACES_SAMPLER: "always_off",
      OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: "delta",
    },
  });
  try {
    const isQuiet = ({ resource }: { resource: object }) =>
      JSON.stringify(resource).includes('"quiet"');
    const increment = () => collector.series("spendgate.cost").find(isQuiet)?.value ?? 0;
    provider.plays(
      answers("One", { prompt_tokens: 1000, completion_tokens: 500 }),
      answers("Two", { prompt_tokens: 2000, completion_tokens: 500 }),
    );
    for (const cost of [0.00045, 0.0006]) {
      const response = await fetch(`${quiet.url}/functions/v1/chat`, {
        method: "POST",
        body: JSON.stringify({ ...HELLO, stream: false }),
        headers: { apikey: stack.keys.publishable, authorization: `Bearer ${user.jwt}` },
      });
      expect(response.status).toBe(200);
      await until(`an increment of $${cost}`, () => Math.abs(increment() - cost) < 1e-9);
    }
    expect(collector.spans.filter(isQuiet)).toEqual([]);

    // The ledger's own counter is told whole: an increment that is lost would be lost for good.
    for (let run = 0; run < 2; run++) {
      await stack.sql`select spend.adjust(${tenant.id}, 1, 'debit', 'e2b')`;
      await toldByMaintenance(() => maintain(quiet), "quiet");
    }
  } finally {
    await quiet.stop();
  }
});

/** The packages of OpenTelemetry that answering a request loads, with an environment. */
async function loadedWith(env: Record<string, string>): Promise<string[]> {
  const { stdout } = await promisify(execFile)(
    `${PROJECT}/node_modules/.bin/deno`,
    [
      "run",
      "--quiet",
      "--allow-all",
      "--config",
      "deno.json",
      "tests/support/functions/lab/loaded.ts",
    ],
    {
      cwd: PROJECT,
      env: {
        ...process.env,
        SUPABASE_URL: stack.url,
        SUPABASE_PUBLISHABLE_KEY: stack.keys.publishable,
        SUPABASE_SECRET_KEY: stack.keys.secret,
        ...env,
      },
    },
  );
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
}

const SDK = ["exporter-metrics-otlp-http", "exporter-trace-otlp-http", "sdk-metrics"];

it.each([
  ["no endpoint", {}],
  ["an endpoint that is wrong", { OTEL_EXPORTER_OTLP_ENDPOINT: "nowhere" }],
  [
    "OTEL_SDK_DISABLED",
    { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9", OTEL_SDK_DISABLED: "true" },
  ],
  [
    "no exporters",
    {
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9",
      OTEL_TRACES_EXPORTER: "none",
      OTEL_METRICS_EXPORTER: "none",
    },
  ],
])("%s: the API alone is loaded, and no timer runs", async (_, env) => {
  expect(await loadedWith(env as Record<string, string>)).toEqual(["api"]);
});

it("an endpoint: the SDK is loaded", async () => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9" };
  expect(await loadedWith(env)).toEqual(expect.arrayContaining([...SDK, "a timer"]));
});
