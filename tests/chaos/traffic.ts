// Traffic of many tenants: over HTTP, as a frontend sends it, and in SQL, as a worker of one's own does.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import postgres, { type Sql } from "postgres";
import { sign } from "../isolation/tokens.ts";
import type { Random } from "../support/random.ts";
import { addQuota, addTestModel, addUser, usageOf } from "../support/spend.ts";
import type { World } from "./world.ts";

export interface Tenant {
  id: string;
  user: string;
  jwt: string;
}

/** What was answered, and so must be true after any crash. */
export interface Answered {
  /** Reservations that a caller was told of. */
  reservations: Set<string>;
  /** Cost of calls, by reservation, that a caller was told is booked. */
  booked: Map<string, number>;
  /** HTTP statuses, and how many of each; `cut` where no answer came. */
  statuses: Map<string, number>;
  /** What no answer may be. */
  faults: string[];
}

/** Tenants with quotas of every kind; limits that the traffic reaches. */
export async function addTenants(world: World, count: number): Promise<Tenant[]> {
  const sql = world.direct();
  await addTestModel(sql);
  await addQuota(sql, {
    scope: "platform",
    resourceType: "all",
    limitUsd: 10_000,
    period: "hour",
    slots: 8,
  });
  const tenants: Tenant[] = [];
  for (let index = 0; index < count; index++) {
    const [row] =
      await sql`insert into spend.tenants (name) values (${`Tenant ${index}`}) returning id`;
    const id = row?.id as string;
    // As Auth does it; the tokens below are what it would sign.
    const user = await addUser(sql, id);
    await sql`delete from spend.cost_quotas where tenant_id = ${id}`;
    await addQuota(sql, { scope: "tenant", tenantId: id, limitUsd: 40, slots: 1 + (index % 4) });
    await addQuota(sql, { scope: "tenant", tenantId: id, limitUsd: 15, period: "hour", slots: 4 });
    await addQuota(sql, { scope: "user", tenantId: id, userId: user, limitUsd: 25, period: "day" });
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      sub: user,
      role: "authenticated",
      aud: "authenticated",
      iat: now,
      exp: now + 86_400,
    };
    tenants.push({ id, user, jwt: sign(claims, world.keys.jwtSecret) });
  }
  return tenants;
}

/** Chats, one after the other; some callers hang up. Each has a marker, which the provider sees and the ledger keeps. */
export async function chat(
  world: World,
  tenants: Tenant[],
  answered: Answered,
  random: Random,
  isOver: () => boolean,
): Promise<void> {
  while (!isOver()) {
    const tenant = random.pick(tenants);
    const marker = randomUUID();
    const leaves = random.chance(0.15) ? random.int(5, 400) : 10_000;
    const stream = random.chance(0.6);
    const status = await fetch(`${world.functionsUrl()}/chat`, {
      method: "POST",
      headers: { authorization: `Bearer ${tenant.jwt}`, "content-type": "application/json" },
      body: JSON.stringify({
        tenantId: tenant.id,
        model: "openai/gpt-4o-mini",
        conversationId: marker,
        messages: [{ role: "user", content: `call ${marker}` }],
        stream,
      }),
      signal: AbortSignal.timeout(leaves),
    }).then(
      async (response) => {
        const text = await response.text().catch(() => "");
        if (![200, 429, 502, 503].includes(response.status)) {
          answered.faults.push(`${response.status} ${text.slice(0, 300)}`);
        }
        return `${response.status}`;
      },
      () => "cut",
    );
    answered.statuses.set(status, (answered.statuses.get(status) ?? 0) + 1);
    if (status === "cut") await sleep(20);
  }
}

/** Errors after which one asks again with the same key: the connection broke, or the server is down or starting. */
const TRANSIENT =
  /^(CONNECTION_\w+|CONNECT_TIMEOUT|ECONN\w+|EPIPE|57P0\d|08\w{3}|55P03|53300|XX000)$/;

/**
 * Calls in SQL with keys, asked again until they are answered, as a caller must who wants to know. Around the end of
 * an hour by the clock of the call: some are made before it, and settled after it.
 */
export async function work(
  world: World,
  tenants: Tenant[],
  answered: Answered,
  random: Random,
  isOver: () => boolean,
): Promise<void> {
  const client = new Client(world.databaseUrl);
  try {
    while (!isOver()) await oneCall(client, random.pick(tenants), answered, random);
  } finally {
    client.close();
  }
}

/** One connection, and another one where it broke in a way that the driver does not notice. */
class Client {
  #sql: Sql | undefined;

  constructor(readonly url: string) {}

  async ask(query: Query): Promise<Record<string, unknown>[]> {
    this.#sql ??= postgres(this.url, { max: 1, onnotice: () => {}, connect_timeout: 3 });
    const answer = query(this.#sql);
    answer.catch(() => {});
    const late = AbortSignal.timeout(3000);
    return Promise.race([
      answer,
      new Promise<never>((_, reject) =>
        late.addEventListener("abort", () => {
          reject(Object.assign(new Error("no answer in 3 s"), { code: "CONNECT_TIMEOUT" }));
        }),
      ),
    ]).catch((error) => {
      if (TRANSIENT.test(error.code)) this.close();
      throw error;
    });
  }

  close(): void {
    void this.#sql?.end({ timeout: 0 }).catch(() => {});
    this.#sql = undefined;
  }
}

type Query = (sql: Sql) => Promise<Record<string, unknown>[]>;

async function oneCall(
  client: Client,
  tenant: Tenant,
  answered: Answered,
  random: Random,
): Promise<void> {
  const key = randomUUID();
  const usd = random.int(1, 60) / 100;
  const usage = usageOf(usd);
  // Seconds from the end of the running hour: most calls are now, some a moment before or after that end.
  const offset = random.chance(0.3) ? random.pick([-0.001, -1, 0, 0.001, 1]) : null;
  const user = random.chance(0.7) ? tenant.user : null;
  const reserved = await insist(
    answered,
    client,
    (sql) => sql`
    select allowed, reservation_id as id from spend_private.reserve(
      ${tenant.id}, ${user}, 'llm', ${sql.json(usage)}, p_idempotency_key => ${key},
      p_ttl_seconds => ${random.pick([1, 2, 600])}, p_now => coalesce(
        date_trunc('hour', now()) + interval '1 hour' + make_interval(secs => ${offset}::float8), now()
      ))`,
  );
  const id = reserved?.id as string | undefined;
  if (!id) return;
  answered.reservations.add(id);

  const ending = random.next();
  // Whoever is not heard of again: the hold expires.
  if (ending < 0.15) return;
  if (ending < 0.25) {
    await insist(answered, client, (sql) => sql`select status from spend.release(${id})`);
    return;
  }
  if (ending < 0.35) {
    await insist(
      answered,
      client,
      (sql) => sql`select allowed from spend.extend(${id}, ${sql.json(usageOf(usd * 1.5))})`,
    );
  }
  // Now and then more than was held: booked in full.
  const share = random.pick([0, 0.25, 0.5, 1, 1, 1.2]);
  const actual = Math.round(usd * share * 1e6) / 1e6;
  const settled = await insist(
    answered,
    client,
    (sql) => sql`
    select status, cost_usd::float8 as usd from spend.settle(${id}, ${sql.json(usageOf(actual))})`,
  );
  if (settled?.status === "settled") answered.booked.set(id, settled.usd as number);
}

/** Asks until there is an answer; null where the answer is a refusal of the contract. */
async function insist(
  answered: Answered,
  client: Client,
  query: Query,
): Promise<Record<string, unknown> | null> {
  for (let attempt = 0; attempt < 200; attempt++) {
    try {
      return (await client.ask(query))[0] ?? null;
    } catch (error) {
      const { code = "", message } = error as { code?: string; message: string };
      // What expired meanwhile cannot be extended.
      if (code === "PT409" && message === "reservation_ended") return null;
      if (!TRANSIENT.test(code)) {
        answered.faults.push(`SQL: ${code} ${message}`);
        return null;
      }
      await sleep(30);
    }
  }
  answered.faults.push("SQL: no answer in 200 attempts");
  return null;
}

/** Expiry beside the traffic, as maintenance does it. */
export async function expire(world: World, isOver: () => boolean): Promise<void> {
  const client = new Client(world.databaseUrl);
  while (!isOver()) {
    await client.ask((sql) => sql`select spend.expire_reservations(50)`).catch(() => {});
    await sleep(200);
  }
  client.close();
}
