// Whoever has SQL may make types, functions, operators and tables of any name, in pg_temp at least. None of our functions,
// triggers, views or policies may find one of them while it runs as somebody else.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import {
  addFixture,
  addPrices,
  CALLS,
  type Catalogue,
  everythingFor,
  type Fixture,
  readCatalogue,
  USER_WRITES,
  WRITES,
} from "./everything.ts";
import {
  countHostileObjects,
  makeHostileObjects,
  makeTemporaryNames,
  type Names,
  namesInUse,
} from "./hostile_objects.ts";

type Statements = (fixture: Fixture) => string[];
type ApiRole = "authenticated" | "service_role";

interface Attacker {
  name: string;
  role: ApiRole;
  /** How it connects: through the Data API's login role, or as an analyst who was granted `authenticated`. */
  login: "authenticator" | "analyst";
  user: (fixture: Fixture) => string;
}

const ATTACKERS: Attacker[] = [
  { name: "a member", role: "authenticated", login: "authenticator", user: (f) => f.member },
  { name: "an owner", role: "authenticated", login: "authenticator", user: (f) => f.owner },
  { name: "an analyst", role: "authenticated", login: "analyst", user: (f) => f.owner },
  { name: "an operator", role: "authenticated", login: "authenticator", user: (f) => f.operator },
  { name: "service_role", role: "service_role", login: "authenticator", user: (f) => f.stranger },
];
const [MEMBER, OWNER, ANALYST, OPERATOR, SERVICE] = ATTACKERS as [
  Attacker,
  Attacker,
  Attacker,
  Attacker,
  Attacker,
];
/**
 * What each is refused: a member and an operator write no quota past the policies, a member knows of no alert, and only operators are
 * operators.
 */
const REFUSED = new Map([
  [MEMBER, /^(42501 .*row-level security|PT403 not_an_(operator|admin)|PT404 unknown_alert)/],
  [OWNER, /^PT403 not_an_operator/],
  [ANALYST, /^PT403 not_an_operator/],
  [OPERATOR, /^42501 .*row-level security/],
]);

/** A schema that the roles may create in: projects have one, `public` before PostgreSQL 15. */
const OPEN = "open_to_all";
/** Search paths of the session: as it is by default, which looks for types in pg_temp first, and two of the attacker's. */
const DEFAULT_PATH = '"$user", public, extensions';
const HOSTILE_PATH = `${OPEN}, pg_temp, pg_catalog, public`;
const ATTACKS: [Attacker, string][] = [
  ...ATTACKERS.flatMap((attacker): [Attacker, string][] => [
    [attacker, DEFAULT_PATH],
    [attacker, HOSTILE_PATH],
  ]),
  [OWNER, "pg_temp, public"],
];

interface Seen {
  /** What ran as somebody else: "operator + by postgres". */
  ran: string[];
  /** Statements that failed, and with what. */
  failed: string[];
}

let database: TestDatabase;
let sql: Sql;
let analyst: string;
let names: Names;
let catalogue: Catalogue;
let victim: string;

beforeAll(async () => {
  database = await cloneDatabase();
  sql = database.sql;
  analyst = `analyst_${new URL(database.url).pathname.slice(6)}`;
  await sql.unsafe(`
    create role ${analyst} login inherit password 'postgres';
    grant authenticated to ${analyst};
    create schema ${OPEN};
    grant all on schema ${OPEN} to authenticated, service_role, ${analyst}`);
  await addPrices(sql);
  const [row] = await sql`insert into spend.tenants (name) values ('Victim') returning id`;
  victim = row?.id;
  names = await namesInUse(sql);
  catalogue = await readCatalogue(sql);
});
afterAll(async () => {
  await sql?.unsafe(`drop owned by ${analyst} cascade; drop role ${analyst}`);
  await database?.close();
});

/** A session of an attacker with hostile objects of all kinds. */
async function openSession(
  attacker: Attacker,
  user: string,
  notices: string[],
  schemas = ["pg_temp"],
): Promise<Sql> {
  const url = new URL(database.url);
  url.username = attacker.login === "analyst" ? analyst : "authenticator";
  url.password = "postgres";
  const session = postgres(url.href, {
    max: 1,
    fetch_types: false,
    onnotice: ({ message }) => notices.push(message ?? ""),
  });
  const who = attacker.login === "analyst" ? analyst : attacker.role;
  await session.unsafe(`
    ${attacker.login === "analyst" ? "" : `set role ${attacker.role};`}
    set attack.caller = '${who}';
    set request.jwt.claims = '${JSON.stringify({ sub: user, role: attacker.role })}'`);
  for (const schema of schemas) {
    await makeHostileObjects(session, schema, names, { victim, attacker: user });
  }
  await makeTemporaryNames(session, names);
  return session;
}

/** Empties the schema that the roles may create in: the next attacker makes objects of its own. */
async function emptyOpenSchema(): Promise<void> {
  await sql.unsafe(`
    set client_min_messages = error;
    drop schema ${OPEN} cascade; create schema ${OPEN};
    grant all on schema ${OPEN} to authenticated, service_role, ${analyst}`);
}

/** Runs statements of an attacker, one after the other, and answers what they did that they should not. */
async function attack(attacker: Attacker, path: string, statementsOf: Statements): Promise<Seen> {
  const notices: string[] = [];
  const fixture = await addFixture(sql);
  // pg_temp always; the open schema where the search_path leads there.
  const schemas = path.includes(OPEN) ? ["pg_temp", OPEN] : ["pg_temp"];
  const session = await openSession(attacker, attacker.user(fixture), notices, schemas);
  const failed: string[] = [];
  try {
    await session.unsafe(`set search_path = ${path}`);
    for (const statement of statementsOf(fixture)) {
      await session.unsafe(statement).catch((error) => {
        failed.push(`${error.code} ${error.message}: ${statement}`);
      });
    }
  } finally {
    await session.end();
    if (schemas.includes(OPEN)) await emptyOpenSchema();
  }
  const ran = notices.filter((notice) => notice.startsWith("SAW "));
  return { ran: [...new Set(ran)].map((notice) => notice.slice(4)).sort(), failed };
}

const everythingOf = (attacker: Attacker) => (fixture: Fixture) =>
  everythingFor(attacker.role, catalogue, fixture);

async function membersOfVictim(): Promise<number> {
  const [row] = await sql`
    select count(*)::int as members from spend.tenant_members where tenant_id = ${victim}`;
  return row?.members;
}

describe("Objects in pg_temp and in a schema of one's own", () => {
  for (const [attacker, path] of ATTACKS) {
    it(`of ${attacker.name}, who calls, reads and writes all that the role may, are not run as anybody else with search_path ${path}`, async () => {
      const { ran, failed } = await attack(attacker, path, everythingOf(attacker));
      expect(ran).toEqual([]);
      const refused = REFUSED.get(attacker);
      expect(failed.filter((each) => !refused?.test(each))).toEqual([]);
      expect(await membersOfVictim()).toBe(0);
    });
  }

  it("are at least 50 types, 20 relations, 150 functions and 150 operators with names of PostgreSQL and of ours", async () => {
    const fixture = await addFixture(sql);
    const session = await openSession(OWNER, fixture.owner, [], ["pg_temp", OPEN]);
    await session.unsafe("set search_path = pg_catalog, pg_temp");
    const [temp] = await session`select nspname from pg_namespace where oid = pg_my_temp_schema()`;
    for (const schema of [OPEN, temp?.nspname]) {
      const count = await countHostileObjects(session, schema);
      expect(count?.types).toBeGreaterThan(50);
      expect(count?.relations).toBeGreaterThan(20);
      expect(count?.functions).toBeGreaterThan(150);
      expect(count?.operators).toBeGreaterThan(150);
    }
    await session.end();
    await emptyOpenSchema();
  });

  it("are tried on functions and triggers that are there: so says every line of everything.ts", () => {
    const functions = new Set(catalogue.functions.map(({ name }) => name));
    const writes = new Set(catalogue.writes.map(({ key }) => key));
    expect(Object.keys(CALLS).filter((name) => !functions.has(name))).toEqual([]);
    expect(Object.keys(WRITES).filter((key) => !writes.has(key))).toEqual([]);
  });
});

describe("The triggers that docs/guides/attach.md teaches", () => {
  it("run nothing of a member's own as their owner when the member mirrors an organization", async () => {
    const text = readFileSync(join(PROJECT, "docs/guides/attach.md"), "utf8");
    const taught = /```sql\n(.*?)```/s.exec(text)?.[1] ?? "";
    await sql.unsafe(`
      create table public.organizations (id uuid primary key, name text not null, time_zone text, deleted_at timestamptz);
      create table public.organization_members (organization_id uuid, user_id uuid, role text);
      grant select, insert, update, delete on public.organizations, public.organization_members to authenticated`);
    await sql.unsafe(taught);
    const { ran, failed } = await attack(MEMBER, HOSTILE_PATH, ({ stranger, member }) => [
      `insert into public.organizations (id, name) values ('${stranger}', 'New')`,
      `insert into public.organization_members (organization_id, user_id, role) values ('${stranger}', '${member}', 'owner')`,
      `update public.organizations set name = 'Mirrored', time_zone = 'Asia/Tokyo' where id = '${stranger}'`,
      `update public.organization_members set role = 'guest' where organization_id = '${stranger}'`,
      `delete from public.organization_members where organization_id = '${stranger}'`,
      `delete from public.organizations where id = '${stranger}'`,
    ]);
    expect({ ran, failed }).toEqual({ ran: [], failed: [] });
    const closed =
      await sql`select from spend.tenants where name = 'Mirrored' and closed_at is not null`;
    expect(closed).toHaveLength(1);
    expect(await membersOfVictim()).toBe(0);
  });
});

describe("A session that is used by somebody else afterwards", () => {
  it("does not run what a member left in pg_temp, neither by service_role's calls nor by the owner's", async () => {
    const notices: string[] = [];
    const fixture = await addFixture(sql);
    const session = await openSession(MEMBER, fixture.member, notices);
    // As the Data API does at its next request: another role, its own search_path, the settings of before.
    await session.unsafe(`set search_path = ${DEFAULT_PATH}; set role service_role`);
    const failed: string[] = [];
    for (const statement of everythingFor("service_role", catalogue, fixture)) {
      await session.unsafe(statement).catch((error) => {
        failed.push(`${error.code} ${error.message}: ${statement}`);
      });
    }
    await session.end();
    expect(notices.filter((notice) => notice.startsWith("SAW "))).toEqual([]);
    expect(failed).toEqual([]);
    expect(await membersOfVictim()).toBe(0);
  });
});

describe("The attack would be noticed", () => {
  /** Runs `work` with a function as it should not be, then puts it back. */
  async function broken<T>(routine: string, change: string, work: () => Promise<T>): Promise<T> {
    await sql.unsafe(`alter function ${routine} ${change}`);
    try {
      return await work();
    } finally {
      await sql.unsafe(`alter function ${routine} set search_path = pg_catalog, pg_temp`);
      await sql`delete from spend.tenant_members where tenant_id = ${victim}`;
    }
  }

  const explain = CALLS.explain_cost as Statements;
  const adjust = CALLS.adjust as Statements;
  const change = USER_WRITES["cost_quotas UPDATE"] as Statements;

  it.each<[string, Attacker, Statements, string]>([
    [
      "a function that a member calls",
      MEMBER,
      explain,
      "spend.explain_cost(text, text, jsonb, timestamptz)",
    ],
    ["a trigger of an owner's write", OWNER, change, "spend_private.audit()"],
    [
      "a function behind one of service_role's",
      SERVICE,
      adjust,
      "spend_private.check_adjustment(numeric, text, text, text)",
    ],
  ])(
    "with a search_path of '' on %s: types of pg_temp run as its owner, who makes the attacker one",
    async (_, attacker, statements, routine) => {
      const { ran } = await broken(routine, "set search_path = ''", async () => {
        const seen = await attack(attacker, DEFAULT_PATH, statements);
        expect(await membersOfVictim()).toBe(1);
        return seen;
      });
      expect(ran.join()).toMatch(/type \w+ by postgres/);
    },
    60_000,
  );

  it("without a search_path on a trigger of an owner's write: functions and operators of the attacker's schema run as its owner", async () => {
    const { ran } = await broken("spend_private.complete_quota()", "reset search_path", () =>
      attack(OWNER, HOSTILE_PATH, change),
    );
    expect(ran.join()).toMatch(/(^|,)\w+ by postgres/);
    expect(ran.join()).toMatch(/operator \S+ by postgres/);
  });
});
