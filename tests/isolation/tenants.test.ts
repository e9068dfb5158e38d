// What somebody with a valid JWT can reach through the Data API. The relations and functions come from
// the catalogue, so that a new one cannot be forgotten.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";

/** Relations that tell nothing of a tenant, and that everybody who is signed in reads. */
const COMMON = [
  "current_prices",
  "meters",
  "plan_progress",
  "plan_quotas",
  "plans",
  "prices",
  "product_aliases",
  "sandbox_templates",
];
/** Functions of `spend` that a user may call; they see what the user sees. */
const OPEN_FUNCTIONS = [
  "acknowledge_alert",
  "cost_report",
  "cost_series",
  "delete_alert_channel",
  "explain_cost",
  "latest_calls",
  "member_overview",
  "mute_alerts",
  "quota_forecast",
  "quotas_near_limit",
  "save_alert_channel",
  "set_user_quota",
  "unmute_alerts",
  "unusual_spend",
  "user_emails",
  "whoami",
];
/** Users may call them, and only operators get an answer. */
const OPERATOR_FUNCTIONS = [
  "add_price",
  "change_plan_quota",
  "change_quota",
  "fleet",
  "health",
  "open_holds",
  "preview_price",
  "preview_reprice",
  "release_hold",
];
/** Its arguments are reserved words (`from`, `to`), which the local Data API does not quote: asked in SQL instead. */
const UNNAMEABLE = "reprice";

let stack: TestStack;
let relations: string[];
let functions: { name: string; args: string[] }[];
let owners: Record<"A" | "B", TestUser>;
let member: TestUser;
let outsider: TestUser;
let tenants: Record<"A" | "B", TestTenant>;

beforeAll(async () => {
  stack = await startTestStack();
  relations = (
    await stack.sql`
      select c.relname from pg_class c
      where c.relnamespace = 'spend'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
      order by 1`
  ).map((row) => row.relname);
  functions = (
    await stack.sql`
      select p.proname as name, coalesce(p.proargnames[1:p.pronargs], '{}') as args
      from pg_proc p where p.pronamespace = 'spend'::regnamespace and p.prokind = 'f'
      order by 1`
  ).map(({ name, args }) => ({ name, args }));

  owners = { A: await stack.signUp(), B: await stack.signUp() };
  member = await stack.signUp();
  outsider = await stack.signUp();
  tenants = {
    A: await stack.createTenant({ name: "A", members: [owners.A], role: "owner" }),
    B: await stack.createTenant({ name: "B", members: [owners.B], role: "owner" }),
  };
  await stack.sql`
    insert into spend.tenant_members (tenant_id, user_id) values (${tenants.B.id}, ${member.id})`;

  // B has a row in every relation that can hold one: spend, holds, alerts, changed quotas.
  for (const user of [owners.B, member]) {
    await stack.sql`
      insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
      values ('user', ${tenants.B.id}, ${user.id}, 'llm', 'day', 1)`;
    for (const settle of [true, false]) {
      const [call] = await stack.sql`
        select reservation_id as id from spend.reserve(${tenants.B.id}, ${user.id}, 'llm',
          '{"provider": "openai", "model": "gpt-4o", "input_tokens": 180000, "output_tokens": 0}',
          conversation_id => 'secret')`;
      if (settle) await stack.sql`select spend.settle(${call?.id}, null)`;
    }
    // Over the warning threshold: an alert.
    await stack.sql`select spend.adjust(${tenants.B.id}, 0.4, 'test', 'llm', ${user.id})`;
    await stack.sql`
      select spend.claim_context(${tenants.B.id}, ${user.id}, 'secret', gen_random_uuid(), ${user.id})`;
  }
});
afterAll(() => stack.stop());

async function rowsOf(
  user: TestUser,
  relation: string,
): Promise<Record<string, unknown>[] | string> {
  const { data, error } = await user.client.from(relation as never).select("*");
  return error ? error.code : (data as Record<string, unknown>[]);
}

/** Whether anything in a row names tenant B or one of its users. */
const namesB = (row: Record<string, unknown>) =>
  [tenants.B.id, owners.B.id, member.id].some((id) => JSON.stringify(row).includes(id));

describe("A tenant's rows", () => {
  it("are read by no owner of another tenant, and by no user without a tenant", async () => {
    expect(relations).toEqual(expect.arrayContaining(["cost_events", "reservations", "tenants"]));
    for (const user of [owners.A, outsider]) {
      for (const relation of relations) {
        const rows = await rowsOf(user, relation);
        if (typeof rows === "string") expect([relation, rows]).toEqual([relation, "42501"]);
        else expect([relation, rows.filter(namesB)]).toEqual([relation, []]);
      }
    }
  });

  it("are read by their own owner, so the test above would see a leak", async () => {
    const seen = [];
    for (const relation of relations) {
      const rows = await rowsOf(owners.B, relation);
      if (typeof rows !== "string" && rows.some(namesB)) seen.push(relation);
    }
    expect(seen).toEqual(
      expect.arrayContaining([
        "alerts",
        "cost_events",
        "cost_quotas",
        "execution_contexts",
        "quota_status",
        "reservations",
        "spend_by_day",
        "tenant_members",
        "tenants",
      ]),
    );
  });

  it("are read by a member where they are his own calls, and not the owner's", async () => {
    for (const relation of ["reservations", "cost_events", "execution_contexts"]) {
      const rows = (await rowsOf(member, relation)) as { user_id: string }[];
      expect(new Set(rows.map((row) => row.user_id))).toEqual(new Set([member.id]));
    }
  });

  it("are not read by somebody who is removed", async () => {
    const removed = await stack.signUp();
    await stack.sql`
      insert into spend.tenant_members (tenant_id, user_id) values (${tenants.B.id}, ${removed.id})`;
    expect(await rowsOf(removed, "tenants")).toHaveLength(1);
    await stack.sql`delete from spend.tenant_members where user_id = ${removed.id}`;
    for (const relation of relations.filter((name) => !COMMON.includes(name))) {
      const rows = await rowsOf(removed, relation);
      if (typeof rows !== "string") expect([relation, rows]).toEqual([relation, []]);
    }
  });

  it("are not read without a user", async () => {
    for (const relation of relations) {
      const { data } = await stack.anonymous.from(relation as never).select("*");
      expect([relation, data ?? []]).toEqual([relation, []]);
    }
  });
});

describe("The Data API", () => {
  it("lets an owner change no row of another tenant, nor of the ledger", async () => {
    for (const relation of relations) {
      const before =
        await stack.sql`select count(*)::int as rows, md5(string_agg(t::text, '' order by t::text)) as hash
        from spend.${stack.sql(relation)} as t`;
      await owners.A.client
        .from(relation as never)
        .delete()
        .not("tenant_id", "is", null);
      await owners.A.client
        .from(relation as never)
        .update({ tenant_id: tenants.A.id } as never)
        .not("tenant_id", "is", null);
      const after =
        await stack.sql`select count(*)::int as rows, md5(string_agg(t::text, '' order by t::text)) as hash
        from spend.${stack.sql(relation)} as t`;
      expect([relation, after]).toEqual([relation, before]);
    }
  });

  it("does not expose spend_private", async () => {
    const { error } = await stack.service
      .schema("spend_private" as never)
      .from("quota_balances")
      .select();
    expect(error?.code).toBe("PGRST106");
  });
});

describe("The functions of the gate", () => {
  it("can be called by no user and no stranger, and those of operators by operators alone", async () => {
    const service = functions.filter(
      ({ name }) => ![...OPEN_FUNCTIONS, ...OPERATOR_FUNCTIONS].includes(name),
    );
    expect(service.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        "adjust",
        "extend",
        "release",
        "reserve",
        "reserve_many",
        "settle",
        "settle_many",
        "verify_balances",
      ]),
    );
    for (const caller of [owners.B.client, member.client, outsider.client, stack.anonymous]) {
      for (const { name, args } of service.filter(({ name }) => name !== UNNAMEABLE)) {
        const { error } = await caller.rpc(
          name as never,
          Object.fromEntries(args.map((arg) => [arg, null])) as never,
        );
        expect([name, error?.code]).toEqual([name, "42501"]);
      }
    }
    for (const { name, args } of functions.filter(({ name }) =>
      OPERATOR_FUNCTIONS.includes(name),
    )) {
      const { error } = await owners.B.client.rpc(
        name as never,
        Object.fromEntries(args.map((arg) => [arg, null])) as never,
      );
      expect([name, error?.message]).toEqual([name, "not_an_operator"]);
    }
    const grants = await stack.sql`
      select r.role from (values ('anon'), ('authenticated')) as r (role)
      join pg_proc p on p.pronamespace = 'spend'::regnamespace and p.proname = ${UNNAMEABLE}
      where has_function_privilege(r.role, p.oid, 'execute')`;
    expect(grants).toEqual([]);
  });
});
