// Each argument of each function at the ends of its type, all others as usual: an error of the contract or an answer.
import type { Sql } from "postgres";
import { afterAll, beforeAll, expect, it } from "vitest";
import { addFixture, addPrices, type Fixture } from "../isolation/everything.ts";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";

/** Errors of the contract; all others would be a fault of ours. */
const CONTRACT = /^(22023|42501|PT4\d\d|55P03)$/;

/** The ends of each type, and what a type takes and nobody means. As SQL. */
const EXTREMES: Record<string, string[]> = {
  text: [
    "null",
    "''",
    "' '",
    "repeat('x', 100000)",
    "repeat('é', 300)",
    "E'a\\nb'",
    "U&'\\202E'",
    "'null'",
    "'%'",
    "E'a\\\\'",
    "'''; drop table spend.cost_events; --'",
    "'$$; select pg_sleep(10); $$'",
  ],
  jsonb: [
    "null",
    "'null'",
    "'[]'",
    "'{}'",
    `'"x"'`,
    "'1'",
    "'{\"a\": 1e400}'",
    `'{"' || repeat('k', 100000) || '": 1}'`,
    "repeat('[', 5000) || repeat(']', 5000)",
    `'{"provider": null, "model": null}'`,
    `'{"provider": [], "model": {}}'`,
    `'{"provider": "test", "model": "model", "input_tokens": 1e12, "output_tokens": 1e12}'`,
    `'{"provider": "test", "model": "model", "input_tokens": -1, "output_tokens": 1}'`,
    `'{"provider": "test", "model": "model", "input_tokens": 1e131071, "output_tokens": 1e-16000}'`,
  ],
  integer: ["null", "0", "-1", "2147483647", "'-2147483648'"],
  bigint: ["null", "0", "-1", "9223372036854775807", "'-9223372036854775808'"],
  numeric: [
    "null",
    "0",
    "'NaN'",
    "'Infinity'",
    "'-Infinity'",
    "'1e130000'",
    "'-1e130000'",
    "'1e-16000'",
  ],
  boolean: ["null"],
  uuid: [
    "null",
    "'00000000-0000-0000-0000-000000000000'",
    "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
  ],
  "timestamp with time zone": [
    "null",
    "'infinity'",
    "'-infinity'",
    "'294276-12-31 23:59:59.999999Z'",
    "'4713-01-01 00:00:00Z BC'",
  ],
  date: ["null", "'infinity'", "'-infinity'", "'5874897-12-31'", "'4713-01-01 BC'"],
  "numeric[]": [
    "null",
    "'{}'",
    "'{NULL}'",
    "'{NaN}'",
    "'{-Infinity,Infinity}'",
    "'{{0.5},{0.9}}'",
    "'[5:6]={0.5,0.9}'",
    "'{1e-16000}'",
    "array_fill(0.5::numeric, array[10000])",
  ],
  "uuid[]": [
    "null",
    "'{}'",
    "'{NULL}'",
    "'[5:5]={00000000-0000-0000-0000-000000000000}'",
    "array_fill(gen_random_uuid(), array[10000])",
  ],
  "text[]": ["null", "'{}'", "'{NULL}'", "'{{a},{b}}'", "array_fill('day'::text, array[10000])"],
};

/** What an argument is otherwise, by its name; those that are not here are null. */
const usual = ({ tenant, member, held, context, alert }: Fixture): Record<string, string> => ({
  tenant_id: `'${tenant}'`,
  user_id: `'${member}'`,
  resource_type: "'llm'",
  usage: `'{"provider": "test", "model": "model", "input_tokens": 5, "output_tokens": 5}'`,
  task: "'chat'",
  conversation_id: "'c'",
  path_id: "'run'",
  ttl_seconds: "600",
  enforce: "true",
  metadata: "'{}'",
  amount_usd: "1",
  reason: "'test'",
  sandbox_id: "'sandbox'",
  template: "'base'",
  vcpus: "2",
  memory_gib: "0.5",
  started_at: "now()",
  ended_at: "now() + interval '1 minute'",
  expires_at: "now() + interval '5 minutes'",
  reservation_id: `'${held.extend}'`,
  context_id: `'${context.run.id}'`,
  claim_id: `'${context.run.claim}'`,
  provider: "'test'",
  product: "'model'",
  from: "'2020-01-01'",
  to: "'2099-01-01'",
  dry_run: "true",
  at: "now()",
  factor: "0.5",
  service_tier: "'batch'",
  effective_from: "now()",
  max_rows: "10",
  days: "7",
  weeks: "4",
  at_least_usd: "1",
  timeout_seconds: "300",
  run_seconds: "0",
  claim_seconds: "60",
  status: "'terminated'",
  idle_seconds: "60",
  listed_at: "now()",
  alert_id: alert,
  group_by: "'{day}'",
});

let database: TestDatabase;
let sql: Sql;
let fixture: Fixture;
let functions: { name: string; names: string[]; types: string[] }[];

beforeAll(async () => {
  database = await cloneDatabase({ connections: 4 });
  sql = database.sql;
  await addPrices(sql);
  fixture = await addFixture(sql);
  functions = await sql`
    select p.proname as name, p.proargnames[1:p.pronargs] as names,
      array(select format_type(t, null) from unnest(p.proargtypes) with ordinality as a (t, o) order by o) as types
    from pg_proc as p where p.pronamespace = 'spend'::regnamespace and p.pronargs > 0 and p.prokind = 'f' order by 1`;
});
afterAll(() => database?.close());

/** Calls a function as service_role, undoes it, and answers an error that is none of the contract's. */
async function fault(call: string): Promise<string | null> {
  let found: string | null = null;
  await sql
    .begin(async (transaction) => {
      await transaction`set local role service_role`;
      await transaction`set local statement_timeout = '5s'`;
      await transaction.unsafe(`select to_jsonb(r) from ${call} as r limit 50`);
      throw new Error("undo");
    })
    .catch(({ code, message }) => {
      if (message !== "undo" && !CONTRACT.test(code)) {
        found = `${code} ${message}: ${call.slice(0, 300)}`;
      }
    });
  return found;
}

it("Every argument of every function at the ends of its type gets an answer, or an error of the contract", async () => {
  const faults: string[] = [];
  for (const { name, names, types } of functions) {
    const others = usual(fixture);
    for (const [index, type] of types.entries()) {
      const values = EXTREMES[type];
      if (values === undefined) throw new Error(`no ends of type ${type}: add some`);
      for (const value of values) {
        const list = names.map(
          (each, place) =>
            `(${place === index ? value : (others[each] ?? "null")})::${types[place]}`,
        );
        const found = await fault(`spend.${name}(${list.join(", ")})`);
        if (found !== null) faults.push(`${names[index]}: ${found}`);
      }
    }
  }
  expect(faults).toEqual([]);
}, 120_000);
