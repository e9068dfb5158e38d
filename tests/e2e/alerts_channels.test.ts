// Alerts on every channel: Slack, PagerDuty, mail and webhooks, the platform's by environment and tenants' own as rows. The
// receivers are as strict as the real ones.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Services, startServices } from "../../scripts/stack/stack.ts";
import {
  type AlertWebhook,
  type MailServer,
  type PagerDutyEvent,
  type Receiver,
  type ResendMail,
  type SlackMessage,
  startMailServer,
  startPagerDuty,
  startResend,
  startSlack,
  startWebhook,
} from "../support/alert_receivers.ts";
import { closedPort } from "../support/server.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";

const ROUTING_KEY = "canaryRoutingKey0000000000000000";
const TENANTS_KEY = "canaryTenantsKey0000000000000000";
const SLACK_PATH = "/services/T0/B0/canarySlackPath";
const WEBHOOK_SECRET = "canary webhook secret";
const SMTP_PASSWORD = "canarySmtpPassword";
const RESEND_KEY = "re_canaryResendKey";
const TENANTS_SECRET = `whsec_${Buffer.from("canary of a tenant's own webhook").toString("base64")}`;
const SECRETS = [
  ...[ROUTING_KEY, TENANTS_KEY, SLACK_PATH, WEBHOOK_SECRET, SMTP_PASSWORD, RESEND_KEY],
  ...[TENANTS_SECRET, Buffer.from(TENANTS_SECRET.slice(6), "base64").toString()],
];
const DASHBOARD = "https://app.example.com/dashboard";

let stack: TestStack;
/** Other dispatchers on the same database, with another environment. */
const others: Services[] = [];
let slack: Receiver<SlackMessage>;
let pagerDuty: Receiver<PagerDutyEvent>;
let resend: Receiver<ResendMail>;
let webhook: Receiver<AlertWebhook>;
let tenantsWebhook: Receiver<AlertWebhook>;
let mail: MailServer;
let platform: Record<string, string>;
let owner: TestUser;
let tenant: TestTenant;
const otherLogs: string[] = [];

beforeAll(async () => {
  slack = await startSlack(SLACK_PATH);
  pagerDuty = await startPagerDuty([ROUTING_KEY, TENANTS_KEY]);
  resend = await startResend(RESEND_KEY);
  webhook = await startWebhook(WEBHOOK_SECRET);
  tenantsWebhook = await startWebhook(TENANTS_SECRET);
  mail = await startMailServer("spendgate", SMTP_PASSWORD);
  platform = {
    SPENDGATE_PROJECT: "https://acme.supabase.co",
    DASHBOARD_URL: DASHBOARD,
    ALERT_SLACK_WEBHOOK_URL: `${slack.url}${SLACK_PATH}`,
    ALERT_PAGERDUTY_ROUTING_KEY: ROUTING_KEY,
    ALERT_PAGERDUTY_URL: pagerDuty.url,
    ALERT_WEBHOOK_URL: `${webhook.url}/hook`,
    ALERT_WEBHOOK_SECRET: WEBHOOK_SECRET,
    ALERT_EMAIL_TO: "ops@example.com, cfo@example.com",
    ALERT_EMAIL_FROM: "Spendgate <alerts@example.org>",
    ALERT_SMTP_URL: `smtp://spendgate:${SMTP_PASSWORD}@127.0.0.1:${mail.port}`,
    ALERT_ALLOW_PRIVATE_ADDRESSES: "true",
  };
  stack = await startTestStack({ env: platform });
  await stack.sql`update spend.settings set allow_private_alert_targets = true`;
});
afterAll(async () => {
  for (const other of others) await other.stop();
  await stack.stop();
  for (const each of [slack, pagerDuty, resend, webhook, tenantsWebhook, mail]) await each.stop();
});
beforeEach(async () => {
  for (const other of others.splice(0)) await other.stop();
  await stack.sql`delete from spend.alerts`;
  await stack.sql`delete from spend.alert_mutes`;
  await stack.sql`delete from spend.alert_channels`;
  for (const each of [slack, pagerDuty, resend, webhook, tenantsWebhook]) each.clear();
  mail.received.length = 0;
  mail.fail.length = 0;
  owner = await stack.signUp();
  tenant = await stack.createTenant({ name: "Acme GmbH", members: [owner], role: "owner" });
});

/** The functions of another project that uses the same database. */
async function dispatcher(env: Record<string, string>): Promise<Services> {
  const other = await startServices({
    databaseUrl: stack.database.url,
    keys: stack.keys,
    env,
    functionsFolder: process.env.SPENDGATE_TEST_FUNCTIONS,
    onLog: (line) => otherLogs.push(line),
  });
  others.push(other);
  return other;
}

async function deliver(by: { url: string } = stack) {
  const response = await fetch(`${by.url}/functions/v1/alerts`, {
    method: "POST",
    headers: { apikey: stack.keys.secret },
  });
  expect(response.status).toBe(200);
  return (await response.json()) as { delivered: number; failed: number };
}

/** The tenant uses up a share of its quota for sandboxes, $50 a month. */
const spend = (usd: number, id = tenant.id) =>
  stack.sql`select spend.adjust(${id}, ${usd}, 'test', 'e2b')`;
const passSeconds = (seconds: number) => stack.sql`
  update spend.alert_deliveries set next_attempt_at = next_attempt_at - make_interval(secs => ${seconds}),
    resolve_check_at = resolve_check_at - make_interval(secs => ${seconds})`;
const deliveries = async (where = "true") => [
  ...(await stack.sql.unsafe(`
    select d.channel, d.event, a.kind, d.attempts, d.delivered_at is not null as is_delivered, d.last_error
    from spend.alert_deliveries as d join spend.alerts as a on a.id = d.alert_id
    where ${where} order by d.id`)),
];

/** As the owner of the tenant does in a browser. */
async function addChannel(channel: Record<string, unknown>, by = owner, id = tenant.id) {
  const { data, error } = await by.client.rpc("save_alert_channel", {
    tenant_id: id,
    ...channel,
  } as never);
  if (error) throw Object.assign(new Error(error.message), error);
  return data as unknown as { id: number };
}

/** All that receivers, rows and logs say, without what each receiver must be told of itself. */
async function allThatIsSaid(): Promise<string> {
  const [rows] = await stack.sql`
    select (select json_agg(a) from spend.alerts as a)::text as alerts,
      (select json_agg(d) from spend.alert_deliveries as d)::text as deliveries`;
  const posts = [slack, resend, webhook, tenantsWebhook].flatMap(({ received }) =>
    (received as { text: string }[]).map(({ text }) => text),
  );
  const events = pagerDuty.received.map(({ text }) => text.replace(/"routing_key":"\w+"/, ""));
  const mails = mail.received.map((each) => JSON.stringify(each));
  const logs = [...stack.logs, ...otherLogs];
  return [...posts, ...events, ...mails, rows?.alerts, rows?.deliveries, ...logs].join("\n");
}

it("A warning comes to Slack, PagerDuty, two mailboxes and the webhook, in the form that each takes", async () => {
  await spend(41.5);

  expect(await deliver()).toEqual({ delivered: 4, failed: 0 });
  expect(await deliver()).toEqual({ delivered: 0, failed: 0 });

  const title = "Acme GmbH: 80 % of the monthly limit for sandboxes is spent";
  const [alert] =
    await stack.sql`select id, quota_id from spend.alerts where tenant_id = ${tenant.id}`;
  const link = `${DASHBOARD}/#/tenants/${tenant.id}?quota=${alert?.quota_id}`;
  expect(slack.taken()).toHaveLength(1);
  expect(slack.taken()[0]?.text).toContain(`${title}\n$41.50 of $50.00 is spent`);
  expect(slack.taken()[0]?.text).toContain(link);
  expect(pagerDuty.taken()).toMatchObject([
    {
      event_action: "trigger",
      dedup_key: `acme.supabase.co/alert_${alert?.id}_pagerduty`,
      payload: { summary: title, severity: "warning", class: "quota_warning" },
      links: [{ href: link }],
    },
  ]);
  expect(webhook.taken()).toMatchObject([
    { type: "quota.warning", data: { title, quota: { spentUsd: 41.5 }, url: link } },
  ]);
  expect(webhook.received[0]?.headers["webhook-id"]).toBe(`alert_${alert?.id}_webhook`);
  const [{ headers, ...letter } = {} as never] = mail.received;
  expect(mail.received).toHaveLength(1);
  expect(letter).toMatchObject({
    from: "alerts@example.org",
    to: ["ops@example.com", "cfo@example.com"],
  });
  expect(headers).toMatchObject({
    subject: title,
    "auto-submitted": "auto-generated",
    "message-id": expect.stringMatching(
      new RegExp(`^<alert_${alert?.id}_email\\.\\d+@example.org>$`),
    ),
  });
  expect(letter.text).toContain(
    "Spent: $41.50\nHeld: $0.00\nLimit: $50.00 (83 % is spent or held)",
  );
  expect(letter.html).toContain(`<a href="${link}">`);
});

describe("Fifty concurrent calls across 80 %, 95 % and 100 %", () => {
  it("one alert per threshold on each channel, though two answers fail and one dispatcher dies between sending and recording", async () => {
    await stack.sql`
      insert into spend.prices (resource_type, provider, product, meter, unit_size, usd)
      select 'llm', 'openai', 'two-dollars', m, 1, usd
      from (values ('input_tokens', 0), ('output_tokens', 2)) as v (m, usd)
      where not exists (select from spend.prices where product = 'two-dollars')`;
    await stack.sql`delete from spend.cost_quotas where tenant_id = ${tenant.id}`;
    await stack.sql`
      insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd, warning_thresholds)
      values ('tenant', ${tenant.id}, ${tenant.id}, 'llm', 'day', 100, '{0.8, 0.95}')`;
    const usage = { provider: "openai", model: "two-dollars", input_tokens: 1, output_tokens: 1 };
    const call = async () => {
      const held = await stack.service.rpc("reserve", {
        tenant_id: tenant.id,
        user_id: null,
        resource_type: "llm",
        usage,
      } as never);
      const { allowed, reservation_id } = held.data as unknown as Record<string, unknown>;
      expect(allowed).toBe(true);
      await stack.service.rpc("settle", { reservation_id, usage } as never);
    };

    webhook.fail = [500, 500];
    // It is killed when Slack has its message, and before anybody wrote that down.
    const doomed = await dispatcher(platform);
    let killed = 0;
    slack.before = () => {
      if (killed++ === 0) process.kill(doomed.functions.pid, "SIGKILL");
    };

    await Promise.all(Array.from({ length: 50 }, call));
    const died = await fetch(`${doomed.url}/functions/v1/alerts`, {
      method: "POST",
      headers: { apikey: stack.keys.secret },
    }).then(
      ({ status }) => status >= 500,
      () => true,
    );
    expect(died).toBe(true);
    expect(killed).toBeGreaterThan(0);
    // What concurrent calls crossed together, and none of them saw.
    const headers = { apikey: stack.keys.secret };
    expect((await stack.call("/maintenance", { method: "POST", headers })).status).toBe(200);
    // It found those of other tests' tenants again.
    await stack.sql`delete from spend.alerts where tenant_id <> ${tenant.id}`;
    for (let turn = 0; turn < 3; turn++) {
      await passSeconds(3600);
      await Promise.all([deliver(), deliver()]);
    }

    const of = (threshold: number, kind: string) => ({ threshold, kind });
    const recorded = await stack.sql`
      select threshold::float8, kind from spend.alerts where tenant_id = ${tenant.id} order by threshold`;
    expect([...recorded]).toEqual([
      of(0.8, "quota_warning"),
      of(0.95, "quota_warning"),
      of(1, "quota_exceeded"),
    ]);
    // Each channel has each alert at least once, and can tell by its key that it has it.
    const keysOf = {
      webhook: webhook.received
        .filter(({ status }) => status < 300)
        .map(({ headers }) => headers["webhook-id"]),
      pagerduty: pagerDuty.taken().map(({ dedup_key }) => dedup_key),
      slack: slack.taken().map(({ blocks }) => JSON.stringify(blocks.at(-1))),
      email: mail.received.map(({ headers }) => headers["x-spendgate-alert"]),
    };
    for (const [channel, keys] of Object.entries(keysOf)) {
      expect([channel, new Set(keys).size]).toEqual([channel, 3]);
    }
    expect(slack.taken().length).toBeGreaterThan(3);
    expect(webhook.received.filter(({ status }) => status === 500)).toHaveLength(2);
    const titles = new Set(
      pagerDuty.taken().map((event) => "payload" in event && event.payload.summary),
    );
    expect([...titles].sort()).toEqual([
      "Acme GmbH: 80 % of the daily limit for LLM calls is spent",
      "Acme GmbH: 95 % of the daily limit for LLM calls is spent",
      "Acme GmbH: the daily limit for LLM calls is used up",
    ]);
    expect(await deliveries("d.delivered_at is null")).toEqual([]);
    expect(await deliver()).toEqual({ delivered: 0, failed: 0 });
  });
});

describe("A receiver that does not take an alert", () => {
  it("503 with Retry-After 120 is left alone for two minutes", async () => {
    webhook.fail = [503];
    webhook.headers = { "retry-after": "120" };
    await spend(41);
    expect(await deliver()).toEqual({ delivered: 3, failed: 1 });
    await passSeconds(118);
    expect(await deliver()).toEqual({ delivered: 0, failed: 0 });
    await passSeconds(3);
    expect(await deliver()).toEqual({ delivered: 1, failed: 0 });
    const ids = webhook.received.map(({ headers }) => headers["webhook-id"]);
    expect([ids.length, new Set(ids).size]).toEqual([2, 1]);
  });

  it("410 is not asked again, and 404 is", async () => {
    webhook.fail = [410];
    slack.fail = [404];
    await spend(41);
    expect(await deliver()).toEqual({ delivered: 2, failed: 2 });
    await passSeconds(3600);
    expect(await deliver()).toEqual({ delivered: 1, failed: 0 });
    expect([webhook.received.length, slack.received.length]).toEqual([1, 2]);
    const [given_up] = await stack.sql`
      select ended_at is not null as has_ended, last_error from spend.alert_deliveries where channel = 'webhook'`;
    expect(given_up).toEqual({ has_ended: true, last_error: "the webhook answered 410" });
  });

  it("a mail server that answers 451, or has closed, stops no other channel", async () => {
    mail.fail.push(451);
    await spend(41);
    expect(await deliver()).toEqual({ delivered: 3, failed: 1 });
    expect(await deliveries("d.channel = 'email'")).toMatchObject([
      { is_delivered: false, last_error: "the mail server answered 451" },
    ]);
    await passSeconds(60);
    expect(await deliver()).toEqual({ delivered: 1, failed: 0 });
    expect(mail.received).toHaveLength(1);
  });

  it("one alert that nobody can read says where, and stops none of four others", async () => {
    await spend(41);
    await stack.sql`insert into spend.alerts (kind, facts) values ('job_failed', '{"message": 7}')`;
    expect(await deliver()).toEqual({ delivered: 4, failed: 4 });
    const unread = await deliveries("a.kind = 'job_failed'");
    expect(new Set(unread.map(({ last_error }) => last_error))).toEqual(
      new Set(["the alert cannot be read: alert.facts.message"]),
    );
  });
});

describe("PagerDuty", () => {
  it("resolves when the limit is raised, by the same key, and once; nobody else is told", async () => {
    await spend(50);
    expect(await deliver()).toEqual({ delivered: 8, failed: 0 });
    await passSeconds(120);
    expect(await deliver()).toEqual({ delivered: 0, failed: 0 });

    await stack.sql`update spend.cost_quotas set limit_usd = 500 where tenant_id = ${tenant.id} and resource_type = 'e2b'`;
    await passSeconds(120);
    expect(await deliver()).toEqual({ delivered: 2, failed: 0 });
    await passSeconds(120);
    expect(await deliver()).toEqual({ delivered: 0, failed: 0 });

    const keys = (action: string) =>
      pagerDuty
        .taken()
        .filter(({ event_action }) => event_action === action)
        .map(({ dedup_key }) => dedup_key)
        .sort();
    expect(keys("resolve")).toEqual(keys("trigger"));
    expect(keys("resolve")).toHaveLength(2);
    expect([slack.received.length, webhook.received.length, mail.received.length]).toEqual([
      2, 2, 2,
    ]);
  });
});

describe("A tenant's own channels", () => {
  it("get that tenant's alerts, signed by its own secret, and no other's nor the operator's", async () => {
    await addChannel({
      kind: "webhook",
      name: "ours",
      target: `${tenantsWebhook.url}/hook?a=b`,
      secret: TENANTS_SECRET,
    });
    await addChannel({ kind: "pagerduty", name: "pager", target: TENANTS_KEY });
    await addChannel({ kind: "email", name: "us", target: "us@acme.example" });
    const other = await stack.createTenant({ name: "Other" });
    await spend(41);
    await spend(60, other.id);
    await stack.sql`select spend_private.record_problem('roll_up', 'job', 'disk full', '{}')`;

    const { failed } = await deliver();
    expect(failed).toBe(0);

    expect(tenantsWebhook.received.map(({ path, status }) => [path, status])).toEqual([
      ["/hook?a=b", 204],
    ]);
    expect(tenantsWebhook.taken()).toMatchObject([
      { type: "quota.warning", data: { tenantId: tenant.id } },
    ]);
    const own = pagerDuty.taken().filter(({ routing_key }) => routing_key === TENANTS_KEY);
    expect(own).toMatchObject([{ payload: { group: tenant.id } }]);
    expect(mail.received.filter(({ to }) => to.includes("us@acme.example"))).toHaveLength(1);
    // The platform has all of it: a warning, a warning and a limit of the other tenant, a problem.
    expect(slack.taken()).toHaveLength(4);
  });

  it("are refused at a private address, without a connection, where the operator does not allow it", async () => {
    const strict = await dispatcher({ ...platform, ALERT_ALLOW_PRIVATE_ADDRESSES: "false" });
    const { port } = new URL(tenantsWebhook.url);
    const targets = [
      ...[`https://127.0.0.1:${port}/`, `http://127.0.0.1:${port}/`, `https://localhost:${port}/`],
      ...[
        `https://[::1]:${port}/`,
        `https://[::ffff:127.0.0.1]:${port}/`,
        "https://169.254.169.254/latest",
      ],
      ...[`https://2130706433:${port}/`, `https://10.0.0.1/`],
    ];
    for (const [at, target] of targets.entries()) {
      await addChannel({ kind: at % 2 ? "slack" : "webhook", name: `to ${at}`, target });
    }
    await spend(41);
    expect(await deliver(strict)).toEqual({ delivered: 4, failed: targets.length });
    expect(tenantsWebhook.received).toHaveLength(0);
    const refused = await deliveries("d.channel_id is not null");
    expect(refused).toHaveLength(targets.length);
    for (const { last_error } of refused) {
      expect(last_error).toMatch(
        /^the channel's address (leads to a private address|is no HTTPS URL)$/,
      );
    }
  });

  it("get nothing while the tenant has muted them, and the platform does", async () => {
    await addChannel({
      kind: "webhook",
      name: "ours",
      target: tenantsWebhook.url,
      secret: TENANTS_SECRET,
    });
    const until = new Date(Date.now() + 3_600_000).toISOString();
    const muted = await owner.client.rpc("mute_alerts", { until, tenant_id: tenant.id } as never);
    expect(muted.error).toBeNull();
    await spend(41);
    expect(await deliver()).toEqual({ delivered: 4, failed: 0 });
    expect(tenantsWebhook.received).toHaveLength(0);
    const rows = await stack.sql`select kind from spend.alerts where tenant_id = ${tenant.id}`;
    expect([...rows]).toEqual([{ kind: "quota_warning" }]);
  });

  it("an alert that its owner acknowledges is not sent again to a receiver that failed", async () => {
    await addChannel({
      kind: "webhook",
      name: "ours",
      target: tenantsWebhook.url,
      secret: TENANTS_SECRET,
    });
    tenantsWebhook.fail = [500];
    webhook.fail = [500];
    await spend(41);
    expect(await deliver()).toEqual({ delivered: 3, failed: 2 });
    const [alert] = await stack.sql`select id from spend.alerts where tenant_id = ${tenant.id}`;
    const { data, error } = await owner.client.rpc("acknowledge_alert", {
      alert_id: Number(alert?.id),
    } as never);
    expect([error, (data as unknown as { acknowledged_by: string }).acknowledged_by]).toEqual([
      null,
      owner.id,
    ]);
    await passSeconds(3600);
    expect(await deliver()).toEqual({ delivered: 0, failed: 0 });
    expect([tenantsWebhook.received.length, webhook.received.length]).toEqual([1, 1]);
  });
});

it("By Resend's API: the platform's mail and a tenant's, each with its idempotency key; a second try has the same", async () => {
  const { ALERT_SMTP_URL, ...rest } = platform;
  const http = await dispatcher({
    ...rest,
    ALERT_RESEND_API_KEY: RESEND_KEY,
    ALERT_RESEND_URL: resend.url,
    ALERT_KINDS: "quota_exceeded",
  });
  await addChannel({ kind: "email", name: "us", target: "us@acme.example" });
  resend.fail = [429];
  await spend(50);

  // A warning and a limit to the tenant; of the platform's four channels each takes the limit alone.
  expect(await deliver(http)).toEqual({ delivered: 5, failed: 1 });
  await passSeconds(60);
  expect(await deliver(http)).toEqual({ delivered: 1, failed: 0 });

  expect(mail.received).toHaveLength(0);
  expect(
    resend
      .taken()
      .map(({ to }) => to.join())
      .sort(),
  ).toEqual(["ops@example.com,cfo@example.com", "us@acme.example", "us@acme.example"]);
  const keys = resend.received.map(({ headers }) => headers["idempotency-key"]);
  expect([keys.length, new Set(keys).size]).toEqual([4, 3]);
  expect(slack.taken()).toHaveLength(1);
});

it("Without any channel alerts are handed to nobody, and the function answers 200", async () => {
  const bare = await dispatcher({ DASHBOARD_URL: "" });
  await spend(41);
  expect(await deliver(bare)).toEqual({ delivered: 0, failed: 0 });
  const [row] =
    await stack.sql`select routed_at is not null as is_routed, delivered_at from spend.alerts`;
  expect(row).toEqual({ is_routed: true, delivered_at: null });
});

it.each([
  [{ ALERT_EMAIL_TO: "nobody" }, "ALERT_EMAIL_TO is wrong. Allowed: addresses, comma separated."],
  [
    { ALERT_SMTP_URL: "" },
    "ALERT_EMAIL_TO needs ALERT_EMAIL_FROM, and ALERT_SMTP_URL or ALERT_RESEND_API_KEY.",
  ],
  [
    { ALERT_PAGERDUTY_ROUTING_KEY: "short" },
    "ALERT_PAGERDUTY_ROUTING_KEY is wrong. Allowed: key of 32 characters.",
  ],
])("With %o alerts wait: 503, %s", async (env, message) => {
  const wrong = await dispatcher({ ...platform, ...env });
  await spend(41);
  const response = await fetch(`${wrong.url}/functions/v1/alerts`, {
    method: "POST",
    headers: { apikey: stack.keys.secret },
  });
  expect([response.status, await response.json()]).toEqual([
    503,
    { error: "not_configured", message },
  ]);
  const [row] = await stack.sql`select routed_at from spend.alerts`;
  expect(row).toEqual({ routed_at: null });
});

it("No prompt, no key and no address of a receiver is in a message, a row or a log, whatever fails", async () => {
  await addChannel({
    kind: "webhook",
    name: "ours",
    target: tenantsWebhook.url,
    secret: TENANTS_SECRET,
  });
  await addChannel({ kind: "pagerduty", name: "pager", target: TENANTS_KEY });
  const messages = [{ role: "user", content: "canaryPrompt: what is the price of oil?" }];
  await stack.sql`update spend.cost_quotas set limit_usd = 0.000001 where tenant_id = ${tenant.id} and resource_type = 'llm'`;
  const refused = await stack.call("/chat", { user: owner, json: { stream: false, messages } });
  expect(refused.status).toBe(429);
  await spend(50);
  // Wrong passwords, refusals, receivers that are gone.
  const failing = await dispatcher({
    ...platform,
    ALERT_SMTP_URL: `smtp://spendgate:${SMTP_PASSWORD}no@127.0.0.1:${mail.port}`,
    ALERT_SLACK_WEBHOOK_URL: `http://127.0.0.1:${await closedPort()}${SLACK_PATH}`,
    ALERT_PAGERDUTY_URL: `${pagerDuty.url}/nowhere`,
  });
  webhook.fail = [500, 400];
  tenantsWebhook.fail = [301];
  const first = await deliver(failing);
  expect(first.failed).toBeGreaterThan(5);
  const failures = await allThatIsSaid();
  await passSeconds(3600);
  const second = await deliver();
  expect(second.failed).toBe(0);
  expect(second.delivered).toBeGreaterThan(5);

  const said = failures + (await allThatIsSaid());
  for (const word of [
    "alert_failed",
    "the mail server answered 535",
    "Slack could not be reached",
  ]) {
    expect(said.includes(word), word).toBe(true);
  }
  for (const canary of [...SECRETS, "canaryPrompt", "price of oil", "wrong password"]) {
    expect(said.includes(canary), canary).toBe(false);
  }
});
