// Random runs at once, while E2B fails or answers late: no run that began loses its sandbox, and every second is
// paid for. SPENDGATE_SANDBOX_RUNS sets how many runs, and SPENDGATE_SEED which.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { SandboxOperation, Weather } from "../../scripts/stack/sandbox_standin.ts";
import { type Random, seeded } from "../support/random.ts";
import { verifyBalances } from "../support/spend.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";
import { until } from "../support/until.ts";

const RUNS = Number(process.env.SPENDGATE_SANDBOX_RUNS) || 300;
const SEED = Number(process.env.SPENDGATE_SEED) || Math.floor(Math.random() * 2 ** 31);
const CONVERSATIONS = 8;
const ACTORS = 12;
/** Seconds that each run may take, and that it never takes. */
const RUN_SECONDS = 3;

let stack: TestStack;
let user: TestUser;
let tenant: TestTenant;

beforeAll(async () => {
  stack = await startTestStack({
    env: {
      // The first calls of all come at once, to a stack that has loaded nothing yet.
      SPENDGATE_GATE_TIMEOUT_MS: "20000",
      SPENDGATE_E2B_TIMEOUT_MS: "2000",
      SPENDGATE_SANDBOX_IDLE_SECONDS: "1",
      SPENDGATE_SANDBOX_TIMEOUT_SECONDS: "10",
      SPENDGATE_SANDBOX_WAIT_MS: "4000",
    },
  });
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user] });
  await stack.sql`update spend.cost_quotas set limit_usd = 1000 where tenant_id = ${tenant.id}`;
});
afterAll(() => stack.stop());

const call = (method: string, path: string, json?: object) =>
  stack.call(path, { user, method, json });

const maintain = () =>
  stack.call("/maintenance", { method: "POST", headers: { apikey: stack.keys.secret } });

/** Delays, failures and lost answers, at each call of E2B's API; what runs in a sandbox is let in late. */
function weatherOf(random: Random): Weather {
  return (operation) => {
    const delayMs = random.chance(0.3) ? random.int(0, 400) : 0;
    if (operation === "run") return { delayMs };
    const answerDelayMs = random.chance(0.3) ? random.int(0, 400) : 0;
    const fate = random.next();
    if (fate < 0.04) return { delayMs, status: random.pick([500, 502, 503]) };
    if (fate < 0.07) return { delayMs, status: 504, appliesAfterMs: random.int(50, 1500) };
    if (fate < 0.1) return { delayMs, loseAnswer: true };
    return { delayMs, answerDelayMs };
  };
}

class World {
  readonly random = seeded(SEED);
  readonly contexts = new Map<string, string>();
  /** Requests on the way that use a conversation's sandbox. */
  readonly using = new Map<string, number>();
  /** Runs that were under way when somebody ended or paused their sandbox. */
  readonly disturbed = new Set<string>();
  readonly wrong: string[] = [];
  readonly answers = new Map<string, number>();
  runs = 0;
  checked = 0;

  count(what: string): void {
    this.answers.set(what, (this.answers.get(what) ?? 0) + 1);
  }

  async act(random: Random): Promise<void> {
    const conversation = `talk ${random.int(1, CONVERSATIONS)}`;
    const dice = random.next();
    if (dice < 0.05) return this.end(conversation);
    if (dice < 0.08) return this.pause(conversation);
    if (dice < 0.14) return void (await maintain());
    if (dice < 0.2) return void (await this.open(conversation));
    return this.run(conversation, random);
  }

  async open(conversation: string): Promise<string | undefined> {
    const response = await call("POST", "/sandbox", { conversationId: conversation });
    const body = (await response.json()) as { id: string; error?: string };
    this.count(`open ${response.status} ${body.error ?? ""}`);
    if (response.status >= 500 && response.status !== 502) {
      this.wrong.push(`open: ${response.status} ${JSON.stringify(body)}`);
    }
    if (response.ok) this.contexts.set(conversation, body.id);
    return response.ok ? body.id : undefined;
  }

  async run(conversation: string, random: Random): Promise<void> {
    const id = this.contexts.get(conversation) ?? (await this.open(conversation));
    if (id === undefined) return;
    this.runs++;
    const name = `run ${this.runs} of ${conversation}`;
    this.using.set(name, this.using.get(name) ?? 1);
    const ms = random.int(1, 500);
    const response = await call("POST", `/sandbox/${id}/run`, {
      code: `await new Promise((done) => setTimeout(done, ${ms})); console.log("done")`,
      language: "javascript",
      timeoutSeconds: RUN_SECONDS,
    });
    this.using.delete(name);
    const body = (await response.json()) as { stdout?: string; error?: unknown; stage?: string };
    this.count(`run ${response.status} ${response.ok ? "" : `${body.error} ${body.stage}`}`);
    if (response.status === 404) this.contexts.delete(conversation);
    // One that waits for others in its sandbox may come to its end of time: that is no loss.
    const isCut = response.ok ? body.stdout !== "done\n" : body.stage === "run";
    const isLost = isCut && !(await isRunning(id));
    const isOdd = response.status >= 500 && response.status !== 502;
    if ((isLost && !this.disturbed.has(name)) || isOdd) {
      const story = await storyOf(id);
      this.wrong.push(`${name} in ${id}: ${response.status} ${JSON.stringify(body)}; ${story}`);
    }
  }

  /** What somebody asked for E2B may do up to 1.5 s later, too. */
  async disturb(conversation: string, work: () => Promise<void>): Promise<void> {
    const mark = () => {
      for (const name of this.using.keys()) {
        if (name.endsWith(` of ${conversation}`)) this.disturbed.add(name);
      }
    };
    mark();
    const marking = setInterval(mark, 10);
    await work();
    setTimeout(() => clearInterval(marking), 1600);
  }

  async end(conversation: string): Promise<void> {
    const id = this.contexts.get(conversation);
    if (id === undefined) return;
    await this.disturb(conversation, async () => {
      const response = await call("DELETE", `/sandbox/${id}`);
      this.count(`end ${response.status}`);
      if (response.ok) this.contexts.delete(conversation);
    });
  }

  /** From E2B's dashboard. */
  async pause(conversation: string): Promise<void> {
    const id = this.contexts.get(conversation) ?? "";
    const sandbox = [...stack.sandboxes.sandboxes.values()].find(
      ({ metadata, state }) => metadata.context_id === id && state === "running",
    );
    if (!sandbox) return;
    await this.disturb(conversation, async () => {
      await fetch(`${stack.sandboxes.url}/sandboxes/${sandbox.id}/pause`, {
        method: "POST",
        headers: { "x-api-key": "e2b_other" },
      }).catch(() => {});
    });
  }

  /** When code is let in, E2B ends its sandbox no earlier than it may end, and so does the database. */
  async watch(stopped: AbortSignal): Promise<void> {
    const { journal, sandboxes } = stack.sandboxes;
    while (!stopped.aborted) {
      for (; this.checked < journal.length; this.checked++) {
        const entry = journal[this.checked];
        if (entry?.operation !== "run" || entry.status !== 200) continue;
        const sandbox = sandboxes.get(entry.sandboxId ?? "");
        const leastEnd = entry.at.getTime() + RUN_SECONDS * 1000;
        if (sandbox?.state === "running" && sandbox.endAt < leastEnd) {
          this.wrong.push(`E2B ends ${entry.sandboxId} ${leastEnd - sandbox.endAt} ms too early`);
        }
        const [row] = await stack.sql`
          select expires_at from spend.execution_contexts
          where sandbox_id = ${entry.sandboxId} and status = 'running'`;
        if (row && row.expires_at.getTime() < leastEnd) {
          this.wrong.push(`the database ends ${entry.sandboxId} too early`);
        }
      }
      await sleep(20);
    }
  }
}

it(`${RUNS} runs of ${ACTORS} at once in ${CONVERSATIONS} conversations, seed ${SEED}, lose no sandbox and pay for every second`, async () => {
  const world = new World();
  const stopped = new AbortController();
  const watching = world.watch(stopped.signal);
  stack.sandboxes.weather(weatherOf(world.random.fork()));
  stack.sandboxes.rude({ shortensOnConnect: SEED % 2 === 1, keepsFirstStart: SEED % 3 === 1 });

  await Promise.all(
    Array.from({ length: ACTORS }, async () => {
      const random = world.random.fork();
      while (world.runs < RUNS) await world.act(random);
    }),
  );
  stopped.abort();
  await watching;
  const seen = JSON.stringify(Object.fromEntries([...world.answers].sort()));
  expect(world.wrong, `wrong: ${world.wrong.join("; ")}\nseen: ${seen}`).toEqual([]);

  await endAll();
  await expectPaid();
  const succeeded = world.answers.get("run 200 ") ?? 0;
  expect(succeeded, seen).toBeGreaterThan(RUNS / 2);
}, 300_000);

/** What was asked of the sandbox of a context, by the millisecond before now, and what became of it. */
async function storyOf(id: string): Promise<string> {
  const [row] = await stack.sql`select * from spend.execution_contexts where id = ${id}`;
  const sandbox = stack.sandboxes.sandboxes.get(row?.sandbox_id);
  const asked = stack.sandboxes.journal
    .filter(({ sandboxId }) => sandboxId !== null && sandboxId === row?.sandbox_id)
    .slice(-20)
    .map(({ operation, status, at }) => `${at.getTime() - Date.now()} ${operation} ${status}`);
  const { state, endAt, endedAt } = sandbox ?? {};
  return JSON.stringify({ asked, state, endAt, endedAt, now: Date.now(), row });
}

async function isRunning(id: string): Promise<boolean> {
  const [row] = await stack.sql`select sandbox_id from spend.execution_contexts where id = ${id}`;
  return stack.sandboxes.sandboxes.get(row?.sandbox_id)?.state === "running";
}

/** E2B fails no more; users end what is alive, and maintenance what nobody has. */
async function endAll(): Promise<void> {
  stack.sandboxes.weather(undefined);
  stack.sandboxes.rude({});
  // What E2B was told, and does late.
  await sleep(1600);
  await stack.sql`
    update spend.execution_contexts set
      claim_expires_at = greatest(claimed_at + interval '1 ms', least(claim_expires_at, now())), pause_claimed_until = null`;
  await maintain();
  const live = await stack.sql`
    select id from spend.execution_contexts where status in ('creating', 'running', 'paused')`;
  await Promise.all(live.map(({ id }) => call("DELETE", `/sandbox/${id}`)));
  await until("maintenance finds nothing more to do", async () => {
    const response = await maintain();
    const { sandboxes } = (await response.json()) as { sandboxes: Record<string, number> };
    return Object.values(sandboxes).every((count) => count === 0);
  });
}

async function expectPaid(): Promise<void> {
  const { sandboxes } = stack.sandboxes;
  const all = [...sandboxes.values()];
  expect(all.filter(({ state }) => state !== "ended")).toEqual([]);
  const [left] = await stack.sql`
    select
      (select count(*)::int from spend.reservations where status = 'held') as held,
      (select count(*)::int from spend.execution_contexts where booked_at is null) as open`;
  expect(left).toEqual({ held: 0, open: 0 });
  expect(await verifyBalances(stack.sql)).toEqual([]);

  const ran = all.reduce((sum, { id }) => sum + stack.sandboxes.ranMs(id) / 1000, 0);
  const [booked] = await stack.sql`
    select sum((usage ->> 'seconds')::int)::int as seconds, count(*)::int as bookings,
      (sum((usage ->> 'seconds')::int) filter (where is_estimated))::int as estimated
    from spend.cost_events where kind = 'charge'`;
  const figures = JSON.stringify({ ran, ...booked, sandboxes: all.length });
  expect(booked?.seconds, figures).toBeGreaterThanOrEqual(ran);
  // Each interval is rounded up, and seen to end a little late; what is estimated is a bound.
  expect(booked?.seconds - (booked?.estimated ?? 0), figures).toBeLessThanOrEqual(
    ran + 3 * booked?.bookings,
  );
  const made = (operation: SandboxOperation) =>
    stack.sandboxes.journal.filter((entry) => entry.operation === operation).length;
  expect(made("timeout"), "nothing shortens").toBe(0);
}
