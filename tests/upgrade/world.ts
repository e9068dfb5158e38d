// What a database of an older version holds when it is upgraded: tenants, quotas, prices, calls in every state.
// SQL of 0.1.0 alone: a later version's column has no place here.
import { randomUUID } from "node:crypto";
import type { Sql } from "postgres";

export interface OldWorld {
  tenant: string;
  /** Calls that are open when the upgrade comes; each held 0.03. */
  held: { plain: string; extended: string; ofUser: string; ofClosedTenant: string; lapsed: string };
  /** Idempotency keys: of a call that was settled, and of one that was refused. */
  keys: { settled: string; refused: string };
  /** A context whose sandbox runs, and the reservation that holds its running interval. */
  context: { id: string; reservation: string };
}

/** Usage that costs `usd` dollars. */
const usage = (usd: number) => ({
  provider: "old",
  model: "model",
  input_tokens: Math.round(usd * 1_000_000),
  output_tokens: 0,
});

export async function fillOldWorld(sql: Sql): Promise<OldWorld> {
  await fillPrices(sql);
  const { tenant, user, closed } = await fillTenants(sql);
  const reserve = async (
    owner: string,
    userId: string | null,
    options: { key?: string; usd?: number; ttl?: number } = {},
  ) => {
    const [answer] = await sql`
      select allowed, reservation_id as id
      from spend.reserve(
        ${owner}, ${userId}, 'llm', ${sql.json(usage(options.usd ?? 0.03))},
        idempotency_key => ${options.key ?? null}, ttl_seconds => ${options.ttl ?? 86_400}
      )`;
    if (answer === undefined) throw new Error("reserve answered nothing");
    return answer as unknown as { allowed: boolean; id: string };
  };
  const keys = { settled: randomUUID(), refused: randomUUID() };

  const settled = await reserve(tenant, user, { key: keys.settled });
  await sql`select spend.settle(${settled.id}, ${sql.json(usage(0.01))})`;
  const released = await reserve(tenant, null);
  await sql`select spend.release(${released.id})`;
  const refused = await reserve(tenant, user, { key: keys.refused, usd: 500 });
  if (refused.allowed) throw new Error("a call of $500 was admitted");
  await sql`select spend.adjust(${tenant}, 0.25, 'A correction')`;

  const extended = await reserve(tenant, null, { usd: 0.02 });
  await sql`select spend.extend(${extended.id}, ${sql.json(usage(0.03))}, 86_400)`;
  const ofClosedTenant = await reserve(closed, null);
  await sql`update spend.tenants set closed_at = now() where id = ${closed}`;
  const held = {
    plain: (await reserve(tenant, null)).id,
    extended: extended.id,
    ofUser: (await reserve(tenant, user)).id,
    ofClosedTenant: ofClosedTenant.id,
    lapsed: (await reserve(tenant, null, { ttl: 1 })).id,
  };
  return { tenant, held, keys, context: await fillContext(sql, tenant) };
}

async function fillPrices(sql: Sql): Promise<void> {
  await sql`
    insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
    values
      ('llm', 'old', 'model', 'input_tokens', 1, '2020-01-01'),
      ('llm', 'old', 'model', 'output_tokens', 1, '2020-01-01'),
      ('e2b', 'e2b', '*', 'vcpu_seconds', 0.000014, '2020-01-01'),
      ('e2b', 'e2b', '*', 'gib_seconds', 0.0000045, '2020-01-01'),
      ('llm', 'old', 'negotiated', 'input_tokens', 2, '2020-01-01'),
      ('llm', 'old', 'negotiated', 'output_tokens', 2, '2020-01-01')`;
}

async function fillTenants(sql: Sql) {
  const [row] = await sql`insert into auth.users (id) values (gen_random_uuid()) returning id`;
  const user = row?.id as string;
  // Where an hour, whose quota is compared before and after the upgrade, does not end meanwhile.
  const minute = new Date().getUTCMinutes();
  const zone = minute >= 5 && minute < 20 ? "Asia/Kolkata" : "Asia/Kathmandu";
  const rows = await sql`
    insert into spend.tenants (name, time_zone)
    values ('Old and open', ${zone}), ('Old and closed', 'UTC') returning id`;
  const [tenant, closed] = rows.map(({ id }) => id) as [string, string];
  await sql`
    insert into spend.tenant_members (tenant_id, user_id, role) values (${tenant}, ${user}, 'owner')`;
  await sql`
    insert into spend.prices (resource_type, provider, product, meter, usd, effective_from, tenant_id)
    values ('llm', 'old', 'negotiated', 'input_tokens', 1, '2020-01-01', ${tenant})`;
  await sql`delete from spend.cost_quotas where tenant_id = ${tenant}`;
  await sql`
    insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd, slots)
    values
      ('platform', null, null, 'all', 'week', 1000, 4),
      ('tenant', ${tenant}, null, 'llm', 'lifetime', 100, 8),
      ('tenant', ${tenant}, null, 'e2b', 'month', 20, 1),
      ('user', ${tenant}, ${user}, 'llm', 'hour', 50, 1)`;
  return { tenant, user, closed };
}

async function fillContext(sql: Sql, tenant: string): Promise<OldWorld["context"]> {
  const claim = randomUUID();
  const [made] = await sql`
    select context_id as id, outcome from spend.claim_context(${tenant}, null, 'old', ${claim})`;
  if (made?.outcome !== "create") throw new Error(`the context was not made: ${made?.outcome}`);
  await sql`
    select spend.confirm_context(
      ${tenant}, ${made.id}, ${claim}, 'old-sandbox', now(), now() + interval '5 minutes', 2, 0.5
    )`;
  const [context] = await sql`
    select reservation_id as reservation from spend.execution_contexts where id = ${made.id}`;
  return { id: made.id, reservation: context?.reservation };
}
