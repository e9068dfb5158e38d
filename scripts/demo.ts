// npm run demo: two users in two tenants; one spends its quota, the other does not notice.
// Uses this clone's stack if it runs (npm start), or starts it. `-- --fleet` fills it for the dashboard instead.
import { setTimeout as sleep } from "node:timers/promises";
import { styleText } from "node:util";
import { createClient } from "@supabase/supabase-js";
import { DefaultChatTransport } from "ai";
import WebSocket from "ws";
import type { Database } from "../functions/_shared/database/types.ts";
import { FLEET_PASSWORD, FLEET_PEOPLE, makeFleet } from "./demo/fleet.ts";
import { type RunningStack, runningStack } from "./stack/local_ports.ts";
import { main } from "./stack/main.ts";
import { localSettings } from "./stack/settings.ts";
import { startLocalStack } from "./stack/stack.ts";

const MODEL = "openai/gpt-4o";
const MAX_CALLS = 50;

const say = (line = "") => console.log(line);
const title = (line: string) => say(`\n${styleText("bold", line)}`);
const usd = (amount: number) => `$${amount.toFixed(6)}`;

let stack: RunningStack;

function client(key: string) {
  const { url } = stack;
  return createClient<Database, "spend">(url, key, {
    db: { schema: "spend" },
    auth: { persistSession: false, autoRefreshToken: false },
    realtime: { transport: WebSocket as never }, // Node 20 has no WebSocket of its own.
  });
}

interface Person {
  name: string;
  tenantId: string;
  jwt: string;
  supabase: ReturnType<typeof client>;
}

/** Signs a user up and makes it the owner of a new tenant on the demo plan. */
async function join(name: string, tenant: string): Promise<Person> {
  const supabase = client(stack.keys.publishable);
  const email = `${name.toLowerCase()}-${Date.now()}@example.com`;
  const { data, error } = await supabase.auth.signUp({ email, password: crypto.randomUUID() });
  if (error || !data.user || !data.session) throw error ?? new Error("sign-up gave no session");

  const service = client(stack.keys.secret);
  const { data: row } = await service
    .from("tenants")
    .insert({ name: tenant, plan_id: "demo" })
    .select("id")
    .single()
    .throwOnError();
  await service
    .from("tenant_members")
    .insert({ tenant_id: row.id, user_id: data.user.id, role: "owner" })
    .throwOnError();
  say(`  ${name} signed up and owns ${tenant}`);
  return { name, tenantId: row.id, jwt: data.session.access_token, supabase };
}

function chat(person: Person, text: string, stream: boolean): Promise<Response> {
  const { url, keys } = stack;
  return fetch(`${url}/functions/v1/chat`, {
    method: "POST",
    headers: {
      apikey: keys.publishable,
      authorization: `Bearer ${person.jwt}`,
      "content-type": "application/json",
    },
    body: JSON.stringify({
      model: MODEL,
      maxOutputTokens: 500,
      stream,
      messages: [{ role: "user", content: text }],
    }),
  });
}

/** Streams an answer to the terminal, through the transport that useChat uses. */
async function streamChat(person: Person, text: string): Promise<void> {
  const { url, keys } = stack;
  say(`  ${person.name}: ${text}`);
  process.stdout.write("  model: ");
  const transport = new DefaultChatTransport({
    api: `${url}/functions/v1/chat`,
    headers: { apikey: keys.publishable, authorization: `Bearer ${person.jwt}` },
    body: { model: MODEL, maxOutputTokens: 500 },
  });
  const chunks = await transport.sendMessages({
    chatId: crypto.randomUUID(),
    trigger: "submit-message",
    messageId: undefined,
    abortSignal: undefined,
    messages: [{ id: "1", role: "user", parts: [{ type: "text", text }] }],
  });
  for await (const chunk of chunks as unknown as AsyncIterable<{ type: string; delta?: string }>) {
    if (chunk.type === "text-delta") process.stdout.write(chunk.delta ?? "");
  }
  say();
}

/** What the last call was held at and what it cost, as the user reads it through the Data API. */
async function showCost(person: Person): Promise<void> {
  for (;;) {
    const { data } = await person.supabase
      .from("reservations")
      .select("status, estimated_cost_usd, actual_cost_usd")
      .order("created_at", { ascending: false })
      .limit(1)
      .single()
      .throwOnError();
    if (data.status !== "held") {
      say(`  held ${usd(data.estimated_cost_usd)}, booked ${usd(Number(data.actual_cost_usd))}`);
      return;
    }
    await sleep(50); // It settles in the background.
  }
}

/** What is spent (█), held (▒) and left (░) of the tenant's quota. */
async function showQuota(person: Person): Promise<void> {
  const { data } = await person.supabase
    .from("quota_status")
    .select("limit_usd, spent_usd, reserved_usd")
    .eq("scope", "tenant")
    .single()
    .throwOnError();
  const [limit, spent, held] = [data.limit_usd, data.spent_usd, data.reserved_usd].map(Number) as [
    number,
    number,
    number,
  ];
  const cells = (amount: number) => Math.round((amount / limit) * 30);
  const bar = `${"█".repeat(cells(spent))}${"▒".repeat(cells(spent + held) - cells(spent))}`;
  say(`  ${bar.padEnd(30, "░")}  ${usd(spent)} of $${limit} spent, ${usd(held)} held`);
}

/** Calls until the quota refuses; answers how many were admitted, and the refusal. */
async function spendQuota(person: Person): Promise<Response> {
  for (let call = 1; call <= MAX_CALLS; call++) {
    const response = await chat(person, `Tell me more, part ${call}.`, false);
    if (response.status === 429) {
      say(`  ${call - 1} calls were admitted, the next was not`);
      return response;
    }
    if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
    await response.text();
    await showQuota(person);
  }
  throw new Error(`the quota was not used up after ${MAX_CALLS} calls`);
}

/** A plan of two cents a month, so that it can be used up while you watch. */
async function ensureDemoPlan(): Promise<void> {
  const service = client(stack.keys.secret);
  await service.from("plans").upsert({ id: "demo", name: "Demo" }).throwOnError();
  await service
    .from("plan_quotas")
    .upsert({
      plan_id: "demo",
      scope: "tenant",
      resource_type: "llm",
      period: "month",
      limit_usd: 0.02,
    })
    .throwOnError();
}

async function demonstrate(): Promise<void> {
  title("Two tenants, two cents a month each");
  await ensureDemoPlan();
  const ada = await join("Ada", "Acme");
  const bob = await join("Bob", "Globex");

  title("Ada chats: the cost is held before the call, and booked after it");
  await streamChat(ada, "What does a spend gate do?");
  await showCost(ada);
  await showQuota(ada);

  title("Ada goes on until the quota has no room for one more call");
  const refusal = await spendQuota(ada);

  title(`The refusal: ${refusal.status}, Retry-After ${refusal.headers.get("retry-after")} s`);
  say(`  ${JSON.stringify(await refusal.json(), null, 2).replaceAll("\n", "\n  ")}`);

  title("Bob, in the other tenant, is untouched");
  const answer = await chat(bob, "Hello", false);
  say(`  ${answer.status}: ${((await answer.json()) as { text: string }).text}`);
  await showQuota(bob);

  const { data: differences } = await client(stack.keys.secret)
    .rpc("verify_balances")
    .throwOnError();
  title(`Balances that differ from the ledger: ${differences.length}`);
  if (answer.status !== 200 || differences.length > 0) process.exitCode = 1;
}

/** Sixty tenants with three months of spend, and two sandboxes that run. */
async function demonstrateFleet(): Promise<void> {
  title("Sixty tenants, three months of spend");
  const { url, databaseUrl, keys } = stack;
  if (!(await makeFleet({ url, publishableKey: keys.publishable, databaseUrl }))) {
    say("  They are there already. `npm start -- --fresh` starts with empty data.");
  }
  await openSandboxes(FLEET_PEOPLE[0] as string);
  say(`  Open ${url}/dashboard and sign in, with the password "${FLEET_PASSWORD}", as`);
  for (const email of FLEET_PEOPLE) say(`    ${email}`);
}

async function openSandboxes(email: string): Promise<void> {
  const { url, keys } = stack;
  const owner = client(keys.publishable);
  const { data, error } = await owner.auth.signInWithPassword({ email, password: FLEET_PASSWORD });
  if (error) throw error;
  const { data: tenants } = await owner
    .from("tenants")
    .select("id")
    .neq("plan_id", "free")
    .throwOnError();
  for (const { id } of tenants) {
    const response = await fetch(`${url}/functions/v1/sandbox`, {
      method: "POST",
      headers: {
        apikey: keys.publishable,
        authorization: `Bearer ${data.session.access_token}`,
        "content-type": "application/json",
      },
      body: JSON.stringify({ tenantId: id, conversationId: "quarterly report" }),
    });
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  }
}

const show = process.argv.includes("--fleet") ? demonstrateFleet : demonstrate;

await main(async () => {
  const running = await runningStack(localSettings().data);
  if (running) {
    stack = running;
    return show();
  }
  say("No stack of this clone is running; starting it for the demonstration.");
  const started = await startLocalStack({ report: (line) => say(`  ${line}`) });
  try {
    stack = { url: started.url, databaseUrl: started.database.url, keys: started.keys };
    await show();
  } finally {
    await started.stop();
  }
});
