// Reconciliation: whatever fails, and whenever, nothing runs unpaid and nothing is booked twice.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Functions, startFunctions } from "../../scripts/stack/functions.ts";
import type { StandInSandbox } from "../../scripts/stack/sandbox_standin.ts";
import {
  age,
  ageTo,
  changesOf,
  endAllSandboxes,
  living,
  maintain,
  usd,
} from "../support/sandboxes.ts";
import { verifyBalances } from "../support/spend.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";
import { until } from "../support/until.ts";

const PROJECT = "maintenance-test";
const env = {
  SPENDGATE_PROJECT: PROJECT,
  SPENDGATE_SANDBOX_IDLE_SECONDS: "120",
  SPENDGATE_E2B_TIMEOUT_MS: "3000",
};

let stack: TestStack;
let user: TestUser;
let tenant: TestTenant;

beforeAll(async () => {
  stack = await startTestStack({ env });
});
afterAll(() => stack.stop());
beforeEach(async () => {
  await endAllSandboxes(stack);
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user] });
  stack.logs.length = 0;
});

const post = (conversationId = "talk") =>
  stack.call("/sandbox", { user, json: { conversationId } });
const open = async (conversationId?: string) =>
  (await (await post(conversationId)).json()) as { id: string; sandboxId: string };
/** What a run changed, without what it found. */
const changes = async (functions?: Functions) =>
  changesOf(await maintain(stack, functions && `http://127.0.0.1:${functions.port}`));

/** All claims of the tenant have run out. */
const expireClaims = () => stack.sql`
  update spend.execution_contexts set
    claimed_at = claimed_at - interval '80 s', claim_expires_at = now() - interval '1 s'
  where tenant_id = ${tenant.id}`;

const contexts = async () => [
  ...(await stack.sql`
    select status, end_reason, booked_at is not null as is_booked from spend.execution_contexts
    where tenant_id = ${tenant.id} order by created_at`),
];
const bookings = async () => [
  ...(await stack.sql`
    select cost_usd, is_estimated, conversation_id from spend.cost_events
    where tenant_id = ${tenant.id} order by booked_at`),
];

/** The seconds that sandboxes ran are booked, each that began once; nothing is held, balances agree. */
async function expectPaid(...sandboxes: StandInSandbox[]) {
  const [sums] = await stack.sql`
    select
      (select coalesce(sum((usage ->> 'seconds')::numeric), 0)::int from spend.cost_events
       where tenant_id = ${tenant.id}) as booked,
      (select count(*)::int from spend.reservations
       where tenant_id = ${tenant.id} and status = 'held') as held`;
  const ran = sandboxes.map(({ startedAt, endedAt }) => ((endedAt ?? 0) - startedAt) / 1000);
  const least = ran.reduce((sum, seconds) => sum + Math.ceil(seconds), 0);
  expect(sums?.booked).toBeGreaterThanOrEqual(least);
  // Its end is noticed here a little later than it was there.
  expect(sums?.booked).toBeLessThanOrEqual(least + ran.length);
  expect(sums?.held).toBe(0);
  expect(await verifyBalances(stack.sql)).toEqual([]);
}

describe("The maintenance function", () => {
  it("runs for the secret key alone, as apikey or bearer token", async () => {
    const call = (headers: Record<string, string>) =>
      fetch(`${stack.url}/functions/v1/maintenance`, { method: "POST", headers });
    for (const headers of [
      {},
      { apikey: stack.keys.publishable },
      { authorization: `Bearer ${user.jwt}` },
      { authorization: `Bearer ${stack.keys.secret}x` },
      { apikey: stack.keys.secret.slice(0, -1) },
    ]) {
      const response = await call(headers as Record<string, string>);
      expect([headers, response.status]).toEqual([headers, 401]);
      expect(await response.json()).toMatchObject({ error: "unauthorized" });
    }
    expect((await call({ apikey: stack.keys.secret })).status).toBe(200);
  });

  it("answers what the database did and what became of sandboxes", async () => {
    const { database, sandboxes } = await maintain(stack);
    expect(Object.keys(database).sort()).toContain("expire_reservations");
    expect(sandboxes).toMatchObject({ listed: 0, open: 0, failed: 0 });
  });
});

describe("After a death", () => {
  it("of the function between create and its answer, the sandbox is killed and booked, once", async () => {
    // Functions of their own, which die alone.
    const functions = await startFunctions({
      apiUrl: stack.url,
      keys: stack.keys,
      sandboxesUrl: stack.sandboxes.url,
      env,
    });
    stack.sandboxes.fault({ operation: "create", answerDelayMs: 2000, startedSecondsAgo: 30 });
    const dying = fetch(`http://127.0.0.1:${functions.port}/sandbox`, {
      method: "POST",
      headers: { authorization: `Bearer ${user.jwt}` },
      body: JSON.stringify({ conversationId: "talk" }),
    }).catch(() => null);
    const sandbox = await until("the sandbox runs", () => living(stack)[0]);
    process.kill(functions.pid, "SIGKILL");
    await dying;
    await functions.exited;

    expect(await changes()).toEqual({});
    expect(await contexts()).toMatchObject([{ status: "creating" }]);
    await expireClaims();
    expect(await changes()).toEqual({ orphans: 1 });

    expect(living(stack)).toEqual([]);
    expect(await contexts()).toMatchObject([{ status: "failed", end_reason: "claim_expired" }]);
    await expectPaid(sandbox);
    expect(await changes()).toEqual({});
    expect(await bookings()).toHaveLength(1);
  });

  it("of the answer to a create, which is sent once, one sandbox that is paid for runs, and no other", async () => {
    stack.sandboxes.fault({ operation: "create", loseAnswer: true });
    expect((await post()).status).toBe(502);
    const made = living(stack);
    expect(made).toHaveLength(1);
    expect((await post()).status).toBe(201);

    await expireClaims();
    await maintain(stack);
    await maintain(stack);

    expect(living(stack)).toHaveLength(1);
    expect((await contexts()).map(({ status }) => status)).toEqual(["failed", "running"]);
    const [current] = living(stack);
    await stack.call(`/sandbox/${await idOf(current?.id as string)}`, { user, method: "DELETE" });
    await expectPaid(...made, current as StandInSandbox);
  });

  it("of the claimer before it reached E2B, the hold is released", async () => {
    stack.sandboxes.fault({ operation: "create", status: 500 });
    expect((await post()).status).toBe(502);
    expect(await changes()).toEqual({});
    await expireClaims();

    expect(await changes()).toEqual({ resolved: 1 });
    const rows =
      await stack.sql`select status from spend.reservations where tenant_id = ${tenant.id}`;
    expect([...rows]).toEqual([{ status: "released" }]);
    await expectPaid();
  });

  it("of the caller who resumes a sandbox, it is paused again, and what it ran is booked", async () => {
    const sandbox = await open();
    await age(stack, sandbox, 200);
    await maintain(stack);
    expect(await contexts()).toMatchObject([{ status: "paused" }]);
    await stack.sql`select spend.use_context(${sandbox.id}, ${user.id}, gen_random_uuid(), 10)`;
    await connect(sandbox.sandboxId);
    await expireClaims();

    expect(await changes()).toEqual({ orphans: 1 });

    expect(await contexts()).toMatchObject([{ status: "paused" }]);
    expect(stack.sandboxes.sandboxes.get(sandbox.sandboxId)?.state).toBe("paused");
    expect((await bookings())[1]).toMatchObject({ is_estimated: false });
    expect(await changes()).toEqual({});
  });

  it("of the caller before he resumes a sandbox, it stays as it was, and the hold is released", async () => {
    const sandbox = await open();
    await age(stack, sandbox, 200);
    await maintain(stack);
    await stack.sql`select spend.use_context(${sandbox.id}, ${user.id}, gen_random_uuid(), 10)`;
    await expireClaims();

    expect(await changes()).toEqual({ orphans: 1 });
    expect(await contexts()).toMatchObject([{ status: "paused" }]);
    expect((await bookings()).filter(({ cost_usd }) => Number(cost_usd) > 0)).toHaveLength(1);
  });

  it("of the caller who paused a sandbox, before it was booked, it is booked to its pause", async () => {
    const sandbox = await open();
    await ageTo(stack, sandbox, 50);
    await api("POST", `/sandboxes/${sandbox.sandboxId}/pause`);
    await age(stack, sandbox, 20);

    expect(await changes()).toEqual({ paused: 1 });
    expect(await bookings()).toMatchObject([{ cost_usd: usd(51), is_estimated: false }]);
  });

  it("of the sandbox, it is booked to now as an estimate, or after its time-out exactly to that", async () => {
    const [early, late] = [await open("early"), await open("late")];
    await age(stack, late, 400);
    await ageTo(stack, early, 60);
    stack.sandboxes.lose(early.sandboxId);
    const before = performance.now();

    expect(await changes()).toEqual({ lost: 1, expired: 1 });

    const byConversation = Object.fromEntries(
      (await bookings()).map(({ conversation_id, ...event }) => [conversation_id, event]),
    );
    // Booked in full seconds, by the time that maintenance came to it.
    const most = 62 + (performance.now() - before) / 1000;
    const seconds = Math.round(Number(byConversation.early?.cost_usd) / Number(usd(1)));
    expect(seconds).toBeGreaterThanOrEqual(61);
    expect(seconds).toBeLessThanOrEqual(most);
    expect(byConversation).toEqual({
      early: { cost_usd: usd(seconds), is_estimated: true },
      late: { cost_usd: usd(300), is_estimated: false },
    });
  });

  it("of a paused sandbox, its context ends at no cost", async () => {
    const sandbox = await open();
    await age(stack, sandbox, 200);
    await maintain(stack);
    stack.sandboxes.lose(sandbox.sandboxId);

    expect(await changes()).toEqual({ lost: 1 });
    expect(await contexts()).toMatchObject([{ status: "terminated" }]);
    expect(await bookings()).toHaveLength(1);
  });
});

describe("A sandbox that runs without a context", () => {
  it("is killed and booked, for a closed tenant too, and sandboxes of other projects are left alone", async () => {
    const mine = await create({ conversation_id: "talk" }, 40);
    const foreign = await create({ spendgate: "another", conversation_id: "talk" }, 40);
    await stack.sql`update spend.tenants set closed_at = now() where id = ${tenant.id}`;

    expect(await changes()).toEqual({ strays: 1 });

    expect(living(stack).map(({ id }) => id)).toEqual([foreign]);
    await expectPaid(stack.sandboxes.sandboxes.get(mine) as StandInSandbox);
    // What it ran while it was being killed is booked after that, where it is a second more.
    for (const booking of await bookings()) {
      expect(booking).toMatchObject({ conversation_id: "talk", is_estimated: false });
    }
    expect(await changes()).toEqual({});
  });

  it("is killed when its tenant is deleted", async () => {
    await create({ tenant_id: crypto.randomUUID() }, 5);
    expect(await changes()).toEqual({ strays: 1, failed: 1 });
    expect(living(stack)).toEqual([]);
    expect(stack.logs.join()).toContain("stray_not_booked");
  });

  it("is killed by the next run when this one cannot, and booked once", async () => {
    const id = await create({}, 40);
    stack.sandboxes.fault({ operation: "kill", status: 500 });
    expect(await changes()).toEqual({ failed: 1 });
    expect(living(stack)).toHaveLength(1);

    expect(await changes()).toEqual({ strays: 1 });
    await expectPaid(stack.sandboxes.sandboxes.get(id) as StandInSandbox);
  });

  it("is booked when the answer to its kill is lost", async () => {
    const id = await create({}, 40.2);
    stack.sandboxes.fault({ operation: "kill", loseAnswer: true });
    await maintain(stack);
    await maintain(stack);

    expect(living(stack)).toEqual([]);
    await expectPaid(stack.sandboxes.sandboxes.get(id) as StandInSandbox);
  });

  it("but with a paused one is paused again, and what it ran since is booked", async () => {
    const sandbox = await open();
    await age(stack, sandbox, 200);
    await maintain(stack);
    await age(stack, sandbox, 30);
    await connect(sandbox.sandboxId);

    expect(await changes()).toEqual({ strays: 1 });
    expect(stack.sandboxes.sandboxes.get(sandbox.sandboxId)?.state).toBe("paused");
    expect(await bookings()).toHaveLength(2);
    expect(await contexts()).toMatchObject([{ status: "paused" }]);
  });
});

describe("A sandbox that goes on", () => {
  it("is left alone, and paused once it is idle", async () => {
    const sandbox = await open();
    expect(await changes()).toEqual({});
    await age(stack, sandbox, 100);
    expect(await changes()).toEqual({});
    await age(stack, sandbox, 21);

    expect(await changes()).toEqual({ paused: 1 });
    expect(await contexts()).toMatchObject([{ status: "paused", is_booked: true }]);
  });

  it("over its time-out, which E2B has not noticed, is killed and booked to its end", async () => {
    const sandbox = await open();
    await ageTo(stack, sandbox, 200);
    await stack.sql`
      update spend.execution_contexts set expires_at = now() - interval '1 s'
      where id = ${sandbox.id}`;
    const before = performance.now();

    expect(await changes()).toEqual({ expired: 1 });

    expect(living(stack)).toEqual([]);
    const [booking] = await bookings();
    // Booked in full seconds, to the moment at which it was killed.
    const seconds = Math.round(Number(booking?.cost_usd) / Number(usd(1)));
    expect(seconds).toBeGreaterThanOrEqual(201);
    expect(seconds).toBeLessThanOrEqual(202 + (performance.now() - before) / 1000);
    expect(booking).toMatchObject({ cost_usd: usd(seconds), is_estimated: false });
  });

  it("and cannot be paused now is left to the next run, which says so", async () => {
    const sandbox = await open();
    await age(stack, sandbox, 150);
    stack.sandboxes.fault({ operation: "pause", status: 500 });

    expect(await changes()).toEqual({ failed: 1 });
    expect(stack.logs.find((line) => line.includes('"stage":"pause"'))).toBeDefined();
    // Runs wait, and so does the next run of this, as long as the first one may be at it.
    expect(await changes()).toEqual({});
    await stack.sql`
      update spend.execution_contexts set pause_claimed_until = now() where id = ${sandbox.id}`;
    expect(await changes()).toEqual({ paused: 1 });
  });

  it("is left alone when E2B does not answer: the database's work is done, and the answer is 502", async () => {
    stack.sandboxes.fault({ operation: "list", status: 500 });
    const response = await fetch(`${stack.url}/functions/v1/maintenance`, {
      method: "POST",
      headers: { apikey: stack.keys.secret },
    });
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: "upstream_error" });
  });

  it("is dealt with once by five runs at once", async () => {
    const idle = await open("idle");
    await age(stack, idle, 150);
    const lost = await open("lost");
    stack.sandboxes.lose(lost.sandboxId);
    const late = await open("late");
    await age(stack, late, 400);
    const stray = await create({}, 40);
    stack.sandboxes.fault({ operation: "kill", delayMs: 200 });
    stack.sandboxes.fault({ operation: "pause", delayMs: 200 });

    await Promise.all(Array.from({ length: 5 }, () => maintain(stack)));

    expect(living(stack).map(({ id, state }) => [id, state])).toEqual([[idle.sandboxId, "paused"]]);
    expect((await contexts()).map(({ status }) => status)).toEqual([
      "paused",
      "terminated",
      "terminated",
    ]);
    // One for each context; for the stray one before it was killed, perhaps one for the last second.
    const events = await bookings();
    expect(events.filter(({ conversation_id }) => conversation_id)).toHaveLength(3);
    const [ran] = await stack.sql`
      select sum((usage ->> 'seconds')::int)::int as seconds from spend.cost_events
      where tenant_id = ${tenant.id} and conversation_id is null`;
    const { startedAt, endedAt } = stack.sandboxes.sandboxes.get(stray) as StandInSandbox;
    expect(ran?.seconds).toBeGreaterThanOrEqual(Math.ceil(((endedAt ?? 0) - startedAt) / 1000));
    expect(ran?.seconds).toBeLessThanOrEqual(Math.ceil(((endedAt ?? 0) - startedAt) / 1000) + 1);
    expect(await verifyBalances(stack.sql)).toEqual([]);
  });
});

async function idOf(sandboxId: string): Promise<string> {
  const [row] = await stack.sql`
    select id from spend.execution_contexts where sandbox_id = ${sandboxId}`;
  return row?.id;
}

/** A call of E2B's API that did not come through the gate. */
async function api(method: string, path: string, body?: object): Promise<Response> {
  return fetch(`${stack.sandboxes.url}${path}`, {
    method,
    headers: { "x-api-key": "e2b_other" },
    body: body && JSON.stringify(body),
  });
}

const connect = (sandboxId: string) =>
  api("POST", `/v2/sandboxes/${sandboxId}/connect`, { timeout: 300 });

/** A sandbox that nothing in the database knows. */
async function create(metadata: Record<string, string>, secondsAgo: number): Promise<string> {
  stack.sandboxes.fault({ operation: "create", startedSecondsAgo: secondsAgo });
  const response = await api("POST", "/v2/sandboxes", {
    templateID: "base",
    timeout: 300,
    metadata: { spendgate: PROJECT, tenant_id: tenant.id, template: "base", ...metadata },
  });
  return ((await response.json()) as { sandboxID: string }).sandboxID;
}
