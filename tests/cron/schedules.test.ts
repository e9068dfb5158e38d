// What the database schedules for itself, on a PostgreSQL that has pg_cron: maintenance, and the calls of the edge
// functions by pg_net. Two projects wait for the same minute: one without Vault, whose functions are a receiver, and one
// with Vault and the functions themselves.
import type { IncomingMessage } from "node:http";
import type { Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { generateKeys, type Keys } from "../../scripts/stack/keys.ts";
import { startServices } from "../../scripts/stack/stack.ts";
import { forward, readBody, startServer, type TestServer } from "../support/server.ts";
import { addTenant, addTestModel, usageOf } from "../support/spend.ts";
import { until } from "../support/until.ts";
import { installVault, startNet } from "./extensions.ts";
import {
  type CronServer,
  findCronServer,
  installCron,
  OWNER,
  type Project,
  startProject,
} from "./server.ts";

/** Jobs start with the minute. */
const WITHIN_SECONDS = 70;

const FIRST_KEY = "sb_secret_first";
const KEY = "sb_secret_second";

const installed = await findCronServer();
if (installed === null && process.env.SPENDGATE_CRON === "required") {
  throw new Error("SPENDGATE_CRON is required, and no PostgreSQL with pg_cron is installed.");
}

const NOT_BOTH =
  /WARNING: {2}pg_cron and pg_net are not both here: nothing is scheduled\. Install them \(create extension pg_cron; create extension pg_net\)/g;

const TITLE =
  installed === null
    ? "Skipped, because no PostgreSQL with pg_cron is installed (apt-get install postgresql-15-cron)"
    : `With pg_cron ${installed.cronVersion} on PostgreSQL ${installed.version}`;

interface Post {
  to: string;
  apikey: unknown;
  type: unknown;
}

const postOf = ({ method, url, headers }: IncomingMessage): Post => ({
  to: `${method} ${url}`,
  apikey: headers.apikey,
  type: headers["content-type"],
});

/** What each function is sent. */
const postsTo = (path: string, key: string): Post[] =>
  ["alerts", "maintenance"].map((name) => ({
    to: `POST ${path}/${name}`,
    apikey: key,
    type: "application/json",
  }));

/** One of each, sorted: the minute may have passed twice. */
function distinct(posts: Post[]): Post[] {
  const byText = new Map(posts.map((post) => [JSON.stringify(post), post]));
  return [...byText.keys()]
    .sort()
    .map((text) => byText.get(text) as Post)
    .sort(byTarget);
}
const byTarget = (a: Post, b: Post) => a.to.localeCompare(b.to);

const job = (name: string, command: string, every = "* * * * *") => ({
  name: `spend-${name}`,
  schedule: every,
  command,
  username: OWNER,
  database: "postgres",
  active: true,
});

const CALLS = ["alerts", "maintenance"].map((name) =>
  job(`call-${name}`, `select spend_private.call_function('${name}')`),
);

const jobs = async (sql: Sql) => [
  ...(await sql`
    select jobname::text as name, schedule, command, username, database, active
    from cron.job order by jobname`),
];

/** Everything that pg_cron keeps, as text. */
async function allOfCron(sql: Sql): Promise<string> {
  const [row] = await sql`
    select concat(
      (select jsonb_agg(to_jsonb(j)) from cron.job as j),
      (select jsonb_agg(to_jsonb(r)) from cron.job_run_details as r)
    ) as text`;
  return row?.text;
}

/** Jobs of which every run that ended has succeeded; with what the others said. */
const outcomes = async (sql: Sql) => [
  ...(await sql`
    select distinct j.jobname::text as name,
      case r.status when 'failed' then 'failed: ' || r.return_message else r.status end as status
    from cron.job_run_details as r join cron.job as j using (jobid)
    where r.end_time is not null or r.status = 'failed'
    order by 1, 2`),
];

const succeeded = (...names: string[]) =>
  names.map((name) => ({ name: `spend-${name}`, status: "succeeded" }));

async function schedule(owner: Sql, url: string, key: string): Promise<boolean> {
  const [row] = await owner`select spend.schedule_functions(${url}, ${key}) as is_scheduled`;
  return row?.is_scheduled;
}

const keptKeys = async (sql: Sql) => [
  ...(await sql`
    select functions_url as url, secret_key as key, vault_id is not null as "isInVault"
    from spend_private.function_calls`),
];

/** A call of $0.25 that nobody settles within its second. */
async function leaveCall(sql: Sql): Promise<string> {
  await addTestModel(sql);
  const tenant = await addTenant(sql, 10, 4);
  const [call] = await sql`
    select allowed, reservation_id as id
    from spend.reserve(${tenant}, null, 'llm', ${sql.json(usageOf(0.25))}, ttl_seconds => 1)`;
  expect(call?.allowed).toBe(true);
  return call?.id;
}

async function callOf(sql: Sql, id: string) {
  const [call] = await sql`
    select status, actual_cost_usd::float8 as usd from spend.reservations where id = ${id}`;
  return call;
}

describe.skipIf(installed === null)(TITLE, () => {
  const server = installed as CronServer;
  const knowsSeconds = server?.cronVersion >= 1.5;
  const MAINTENANCE = [
    job("expire", "select spend.expire_reservations(200)", knowsSeconds ? "10 seconds" : undefined),
    job("maintain", "call spend.run_maintenance()"),
  ];

  // What was started, stopped in the opposite order.
  const parts: { stop(): Promise<unknown> }[] = [];
  async function keep<T extends { stop(): Promise<unknown> }>(starting: Promise<T>): Promise<T> {
    const part = await starting;
    parts.push(part);
    return part;
  }

  let plain: Project;
  let elsewhere: Sql;
  let receiver: TestServer;
  const received: Post[] = [];
  let left: string;

  let vaulted: Project;
  let keys: Keys;
  let journal: TestServer;
  const passed: Post[] = [];
  let hook: TestServer;
  const hooked: { type: string; data: { tenantId: string } }[] = [];
  let warned: string;

  beforeAll(async () => {
    // One after the other: they share the machine with other tests.
    plain = await keep(startProject(server, "connections"));
    elsewhere = await plain.addDatabase("elsewhere");
    vaulted = await keep(startProject(server, "workers"));
    await installVault(vaulted.sql);

    receiver = await keep(
      startServer((request, response) => {
        received.push(postOf(request));
        response.writeHead(200).end("{}");
      }),
    );
    keys = await generateKeys();
    hook = await keep(
      startServer(async (request, response) => {
        hooked.push(JSON.parse(await readBody(request)));
        response.writeHead(204).end();
      }),
    );
    const env = { ALERT_WEBHOOK_URL: hook.url };
    const functions = await keep(startServices({ databaseUrl: vaulted.url, keys, env }));
    journal = await keep(
      startServer((request, response) => {
        passed.push(postOf(request));
        forward(functions.url, request, response);
      }),
    );
    left = await leaveCall(plain.sql);
  }, 300_000);
  afterAll(async () => {
    for (const part of parts.reverse()) await part.stop();
  });

  describe("a project without Vault", () => {
    it(`has two jobs of its owner after its migrations, reservations expire ${knowsSeconds ? "every 10 seconds" : "every minute, and a warning says why"}`, async () => {
      expect(await jobs(plain.sql)).toEqual(MAINTENANCE);
      // The database without pg_cron has none that could reject it.
      const warnings = (await plain.log()).match(/WARNING: {2}pg_cron rejects .*/g) ?? [];
      expect(warnings).toEqual(
        knowsSeconds
          ? []
          : [
              'WARNING:  pg_cron rejects spend-expire at "10 seconds": invalid schedule: 10 seconds',
            ],
      );
      const [status] = await plain.owner`select * from spend.maintenance_status()`;
      expect(status).toMatchObject({
        scheduled_by: "pg_cron",
        maintain_schedule: "* * * * *",
        expire_schedule: MAINTENANCE[0]?.schedule,
      });
    });

    it("has a second database, where the migrations warn that nothing is scheduled, and nothing can be", async () => {
      expect(await plain.log()).toMatch(
        /WARNING: {2}pg_cron is not used here: .*\. Call spend\.run_maintenance\(\) every minute by other means\./,
      );
      const [row] = await elsewhere`select spend_private.schedule_maintenance() as is_scheduled`;
      expect(row).toEqual({ is_scheduled: false });
      expect(await plain.log()).toContain(
        "WARNING:  Nothing runs spend.run_maintenance(). Call it every minute by other means",
      );
      expect(await schedule(elsewhere, receiver.url, FIRST_KEY)).toBe(false);
      expect((await plain.log()).match(NOT_BOTH)).toHaveLength(1);
      const [status] = await elsewhere`select * from spend.maintenance_status()`;
      expect(status).toMatchObject({ is_running: false, scheduled_by: null });
      expect(status?.remedy).toMatch(/^Nobody runs maintenance: call spend\.run_maintenance\(\)/);
      expect(await jobs(plain.sql)).toEqual(MAINTENANCE);
    });

    it("without pg_net, schedule_functions answers false, warns what to install, and keeps no key", async () => {
      expect(await schedule(plain.owner, receiver.url, FIRST_KEY)).toBe(false);
      expect((await plain.log()).match(NOT_BOTH)).toHaveLength(2);
      expect(await keptKeys(plain.sql)).toEqual([]);
      expect(await jobs(plain.sql)).toEqual(MAINTENANCE);
    });

    it("with pg_net it answers true; again with another URL and key, and after one job was unscheduled, two jobs are there", async () => {
      await keep(startNet(plain.sql));
      expect(await schedule(plain.owner, `${receiver.url}/old`, FIRST_KEY)).toBe(true);
      expect(await schedule(plain.owner, `${receiver.url}/functions/v1/`, KEY)).toBe(true);
      expect(await jobs(plain.sql)).toEqual([...CALLS, ...MAINTENANCE]);
      await plain.owner`select cron.unschedule('spend-call-alerts')`;
      expect(await jobs(plain.sql)).toEqual([CALLS[1], ...MAINTENANCE]);
      expect(await schedule(plain.owner, `${receiver.url}/functions/v1/`, KEY)).toBe(true);
      expect(await jobs(plain.sql)).toEqual([...CALLS, ...MAINTENANCE]);
      expect(await keptKeys(plain.sql)).toEqual([
        { url: `${receiver.url}/functions/v1`, key: KEY, isInVault: false },
      ]);
    });
  });

  describe("a project with Vault", () => {
    const secretsOf = async () => [
      ...(await vaulted.sql`select name, decrypted_secret as key from vault.decrypted_secrets`),
    ];

    it("keeps the key in Vault alone, one secret however often it is scheduled", async () => {
      await keep(startNet(vaulted.sql));
      const url = `${journal.url}/functions/v1`;
      expect(await schedule(vaulted.owner, url, FIRST_KEY)).toBe(true);
      expect(await schedule(vaulted.owner, url, keys.secret)).toBe(true);
      expect(await jobs(vaulted.sql)).toEqual([...CALLS, ...MAINTENANCE]);
      expect(await keptKeys(vaulted.sql)).toEqual([{ url, key: null, isInVault: true }]);
      expect(await secretsOf()).toEqual([{ name: "spendgate_functions", key: keys.secret }]);
    });

    it("has it there again after somebody deleted it, and after an earlier installation left one", async () => {
      const url = `${journal.url}/functions/v1`;
      await vaulted.sql`delete from vault.secrets`;
      await expect(vaulted.owner`select spend_private.call_function('alerts')`).rejects.toThrow(
        "gone from Vault, or was never set: call spend.schedule_functions",
      );
      expect(await schedule(vaulted.owner, url, keys.secret)).toBe(true);
      expect(await secretsOf()).toEqual([{ name: "spendgate_functions", key: keys.secret }]);
      await vaulted.sql`delete from spend_private.function_calls`;
      await vaulted.sql`update vault.secrets set secret = ${FIRST_KEY}`;
      expect(await schedule(vaulted.owner, url, keys.secret)).toBe(true);
      expect(await secretsOf()).toEqual([{ name: "spendgate_functions", key: keys.secret }]);
      expect(await keptKeys(vaulted.sql)).toEqual([{ url, key: null, isInVault: true }]);

      warned = await addTenant(vaulted.sql, 10, 4);
      await vaulted.sql`select spend.adjust(${warned}, 8.5, 'test', 'llm')`;
    });
  });

  describe("within 70 seconds", () => {
    it("a call of $0.25 that nobody settled is charged, and maintenance has run, by pg_cron alone", async () => {
      await until(
        "the reservation expires",
        async () => (await callOf(plain.sql, left))?.status === "expired",
        WITHIN_SECONDS,
      );
      expect(await callOf(plain.sql, left)).toEqual({ status: "expired", usd: 0.25 });
      const done = async () => {
        const [status] = await plain.owner`select * from spend.maintenance_status()`;
        return status?.is_running && status.late_jobs.length === 0 && status;
      };
      const status = await until("no job of maintenance is late", done, 30);
      expect(status).toMatchObject({ scheduled_by: "pg_cron", open_problems: "0", remedy: null });
    }, 120_000);

    it("the receiver gets POST /alerts and /maintenance with the last key, and nothing else", async () => {
      await until("both are called", () => distinct(received).length >= 2, WITHIN_SECONDS);
      expect(distinct(received)).toEqual(postsTo("/functions/v1", KEY));
    });

    it("the functions themselves are called with the key from Vault, and maintenance answers 200", async () => {
      await until("both are called", () => distinct(passed).length >= 2, WITHIN_SECONDS);
      expect(distinct(passed)).toEqual(postsTo("/functions/v1", keys.secret));
      const answered = async () => {
        const rows =
          await vaulted.sql`select status_code as status, content from net._http_response`;
        return rows.find(({ content }) => /"expire_reservations":/.test(content ?? ""));
      };
      const answer = await until("maintenance has answered", answered, 30);
      expect(answer.status).toBe(200);
    });

    it("the warning of a tenant that has spent $8.50 of $10 comes to the webhook, once", async () => {
      await until("the webhook is called", () => hooked.length > 0, WITHIN_SECONDS);
      expect(hooked).toMatchObject([{ type: "quota.warning", data: { tenantId: warned } }]);
      const deliveries = () => vaulted.sql`
        select a.kind, d.channel, d.attempts, d.delivered_at - a.created_at < interval '70 seconds' as "isInTime"
        from spend.alert_deliveries as d join spend.alerts as a on a.id = d.alert_id
        where d.delivered_at is not null`;
      const [delivery] = await until("it is on record", async () => {
        const rows = await deliveries();
        return rows.length > 0 && rows;
      });
      expect(delivery).toEqual({
        kind: "quota_warning",
        channel: "webhook",
        attempts: 1,
        isInTime: true,
      });
    });

    it("every run of every job has succeeded, through connections and in workers", async () => {
      const names = ["call-alerts", "call-maintenance", "expire", "maintain"];
      for (const { sql } of [plain, vaulted]) {
        const all = async () => (await outcomes(sql)).length >= names.length;
        await until("each job has ended once", all, WITHIN_SECONDS);
        expect(await outcomes(sql)).toEqual(succeeded(...names));
      }
    });

    it("the key is in nothing that pg_cron keeps, and no role of the Data API reads it", async () => {
      expect(await allOfCron(plain.sql)).not.toContain("sb_secret");
      expect(await allOfCron(vaulted.sql)).not.toContain("sb_secret");
      for (const role of ["anon", "authenticated", "service_role"]) {
        for (const statement of [
          "select * from spend_private.function_calls",
          "select spend_private.call_function('alerts')",
          "select spend.schedule_functions('https://example.com', 'k')",
        ]) {
          const attempt = plain.sql.begin(async (transaction) => {
            await transaction.unsafe(`set local role ${role}`);
            await transaction.unsafe(statement);
          });
          await expect(attempt, `${role}: ${statement}`).rejects.toThrow("permission denied");
        }
      }
    });
  });

  it("pg_cron that is installed again has both jobs after schedule_maintenance()", async () => {
    await plain.sql`drop extension pg_cron cascade`;
    const [before] = await plain.owner`select * from spend.maintenance_status()`;
    expect(before).toMatchObject({ is_running: true, scheduled_by: "other" });
    await installCron(plain.sql);
    const [row] = await plain.owner`select spend_private.schedule_maintenance() as is_scheduled`;
    expect(row).toEqual({ is_scheduled: true });
    expect(await jobs(plain.sql)).toEqual(MAINTENANCE);
  });
});
