// Every function of spend, with arguments of the right types and the wrong values, as service_role calls them.
import { randomUUID } from "node:crypto";
import fc from "fast-check";
import type { Sql } from "postgres";
import { afterAll, beforeAll, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import {
  addTenant,
  addTestModel,
  addUser,
  reserve,
  usageOf,
  verifyBalances,
} from "../support/spend.ts";
import { json, mutated, number, runs, seed, text } from "./hostile.ts";

const INPUTS = runs(8600);
const CONNECTIONS = 4;

/** Errors of the contract; all others would be a fault of ours. */
const CONTRACT = /^(22023|42501|PT4\d\d|55P03)$/;
interface Parameter {
  name: string;
  type: string;
}
interface Call {
  name: string;
  args: (string | null)[];
}

const UNNAMED = { provider: "unnamed", model: "unnamed" };

let database: TestDatabase;
let sql: Sql;
let functions: { name: string; parameters: Parameter[] }[];
let victim: string;
const ids: string[] = [];
const users: string[] = [];

beforeAll(async () => {
  database = await cloneDatabase({ connections: CONNECTIONS + 2 });
  sql = database.sql;
  await addTestModel(sql);
  for (let tenant = 0; tenant < 3; tenant++) {
    const tenantId = await addTenant(sql, 1000, 4);
    const user = await addUser(sql, tenantId);
    ids.push(tenantId);
    users.push(user);
    for (let call = 0; call < 10; call++) {
      ids.push((await reserve(sql, tenantId, user, 1)).reservation_id as string);
    }
    const [context] = await sql`
      select context_id from spend.claim_context(${tenantId}, ${user}, 'c', ${randomUUID()}, enforce => false)`;
    ids.push(context?.context_id);
  }
  // Nobody names this one, nor what it calls: a product named to spend.reprice is repriced for every tenant.
  await addTestModel(sql, UNNAMED.provider, UNNAMED.model);
  victim = await addTenant(sql, 1000, 4);
  const call = await reserveUnnamed(1);
  await sql`select spend.settle(${call}, ${sql.json(usageOf(1, UNNAMED))})`;
  await reserveUnnamed(2);

  const found = await sql<{ name: string; names: string[]; types: string[] }[]>`
    select p.proname as name, coalesce(p.proargnames[1:p.pronargs], '{}') as names,
      coalesce((select array_agg(format_type(t, null) order by o) from unnest(p.proargtypes) with ordinality as a (t, o)), '{}') as types
    from pg_proc as p
    where p.pronamespace = 'spend'::regnamespace and p.prokind = 'f'
      and has_function_privilege('service_role', p.oid, 'execute')
    order by 1`;
  functions = found.map(({ name, names, types }) => ({
    name,
    parameters: names.map((parameter, index) => ({ name: parameter, type: types[index] ?? "" })),
  }));
});
afterAll(() => database?.close());

async function reserveUnnamed(usd: number): Promise<string> {
  const [answer] = await sql`
    select reservation_id
    from spend.reserve(${victim}, null, 'llm', ${sql.json(usageOf(usd, UNNAMED))})`;
  return answer?.reservation_id;
}

const USAGES = [
  usageOf(1),
  {
    provider: "openai",
    model: "gpt-4o",
    input_tokens: 1000,
    output_tokens: 10,
    cache_read_tokens: 5,
  },
  { provider: "e2b", template: "base", vcpus: 2, memory_gib: 0.5, seconds: 300 },
];

/** PostgreSQL's own types refuse NUL and half a surrogate pair before a function is called. */
const clean = (value: string) => value.replaceAll(/\0|\p{Surrogate}/gu, "");

/** The elements of a batch: most are what the function takes, some with something wrong. */
function batch(name: string): fc.Arbitrary<string> {
  const usage = fc.oneof(fc.constantFrom(...USAGES), json);
  const element = {
    calls: fc.record(
      {
        tenant_id: fc.constantFrom(...ids),
        user_id: fc.constantFrom(...users),
        resource_type: fc.constantFrom("llm", "e2b"),
        usage,
        ttl_seconds: fc.constantFrom(0, 600, "600"),
        idempotency_key: text,
        metadata: json,
      },
      { requiredKeys: ["tenant_id", "resource_type", "usage"] },
    ),
    settlements: fc.record(
      { reservation_id: fc.constantFrom(...ids), usage, metadata: json },
      { requiredKeys: ["reservation_id"] },
    ),
  }[name];
  const elements = element === undefined ? json : fc.oneof({ weight: 9, arbitrary: element }, json);
  return fc.array(elements, { maxLength: 8 }).map((all) => clean(JSON.stringify(all)));
}

/** Values of a type that the type itself takes: what is wrong with them is for the function to say. */
function ofType({ name, type }: Parameter): fc.Arbitrary<string | null> {
  const known = fc.constantFrom(...(name === "user_id" ? users : ids));
  const of: Record<string, fc.Arbitrary<string | null>> = {
    uuid: fc.oneof({ weight: 6, arbitrary: known }, fc.uuid()),
    text: fc.oneof(
      text.map(clean),
      fc.constantFrom(
        "llm",
        "e2b",
        "chat",
        "test",
        "model",
        "c",
        "terminated",
        "code-interpreter-v1",
      ),
    ),
    jsonb: fc
      .oneof(
        ...USAGES.map((usage) => fc.constant(JSON.stringify(usage))),
        ...USAGES.map((usage) =>
          mutated(usage).map((value) => clean(JSON.stringify(value) ?? "null")),
        ),
        json.map((value) => clean(JSON.stringify(value) ?? "null")),
        { weight: 5, arbitrary: batch(name) },
      )
      .map((value: string) => value.replaceAll("\\u0000", "").replaceAll(/\\ud[89a-f]\w\w/gi, "?")),
    integer: fc.constantFrom(
      "0",
      "1",
      "-1",
      "600",
      "86400",
      "604800",
      "604801",
      "2147483647",
      "-2147483648",
    ),
    bigint: fc.constantFrom("0", "1", "-1", "9223372036854775807", "-9223372036854775808"),
    numeric: fc.oneof(
      fc.constantFrom(
        "0",
        "1",
        "-1",
        "1e9",
        "1e30",
        "-1e30",
        "NaN",
        "Infinity",
        "-Infinity",
        "0.0000000000001",
      ),
      number.map(String),
    ),
    boolean: fc.constantFrom("true", "false"),
    "timestamp with time zone": fc.constantFrom(
      "now",
      "epoch",
      "infinity",
      "-infinity",
      "2026-01-01",
      "4000-01-01",
      "4713-01-01 BC",
      "294276-12-31",
    ),
    date: fc.constantFrom(
      "today",
      "epoch",
      "infinity",
      "-infinity",
      "4713-01-01 BC",
      "5874897-12-31",
    ),
    "uuid[]": fc.constantFrom(
      "{}",
      `{${users.join(",")}}`,
      `{${ids[0]},NULL}`,
      `{${Array(501).fill(users[0]).join(",")}}`,
    ),
    "numeric[]": fc.constantFrom(
      "{}",
      "{0.5,0.9}",
      "{0.9,0.5}",
      "{NULL}",
      "{NaN}",
      "{-1}",
      "{1e30}",
      "{{0.5},{0.9}}",
    ),
    "text[]": fc.constantFrom(
      "{}",
      "{day}",
      "{tenant,user}",
      "{nothing}",
      "{NULL}",
      "{{day},{user}}",
    ),
  };
  const values = of[type];
  if (values === undefined) throw new Error(`no values of type ${type}: add some`);
  return fc.oneof({ weight: 8, arbitrary: values }, fc.constant(null));
}

function calls(): fc.Arbitrary<Call> {
  return fc.oneof(
    // Housekeeping takes no argument of a caller's and long.
    ...functions
      .filter(({ parameters }) => parameters.length > 0)
      .map(({ name, parameters }) =>
        fc
          .tuple(...parameters.map(ofType))
          .map((args) => ({ name, args: args as (string | null)[] })),
      ),
  );
}

async function check({ name, args }: Call): Promise<void> {
  const { parameters } = functions.find(
    (each) => each.name === name && each.parameters.length === args.length,
  ) ?? { parameters: [] };
  const list = parameters.map(({ type }, index) => `$${index + 1}::text::${type}`).join(", ");
  await sql
    .begin(async (transaction) => {
      await transaction`set local role service_role`;
      await transaction.unsafe(
        `select to_jsonb(r) from spend.${name}(${list}) as r limit 50`,
        args,
      );
    })
    .catch((error) => {
      if (!CONTRACT.test(error.code)) {
        throw new Error(
          `${error.code} ${error.message}\n${error.detail ?? ""}\n${error.where ?? ""}`,
        );
      }
      // What a caller may know, and nothing of anybody else.
      expect(`${error.message} ${error.detail} ${error.hint}`).not.toContain(victim);
    });
}

async function stateOf(tenant: string) {
  return sql`
    select
      (select md5(string_agg(b::text, '' order by b.slot)) from spend_private.quota_balances as b where b.tenant_id = ${tenant}) as balances,
      (select md5(string_agg(r::text, '' order by r.id)) from spend.reservations as r where r.tenant_id = ${tenant}) as reservations,
      (select count(*) from spend.cost_events as e where e.tenant_id = ${tenant}) as events`;
}

it(`${INPUTS} calls get errors of the contract only, leave the balances right, and touch nobody who was not named`, {
  timeout: 300_000,
}, async () => {
  const before = await stateOf(victim);
  await Promise.all(
    Array.from({ length: CONNECTIONS }, (_, worker) =>
      fc.assert(fc.asyncProperty(calls(), check), {
        numRuns: Math.ceil(INPUTS / CONNECTIONS),
        seed: seed + worker,
      }),
    ),
  );
  expect(await stateOf(victim), `SPENDGATE_FUZZ_SEED=${seed}`).toEqual(before);
  expect(await verifyBalances(sql)).toEqual([]);
});
