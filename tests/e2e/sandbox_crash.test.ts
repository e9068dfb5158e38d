// The database dies while a sandbox starts or ends: what runs then is paid for all the same, once.
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { bootstrap } from "../../scripts/stack/bootstrap.ts";
import { type DatabaseServer, startDatabase } from "../../scripts/stack/database.ts";
import { generateKeys, type Keys } from "../../scripts/stack/keys.ts";
import { migrate } from "../../scripts/stack/migrate.ts";
import type { SandboxStandIn } from "../../scripts/stack/sandbox_standin.ts";
import { type Services, startServices } from "../../scripts/stack/stack.ts";
import { killDatabase } from "../support/processes.ts";
import { verifyBalances } from "../support/spend.ts";
import { until } from "../support/until.ts";

let folder: string;
let server: DatabaseServer;
let services: Services;
let sandboxes: SandboxStandIn;
let keys: Keys;
let sql: Sql;
let user: { id: string; jwt: string };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "spendgate-test-"));
  // mkdtemp keeps others out; a server started by root runs as another user.
  await chmod(folder, 0o755);
  server = await startDatabase({ dataDir: folder, port: undefined });
  await bootstrap(server.url);
  await migrate(server.url, { seeds: ["./seeds/prices.sql"] });
  keys = await generateKeys();
  services = await startServices({
    databaseUrl: server.url,
    keys,
    env: { SPENDGATE_GATE_TIMEOUT_MS: "1500" },
  });
  if (!services.sandboxes) throw new Error("a test never starts a real sandbox");
  sandboxes = services.sandboxes;
  sql = postgres(server.url, { max: 2, onnotice: () => {} });
  user = await signUp();
}, 120_000);
afterAll(async () => {
  await sql?.end({ timeout: 1 });
  await services?.stop();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  await sql`delete from spend.tenant_members where user_id = ${user.id}`;
  await sql`
    with tenant as (insert into spend.tenants (name) values ('Tenant') returning id)
    insert into spend.tenant_members (tenant_id, user_id) select id, ${user.id} from tenant`;
});

async function signUp() {
  const response = await fetch(`${services.url}/auth/v1/signup`, {
    method: "POST",
    headers: { apikey: keys.publishable, "content-type": "application/json" },
    body: JSON.stringify({ email: "user@example.com", password: crypto.randomUUID() }),
  });
  const body = (await response.json()) as { access_token: string; user: { id: string } };
  return { id: body.user.id, jwt: body.access_token };
}

const call = (path: string, method = "POST", json?: object) =>
  fetch(`${services.url}/functions/v1${path}`, {
    method,
    headers: { apikey: keys.publishable, authorization: `Bearer ${user.jwt}` },
    body: json && JSON.stringify(json),
  });

async function maintain(): Promise<Record<string, number>> {
  const response = await fetch(`${services.url}/functions/v1/maintenance`, {
    method: "POST",
    headers: { apikey: keys.secret },
  });
  expect(response.status).toBe(200);
  return ((await response.json()) as { sandboxes: Record<string, number> }).sandboxes;
}

async function startAgain(): Promise<void> {
  const { port } = server;
  await server.stop();
  server = await startDatabase({ dataDir: folder, port });
  await until("the API is back", async () => {
    const response = await fetch(`${services.url}/rest/v1/plans`, {
      headers: { apikey: keys.secret, "accept-profile": "spend" },
    });
    return response.ok;
  });
}

it("When the database dies between create and commit, the sandbox goes on, is found, killed and booked, once", async () => {
  sandboxes.fault({ operation: "create", delayMs: 1000, startedSecondsAgo: 20 });
  const opening = call("/sandbox", "POST", { conversationId: "create" });
  await until("the claim is committed", async () => {
    const [row] = await sql`select from spend.execution_contexts where status = 'creating'`;
    return row;
  });
  await killDatabase(server);

  const response = await opening;
  expect(response.status).toBe(503);
  expect(await response.json()).toMatchObject({ error: "quota_unavailable", stage: "create" });
  const [sandbox] = sandboxes.sandboxes.values();
  expect(sandbox?.state).toBe("running");

  await startAgain();
  await sql`
    update spend.execution_contexts set
      claimed_at = claimed_at - interval '80 s', claim_expires_at = now() - interval '1 s'`;
  expect(await maintain()).toMatchObject({ orphans: 1, strays: 0, failed: 0 });
  expect(await maintain()).toMatchObject({ listed: 0, open: 0, orphans: 0 });

  expect(sandbox?.state).toBe("ended");
  const ran = ((sandbox?.endedAt ?? 0) - (sandbox?.startedAt ?? 0)) / 1000;
  const events = await sql`
    select (usage ->> 'seconds')::int as seconds from spend.cost_events
    where conversation_id = 'create'`;
  expect(events).toHaveLength(1);
  expect(events[0]?.seconds).toBeGreaterThanOrEqual(Math.ceil(ran));
  expect(events[0]?.seconds).toBeLessThanOrEqual(Math.ceil(ran) + 1);
  expect(await verifyBalances(sql)).toHaveLength(0);
});

it("When the database dies between kill and commit, the answer says that the sandbox is booked later, and it is", async () => {
  const opened = await call("/sandbox", "POST", { conversationId: "kill" });
  const { id } = (await opened.json()) as { id: string };
  await sql`
    update spend.execution_contexts set
      claimed_at = claimed_at - interval '20 s', started_at = started_at - interval '20 s'
    where id = ${id}`;
  sandboxes.fault({ operation: "kill", delayMs: 1000 });
  const ending = call(`/sandbox/${id}`, "DELETE");
  await new Promise((resolve) => setTimeout(resolve, 500));
  await killDatabase(server);

  const response = await ending;
  expect(response.status).toBe(503);
  expect(await response.json()).toEqual({
    error: "quota_unavailable",
    message: "The sandbox has ended; what it cost is booked later.",
    stage: "settle",
  });

  await startAgain();
  expect(await maintain()).toMatchObject({ lost: 1, failed: 0 });
  const events = await sql`
    select is_estimated, (usage ->> 'seconds')::int as seconds from spend.cost_events
    where conversation_id = 'kill'`;
  expect(events).toHaveLength(1);
  expect(events[0]?.is_estimated).toBe(true);
  expect(events[0]?.seconds).toBeGreaterThanOrEqual(21);
  expect(await verifyBalances(sql)).toHaveLength(0);
});
