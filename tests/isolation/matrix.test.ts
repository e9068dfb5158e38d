// Every relation and function of the catalogue × everybody × every command, in SQL as the Data API runs it: the role
// and the claims of a JWT. What must come out stands in expected.md; what is not there fails, with the line to judge.
import { randomUUID } from "node:crypto";
import type { ReservedSql } from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { ACTORS, type Actor, type Answers, asLine, expected } from "./expected.ts";
import { buildWorld, labelsOf, PEOPLE, type Person, type World } from "./world.ts";

/** How a function that users may call is called to show whose rows it reads; null: it reads what is nobody's. */
const READS: Record<string, string | null> = {
  cost_report: "spend.cost_report('{tenant,user}')",
  unusual_spend: "spend.unusual_spend(at_least_usd => 0.0001)",
  explain_cost: null,
  cost_series: "spend.cost_series('month')",
  latest_calls: "spend.latest_calls(:tenant)",
  member_overview:
    "(select :tenant::uuid as tenant_id, m.* from spend.member_overview(:tenant) as m) as line",
  quota_forecast: null,
  user_emails:
    "(select p.tenant_id, e.user_id from (:people) as p (user_id, tenant_id) join spend.user_emails(array(select q.user_id from (:people) as q (user_id, tenant_id))) as e using (user_id)) as line",
  quotas_near_limit: "spend.quotas_near_limit(0)",
  whoami: null,
  // What operators alone may call; the refusal is an answer of the function.
  acknowledge_alert: null,
  add_price: null,
  change_plan_quota: null,
  change_quota: null,
  delete_alert_channel: null,
  mute_alerts: null,
  save_alert_channel: null,
  unmute_alerts: null,
  fleet: "spend.fleet()",
  health: null,
  open_holds: "spend.open_holds()",
  preview_price: null,
  preview_reprice: null,
  release_hold: null,
  set_user_quota: null,
};

interface Relation {
  name: string;
  columns: string[];
  /** Columns that take a value in an insert. */
  insertable: string[];
}

/** What came of a statement: rows of to_jsonb, or an error. */
type Outcome = Record<string, unknown>[] | { error: string; message: string };

let database: TestDatabase;
let session: ReservedSql;
let world: World;
let relations: Relation[];
let functions: { name: string; statement: string }[];
let internals: { name: string; statement: string }[];

beforeAll(async () => {
  database = await cloneDatabase();
  const { sql } = database;
  const users = {} as Record<Person, string>;
  for (const person of PEOPLE) {
    users[person] = randomUUID();
    await sql`
      insert into auth.users (id, email) values (${users[person]}, ${`${person.replace(" ", "-")}@example.com`})`;
  }
  // The matrix looks at rows, not at prices: a handful is enough.
  await sql`delete from spend.prices where resource_type = 'llm' and product <> 'gpt-4o'`;
  world = await buildWorld(sql, users);

  relations = await sql<Relation[]>`
    select
      c.relname as name, array_agg(a.attname::text order by a.attnum) as columns,
      array_agg(a.attname::text order by a.attnum) filter (where a.attidentity = '' and a.attgenerated = '') as insertable
    from pg_class as c
    join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = 'spend'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
    group by c.oid, c.relname order by c.relname`;
  functions = await sql<{ name: string; statement: string }[]>`
    select c.name, case c.kind when 'p' then 'call ' || c.call else 'select ' || c.call || ' as answer' end as statement
    from (
      select p.proname as name, p.prokind as kind, format('spend.%I(%s)', p.proname, (
        select string_agg('null::' || format_type(t.type, null), ', ' order by t.place)
        from unnest(p.proargtypes) with ordinality as t (type, place)
      )) as call
      from pg_proc as p where p.pronamespace = 'spend'::regnamespace
    ) as c
    order by c.name, c.call`;
  internals = await sql<{ name: string; statement: string }[]>`
    select c.relname::text as name, format('select from spend_private.%I', c.relname) as statement
    from pg_class as c
    where c.relnamespace = 'spend_private'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
    union all
    select p.oid::regprocedure::text, format('select spend_private.%I(%s)', p.proname, (
      select string_agg('null::' || format_type(t.type, null), ', ' order by t.place)
      from unnest(p.proargtypes) with ordinality as t (type, place)
    ))
    from pg_proc as p
    where p.pronamespace = 'spend_private'::regnamespace and p.prorettype <> 'trigger'::regtype
    order by 1`;

  session = await sql.reserve();
  // Runs a statement as somebody, and undoes it.
  await session.unsafe(`
    create function pg_temp.attempt(p_role text, p_user uuid, p_sql text) returns jsonb language plpgsql as $$
    declare
      v_rows jsonb;
      v_message text;
    begin
      perform set_config('request.jwt.claims', jsonb_build_object('sub', p_user, 'role', p_role)::text, true);
      perform set_config('role', p_role, true);
      execute p_sql into v_rows;
      raise exception using errcode = 'SGOFF';
    exception
      when sqlstate 'SGOFF' then
        return v_rows;
      when others then
        get stacked diagnostics v_message = message_text;
        return jsonb_build_object('error', sqlstate, 'message', v_message);
    end;
    $$`);
}, 120_000);
afterAll(async () => {
  session?.release();
  await database?.close();
});

const roleOf = (actor: Actor) =>
  actor === "anon" ? "anon" : actor === "service" ? "service_role" : "authenticated";

async function attempt(actor: Actor, statement: string): Promise<Outcome> {
  const user = actor === "anon" || actor === "service" ? null : world.users[actor];
  const [row] = await session<{ outcome: Outcome }[]>`
    select pg_temp.attempt(${roleOf(actor)}, ${user}, ${statement}) as outcome`;
  return row?.outcome ?? [];
}

/** The statement, answering its rows as JSON. */
const rows = (statement: string) =>
  `with r as (${statement}) select coalesce(jsonb_agg(to_jsonb(r)), '[]') from r`;

/** No privilege, a policy that forbids, or a view that nobody can write. */
function isDenied(outcome: Outcome): boolean {
  return !Array.isArray(outcome) && ["42501", "55000"].includes(outcome.error);
}

/** Whose rows they are, of all that there are. Rows of the other tenant are told to its members and service alone. */
function describeRows(actor: Actor, relation: string, found: Outcome, all: string[]): string {
  if (!Array.isArray(found)) return isDenied(found) ? "denied" : `error ${found.error}`;
  const labels = new Set(found.flatMap((row) => labelsOf(relation, row, world)));
  const ours = [...labels].filter((label) => label !== "other" && label !== "common");
  const isInOther =
    ["service", "two", "viewer", "editor"].includes(actor) || actor.startsWith("other");
  if (labels.has("other") && !isInOther) return "LEAK of the other tenant";
  return (
    [wordFor(actor, ours, all), labels.has("common") && "common"]
      .filter((word) => word && word !== "none")
      .join(" + ") || "none"
  );
}

function wordFor(actor: Actor, ours: string[], all: string[]): string {
  const is = (labels: string[]) =>
    labels.length === ours.length && labels.every((label) => ours.includes(label));
  if (ours.length === 0) return "none";
  if (is(all)) return "all";
  if (is([actor])) return "own";
  if (is(all.filter((label) => label !== "tenant"))) return "users'";
  if (is(["tenant", actor])) return "tenant's + own";
  return ours.sort().join(" and ");
}

/** Labels of this tenant's rows in a relation, as the superuser sees them: without any, nothing would be tried. */
async function allLabels(relation: string, from: string): Promise<string[]> {
  const [found] = await session.unsafe<{ coalesce: Record<string, unknown>[] }[]>(
    rows(`select * from ${from}`),
  );
  const all = found?.coalesce ?? [];
  const labels = new Set(all.flatMap((row) => labelsOf(relation, row, world)));
  expect([relation, [...labels]]).not.toEqual([relation, []]);
  return [...labels].filter((label) => label !== "other" && label !== "common");
}

/** A row of this tenant, as a user's quota that is not there yet; of other relations, whatever there is. */
function sampleRow({ name, insertable }: Relation, columns: string[]): string {
  if (name === "cost_quotas") {
    const row = {
      scope: "user",
      tenant_id: world.tenant,
      scope_id: world.users.member,
      resource_type: "e2b",
      period: "month",
      limit_usd: 1,
      warning_threshold: 0.5,
    };
    return `select ${columns.join(", ")} from jsonb_populate_record(null::spend.cost_quotas, '${JSON.stringify(row)}')`;
  }
  const list = (columns.length > 0 ? columns : insertable).map((column) => `"${column}"`);
  return `select ${list.join(", ")} from spend.${name} limit 1`;
}

async function columnsGranted(actor: Actor, { name }: Relation): Promise<string[]> {
  const found = await session<{ name: string }[]>`
    select a.attname::text as name from pg_attribute as a
    where a.attrelid = ${`spend.${name}`}::regclass and a.attnum > 0 and not a.attisdropped
      and has_column_privilege(${roleOf(actor)}, a.attrelid, a.attnum, 'INSERT') and a.attidentity = ''
    order by a.attnum`;
  return found.map((column) => column.name);
}

/**
 * The answer of a command that writes: denied, allowed (service_role, past every policy), or whose rows it reaches.
 * `blind` needs no privilege but the command's own.
 */
async function write(
  actor: Actor,
  relation: string,
  statement: { blind: string; seen: string },
  all: string[],
): Promise<string> {
  if (isDenied(await attempt(actor, rows(`${statement.blind} where false returning 1`))))
    return "denied";
  if (actor === "service") return "allowed";
  const seen = await attempt(actor, rows(`${statement.seen} returning *`));
  return describeRows(actor, relation, seen, all);
}

async function insert(actor: Actor, relation: Relation): Promise<string> {
  const granted = await columnsGranted(actor, relation);
  const columns = (granted.length > 0 ? granted : relation.insertable).map((name) => `"${name}"`);
  const into = `insert into spend.${relation.name} (${columns.join(", ")})`;
  if (granted.length === 0) {
    const row = relation.insertable.map(() => "null").join(", ");
    const outcome = await attempt(actor, rows(`${into} select ${row} where false returning 1`));
    return isDenied(outcome) ? "denied" : `error ${JSON.stringify(outcome)}`;
  }
  if (actor === "service") return "allowed";
  const outcome = await attempt(actor, rows(`${into} ${sampleRow(relation, granted)} returning 1`));
  if (isDenied(outcome)) return "denied";
  return Array.isArray(outcome) ? "allowed" : `error ${outcome.error}: ${outcome.message}`;
}

/** One line for each command, and where the columns differ one for each column that differs from the rest. */
async function linesOf(relation: Relation): Promise<Map<string, Answers>> {
  const { name } = relation;
  const all = await allLabels(name, `spend.${name}`);
  const lines = new Map<string, Answers>();
  const ask = async (command: string, answer: (actor: Actor) => Promise<string>) => {
    const answers = {} as Answers;
    for (const actor of ACTORS) answers[actor] = await answer(actor);
    lines.set(`${name} ${command}`, answers);
  };
  await ask("select", async (actor) =>
    describeRows(actor, name, await attempt(actor, rows(`select * from spend.${name}`)), all),
  );
  await ask("insert", (actor) => insert(actor, relation));
  const remove = `delete from spend.${name}`;
  await ask("delete", (actor) => write(actor, name, { blind: remove, seen: remove }, all));
  for (const column of relation.columns) {
    const set = (value: string) => `update spend.${name} set "${column}" = ${value}`;
    const statement = { blind: set("default"), seen: set(`"${column}"`) };
    await ask(`update(${column})`, (actor) => write(actor, name, statement, all));
  }
  return mergeColumns(name, relation.columns, lines);
}

/** Columns that are answered alike share the line `update`; when there are several answers, the line says which columns. */
function mergeColumns(name: string, columns: string[], lines: Map<string, Answers>) {
  const groups = new Map<string, { columns: string[]; answers: Answers }>();
  for (const column of columns) {
    const answers = lines.get(`${name} update(${column})`) as Answers;
    lines.delete(`${name} update(${column})`);
    const group = groups.get(JSON.stringify(answers)) ?? { columns: [], answers };
    group.columns.push(column);
    groups.set(JSON.stringify(answers), group);
  }
  const [common, ...rest] = [...groups.values()].sort(
    (a, b) => b.columns.length - a.columns.length,
  );
  if (common) lines.set(`${name} update`, common.answers);
  for (const { columns, answers } of rest) {
    lines.set(`${name} update(${columns.join(",")})`, answers);
  }
  return lines;
}

/** Lines that are the same in every cell are one line of expected.md, with their commands in it. */
function mergeCommands(lines: Map<string, Answers>): Map<string, Answers> {
  const merged = new Map<string, { relation: string; commands: string[]; answers: Answers }>();
  for (const [key, answers] of lines) {
    const [relation = "", command = ""] = key.split(" ");
    const id = `${relation} ${JSON.stringify(answers)}`;
    const line = merged.get(id) ?? { relation, commands: [], answers };
    line.commands.push(command);
    merged.set(id, line);
  }
  return new Map(
    [...merged.values()].map(({ relation, commands, answers }) => [
      `${relation} ${commands.join("/")}`,
      answers,
    ]),
  );
}

const print = (lines: Map<string, Answers>) =>
  [...lines].map(([key, answers]) => asLine(key, answers));

describe("The relations of spend", () => {
  it("answer select, insert, update of each column and delete to everybody as expected.md says", async () => {
    const found = new Map<string, Answers>();
    for (const relation of relations) {
      for (const [key, answers] of mergeCommands(await linesOf(relation))) found.set(key, answers);
    }
    expect(print(found)).toEqual(print(expected("Relations")));
  }, 120_000);
});

describe("The amounts of quotas", () => {
  it.each(["member", "owner"] as const)(
    "are read by a %s as they are: what is spent and what is held",
    async (actor) => {
      const seen = await attempt(actor, rows("select * from spend.quota_status order by quota_id"));
      const ids = (seen as { quota_id: number }[]).map((row) => row.quota_id);
      const [there] = await session<{ coalesce: unknown }[]>`
      select coalesce(jsonb_agg(to_jsonb(q) order by q.quota_id), '[]')
      from spend.quota_status as q where q.quota_id = any (${ids}::bigint[])`;
      expect(seen).toEqual(there?.coalesce);
      expect(JSON.stringify(seen)).toMatch(/"spent_usd":0\.0*[1-9]/);
    },
  );
});

/** Everybody, each with the tenant in which the world put them. */
function peopleOf({ users, tenant, other }: World): string {
  const rows = PEOPLE.map((person) => {
    const of = person.startsWith("other") ? other : tenant;
    const isOperator = person === "viewer" || person === "editor";
    return `('${users[person]}'::uuid, ${isOperator ? "null" : `'${of}'::uuid`})`;
  });
  return `values ${rows.join(", ")}`;
}

describe("The functions of spend", () => {
  it("answer everybody as expected.md says, and what users may call reads no more than their rows", async () => {
    const found = new Map<string, Answers>();
    for (const { name, statement } of functions) {
      const answers = {} as Answers;
      const reads =
        READS[name]
          ?.replaceAll(":tenant", `'${world.tenant}'`)
          .replaceAll(":people", peopleOf(world)) ?? READS[name];
      const all = reads ? await allLabels(name, reads) : [];
      for (const actor of ACTORS) {
        const isCall = statement.startsWith("call");
        const outcome = await attempt(actor, isCall ? statement : rows(statement));
        const refused =
          !Array.isArray(outcome) &&
          /^(permission denied for (function|procedure|schema)|not_an_operator)/.test(
            outcome.message,
          );
        if (refused) answers[actor] = "denied";
        else if (actor === "service" || reads === null) answers[actor] = "allowed";
        else if (reads === undefined)
          answers[actor] = "allowed, and nobody says whose rows it reads";
        else {
          const seen = await attempt(actor, rows(`select * from ${reads}`));
          answers[actor] = describeRows(actor, name, seen, all);
        }
      }
      found.set(`${name} execute`, answers);
    }
    expect(print(found)).toEqual(print(expected("Functions")));
  });
});

describe("spend_private", () => {
  it("has no relation that anybody reads and no function that anybody calls, service_role included", async () => {
    expect(internals.length).toBeGreaterThan(100);
    const reached: string[] = [];
    for (const { name, statement } of internals) {
      for (const actor of ["anon", "owner", "service"] as const) {
        const outcome = await attempt(actor, rows(statement));
        // anon may not even use the types of `spend` that an argument has.
        const refused =
          !Array.isArray(outcome) && /^permission denied for schema spend/.test(outcome.message);
        if (!refused) reached.push(`${actor}: ${name}: ${JSON.stringify(outcome)}`);
      }
    }
    expect(reached).toEqual([]);
  });
});
