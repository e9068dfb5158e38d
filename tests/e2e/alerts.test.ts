// Alerts are delivered to the webhook of the environment: each at least once, by one caller at a time, signed, again when it
// fails. The other channels: alerts_channels.test.ts.
import { createHmac } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { readBody, startServer, type TestServer } from "../support/server.ts";
import { startTestStack, type TestStack, type TestTenant } from "../support/stack.ts";

const SECRET = `whsec_${Buffer.from("a secret of 32 bytes, or so it is").toString("base64")}`;

interface Received {
  headers: IncomingHttpHeaders;
  body: string;
}

let stack: TestStack;
let receiver: TestServer;
let received: Received[];
let statuses: number[];
let delayMs: number;
let tenant: TestTenant;

beforeAll(async () => {
  receiver = await startServer(async (request, response) => {
    received.push({ headers: request.headers, body: await readBody(request) });
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    response.writeHead(statuses.shift() ?? 204, { location: "/elsewhere" }).end();
  });
  stack = await startTestStack({
    env: {
      ALERT_WEBHOOK_URL: `${receiver.url}/hook`,
      ALERT_WEBHOOK_SECRET: SECRET,
    },
  });
});
afterAll(async () => {
  await stack.stop();
  await receiver.stop();
});
beforeEach(async () => {
  await stack.sql`delete from spend.alerts`;
  tenant = await stack.createTenant();
  received = [];
  statuses = [];
  delayMs = 0;
});

async function deliver() {
  const response = await stack.call("/alerts", {
    method: "POST",
    headers: { apikey: stack.keys.secret },
  });
  expect(response.status).toBe(200);
  return response.json();
}

/** The tenant uses up a share of its quota for e2b, $50 a month. */
const spend = (usd: number) => stack.sql`select spend.adjust(${tenant.id}, ${usd}, 'test', 'e2b')`;
const passSeconds = (seconds: number) => stack.sql`
  update spend.alert_deliveries set next_attempt_at = next_attempt_at - make_interval(secs => ${seconds})`;
const outbox = async () => [
  ...(await stack.sql`
    select a.kind, d.delivered_at is not null as is_delivered, d.attempts, d.last_error
    from spend.alerts as a join spend.alert_deliveries as d on d.alert_id = a.id
    where a.tenant_id = ${tenant.id} order by d.id`),
];

it("A warning is posted once, signed", async () => {
  await spend(41);

  expect(await deliver()).toEqual({ delivered: 1, failed: 0 });
  expect(await deliver()).toEqual({ delivered: 0, failed: 0 });

  expect(received).toHaveLength(1);
  const [{ headers, body } = { headers: {}, body: "" }] = received;
  const [alert] = await stack.sql`select id from spend.alerts where tenant_id = ${tenant.id}`;
  expect(JSON.parse(body)).toEqual({
    type: "quota.warning",
    timestamp: expect.stringMatching(/^\d{4}-/),
    data: {
      alertId: Number(alert?.id),
      tenantId: tenant.id,
      causedByTenantId: tenant.id,
      threshold: 0.8,
      quota: {
        id: expect.any(Number),
        scope: "tenant",
        scopeId: tenant.id,
        resourceType: "e2b",
        period: "month",
        periodStart: expect.any(String),
        periodEnd: expect.any(String),
        limitUsd: 50,
        spentUsd: 41,
        reservedUsd: 0,
        currentSpendUsd: 41,
        utilizationPercent: 82,
      },
      title: "Tenant: 80 % of the monthly limit for sandboxes is spent",
      text: expect.stringMatching(
        /^\$41\.00 of \$50\.00 is spent, and \$0\.00 is held by calls under way\. The period ends on 1 \w+ \d{4}, 00:00 UTC\.$/,
      ),
    },
  });
  // As https://www.standardwebhooks.com has it.
  const content = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  const key = Buffer.from(SECRET.slice("whsec_".length), "base64");
  expect(headers["webhook-id"]).toBe(`alert_${alert?.id}_webhook`);
  expect(headers["webhook-signature"]).toBe(
    `v1,${createHmac("sha256", key).update(content).digest("base64")}`,
  );
  expect(Math.abs(Date.now() / 1000 - Number(headers["webhook-timestamp"]))).toBeLessThan(60);
  expect(await outbox()).toEqual([
    { kind: "quota_warning", is_delivered: true, attempts: 1, last_error: null },
  ]);
});

it.each([500, 302])(
  "An alert that the webhook answers with %i is posted again after 30 to 36 s with the same id",
  async (status) => {
    statuses = [status];
    await spend(41);

    expect(await deliver()).toEqual({ delivered: 0, failed: 1 });
    expect(await outbox()).toEqual([
      {
        kind: "quota_warning",
        is_delivered: false,
        attempts: 1,
        last_error: `the webhook answered ${status}`,
      },
    ]);
    await passSeconds(29);
    expect(await deliver()).toEqual({ delivered: 0, failed: 0 });
    await passSeconds(8);
    expect(await deliver()).toEqual({ delivered: 1, failed: 0 });

    expect(new Set(received.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
    expect(received).toHaveLength(2);
    expect(await outbox()).toEqual([
      { kind: "quota_warning", is_delivered: true, attempts: 2, last_error: null },
    ]);
  },
);

it("An alert that fails does not stop the others", async () => {
  await spend(41);
  await stack.createTenant().then((other) => {
    return stack.sql`select spend.adjust(${other.id}, 60, 'test', 'e2b')`;
  });
  statuses = [500];

  expect(await deliver()).toEqual({ delivered: 2, failed: 1 });
});

it("Five deliveries at once post each of ten alerts once", async () => {
  delayMs = 100;
  for (let i = 0; i < 5; i++) {
    const { id } = await stack.createTenant();
    await stack.sql`select spend.adjust(${id}, 60, 'test', 'e2b')`;
  }

  const answers = (await Promise.all(Array.from({ length: 5 }, deliver))) as {
    delivered: number;
  }[];

  expect(answers.reduce((sum, { delivered }) => sum + delivered, 0)).toBe(10);
  expect(received).toHaveLength(10);
  expect(new Set(received.map(({ headers }) => headers["webhook-id"])).size).toBe(10);
});

it("A job that failed is posted with its name and its error", async () => {
  await stack.sql`
    select spend_private.record_problem('roll_up', 'job', 'disk full', '{"sqlstate": "53100"}')`;

  expect(await deliver()).toEqual({ delivered: 1, failed: 0 });
  expect(JSON.parse(received[0]?.body ?? "")).toMatchObject({
    type: "spendgate.job_failed",
    data: { job: "roll_up", subject: "job", message: "disk full", details: { sqlstate: "53100" } },
  });
});

it("An alert that nobody can read says so in its row, and stops no other", async () => {
  await spend(41);
  await stack.sql`insert into spend.alerts (kind, facts) values ('job_failed', '{}')`;

  expect(await deliver()).toEqual({ delivered: 1, failed: 1 });
  const [unread] = await stack.sql`
    select d.last_error from spend.alert_deliveries as d
    join spend.alerts as a on a.id = d.alert_id where a.kind = 'job_failed'`;
  expect(unread?.last_error).toBe("the alert cannot be read: alert.facts.message");
});

it("Another delivery posts the alerts of one that died, after a while", async () => {
  await spend(41);
  const channels = [{ name: "webhook", kind: "webhook" }];
  await stack.sql`select spend.claim_deliveries(${stack.sql.json(channels)}, 10)`;

  expect(await deliver()).toEqual({ delivered: 0, failed: 0 });
  await passSeconds(37);
  expect(await deliver()).toEqual({ delivered: 1, failed: 0 });
});

it("Only the secret key may call the alerts function", async () => {
  const user = await stack.signUp();
  expect((await stack.call("/alerts", { method: "POST" })).status).toBe(401);
  expect((await stack.call("/alerts", { method: "POST", user })).status).toBe(401);
  expect((await stack.call("/alerts", { headers: { apikey: stack.keys.secret } })).status).toBe(
    405,
  );
});
