// Two tenants with everybody in them who may try something, and a row of each in every relation that can hold one.
import type { Sql } from "postgres";

/** Users of the world; each spends an amount of their own, so that every sum tells whose spend is in it. */
export const PEOPLE = [
  "member",
  "two",
  "admin",
  "owner",
  "removed",
  "other member",
  "other admin",
  "other owner",
  // Operators, in no tenant.
  "viewer",
  "editor",
] as const;
export type Person = (typeof PEOPLE)[number];

export interface World {
  /** Ids of the tenant that is looked at, and of the other one. */
  tenant: string;
  other: string;
  users: Record<Person, string>;
}

/** Cents that a label's call costs: each a bit of its own. */
const CENTS: Record<string, number> = {
  member: 1,
  two: 2,
  admin: 4,
  owner: 8,
  removed: 16,
  tenant: 32,
};
/** What each call of the other tenant costs: all above the bits of this one. */
const OTHER_CENTS = 64;

/** Builds the world around users that exist in auth.users. */
export async function buildWorld(sql: Sql, users: Record<Person, string>): Promise<World> {
  const tenant = await addTenant(sql, "Ours");
  const other = await addTenant(sql, "Theirs");
  await sql`
    insert into spend.prices (resource_type, provider, product, meter, usd, effective_from, tenant_id)
    values
      ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01', null),
      ('llm', 'test', 'model', 'output_tokens', 1, '2020-01-01', null),
      ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01', ${tenant}),
      ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01', ${other})`;

  const roles: [Person, string, string][] = [
    ["member", tenant, "member"],
    ["two", tenant, "member"],
    // What somebody may in one tenant must not reach into another.
    ["two", other, "admin"],
    ["admin", tenant, "admin"],
    ["owner", tenant, "owner"],
    ["removed", tenant, "member"],
    ["other member", other, "member"],
    ["other admin", other, "admin"],
    ["other owner", other, "owner"],
  ];
  for (const [person, id, role] of roles) {
    const user = users[person];
    await sql`
      insert into spend.tenant_members (tenant_id, user_id, role) values (${id}, ${user}, ${role})`;
    await sql`
      insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
      values ('user', ${id}, ${user}, 'llm', 'week', 0.5)`;
    await spendOf(sql, id, user, id === tenant ? (CENTS[person] as number) : OTHER_CENTS);
    // More than the quota allows: a refusal of each.
    await sql`select spend.reserve(${id}, ${user}, 'llm', ${sql.json(usageOf(10_000))})`;
  }
  for (const id of [tenant, other]) {
    await spendOf(sql, id, null, id === tenant ? (CENTS.tenant as number) : OTHER_CENTS);
    // Reached at once: an alert of the tenant.
    await sql`
      insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
      values ('tenant', ${id}, ${id}, 'llm', 'hour', 0.01)`;
    await sql`select spend.check_quota(${id}, null, 'llm', ${sql.json(usageOf(2))})`;
    await sql`select spend.reserve(${id}, null, 'llm', ${sql.json(usageOf(2))})`;
    // A channel of the tenant, named by it, what was handed to it, and a mute.
    await sql`select spend.save_alert_channel(${id}, 'email', ${`of ${id}`}, 'a@example.com')`;
    await sql`select spend_private.record_missed_alerts()`;
    await sql`select spend.claim_deliveries()`;
    await sql`select spend.mute_alerts(now() + interval '1 hour', ${id})`;
    await sql`select spend_private.record_problem('expire_reservations', ${`${id}/x`}, 'broken')`;
    // A change that a user made: audited in the user's name.
    await asUser(sql, users[id === tenant ? "owner" : "other owner"], async (transaction) => {
      await transaction`
        update spend.cost_quotas set limit_usd = 0.4
        where tenant_id = ${id} and scope_id = ${users.two} and period = 'week'`;
    });
  }
  await sql`
    insert into spend.operators (user_id, role)
    values (${users.viewer}, 'viewer'), (${users.editor}, 'editor')`;
  // One platform quota, which nobody's rows are in.
  await sql`
    insert into spend.cost_quotas (scope, resource_type, period, limit_usd) values ('platform', 'all', 'month', 1000)`;
  await sql`
    delete from spend.tenant_members where tenant_id = ${tenant} and user_id = ${users.removed}`;
  return { tenant, other, users };
}

async function addTenant(sql: Sql, name: string): Promise<string> {
  const [row] = await sql`
    insert into spend.tenants (name, created_at) values (${name}, now() - interval '60 days') returning id`;
  return row?.id as string;
}

function usageOf(cents: number) {
  return { provider: "test", model: "model", input_tokens: cents * 10_000, output_tokens: 0 };
}

/** Booked and rolled up, booked and not rolled up would sum to more than one bit: one call is booked, one is held. */
async function spendOf(
  sql: Sql,
  tenant: string,
  user: string | null,
  cents: number,
): Promise<void> {
  for (const settle of [true, false]) {
    const [call] = await sql`
      select reservation_id as id from spend.reserve(${tenant}, ${user}, 'llm', ${sql.json(usageOf(cents))},
        conversation_id => 'secret', enforce => false)`;
    if (settle) await sql`select spend.settle(${call?.id}, ${sql.json(usageOf(cents))})`;
  }
  await sql`
    select spend.claim_context(${tenant}, ${user}, ${`secret ${cents}`}, gen_random_uuid(), ${user}, enforce => false)`;
  // Half of what there is comes from the roll-ups, half from the tail behind them.
  if (cents % 3 === 1) await sql`select spend.maintain()`;
}

export async function asUser(
  sql: Sql,
  user: string,
  work: (transaction: Sql) => Promise<void>,
): Promise<void> {
  await sql.begin(async (transaction) => {
    await transaction`
      select set_config('request.jwt.claims', ${JSON.stringify({ sub: user, role: "authenticated" })}, true),
        set_config('role', 'authenticated', true)`;
    await work(transaction as unknown as Sql);
  });
}

type Row = Record<string, unknown>;

/** Whose a row is: a label of this tenant, `other` for the other tenant's, `common` for nobody's. */
export function labelsOf(relation: string, row: Row, world: World): string[] {
  const tenant = relation === "tenants" ? row.id : row.tenant_id;
  const text = JSON.stringify(row);
  if (tenant === world.other || (tenant == null && text.includes(world.other))) return ["other"];
  if (tenant === undefined && typeof row.cost_usd === "number") return labelsOfSum(row.cost_usd);
  if (tenant !== world.tenant) return text.includes(world.tenant) ? ["tenant"] : ["common"];
  if ("user_id" in row || "scope_id" in row) {
    const user = row.user_id ?? (row.scope === "user" ? row.scope_id : null);
    const person = PEOPLE.find((name) => world.users[name] === user);
    return [person ?? "tenant"];
  }
  return typeof row.cost_usd === "number" ? labelsOfSum(row.cost_usd) : ["tenant"];
}

/** Whose calls are in a sum of booked cost. */
function labelsOfSum(usd: number): string[] {
  const cents = Math.round(usd * 100);
  const labels = Object.keys(CENTS).filter((label) => cents & (CENTS[label] as number));
  return cents >= OTHER_CENTS ? [...labels, "other"] : labels;
}
