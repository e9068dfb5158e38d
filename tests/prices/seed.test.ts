// supabase/seeds/prices.sql, loaded again: on an untouched catalogue, and on one whose products are in use.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";

const SEED = readFileSync(join(PROJECT, "supabase/seeds/prices.sql"), "utf8");

let database: TestDatabase;
beforeAll(async () => {
  database = await cloneDatabase();
});
afterAll(() => database.close());

const rows = async () =>
  (await database.sql`select * from spend.prices order by id`).map((row) => JSON.stringify(row));
const load = () => database.sql.unsafe(SEED);

it("Loading the price seed a second time changes nothing", async () => {
  const before = await rows();
  expect(before.length).toBeGreaterThan(4000);
  await load();
  expect(await rows()).toEqual(before);
});

it("A newer catalogue's prices of a product in use take effect now, once, and rewrite no history", async () => {
  const { sql } = database;
  const [tenant] = await sql`insert into spend.tenants (name) values ('Acme') returning id`;
  const usage = sql.json({
    provider: "openai",
    model: "gpt-4o",
    input_tokens: 1000,
    output_tokens: 0,
    cache_read_tokens: 0,
  });
  const [call] = await sql`
    select (spend.reserve(${tenant?.id}, null, 'llm', ${usage})).reservation_id as id`;
  await sql`select spend.settle(${call?.id}, ${usage})`;
  // As if the catalogue did not know these yet: of a product in use, and of one that is not.
  const gone = await sql.begin(async (session) => {
    await session`set local session_replication_role = replica`;
    return session`
      delete from spend.prices
      where provider = 'openai' and product in ('gpt-4o', 'gpt-4o-mini') and meter = 'cache_read_tokens'
      returning product`;
  });
  expect(gone.map(({ product }) => product).sort()).toEqual(["gpt-4o", "gpt-4o-mini"]);

  await load();
  await load();

  const added = await sql`
    select product, effective_from > now() - interval '1 hour' as is_new from spend.prices
    where provider = 'openai' and product in ('gpt-4o', 'gpt-4o-mini') and meter = 'cache_read_tokens'
    order by 1`;
  expect(added).toEqual([
    { product: "gpt-4o", is_new: true },
    { product: "gpt-4o-mini", is_new: false },
  ]);
  const changes = await sql`
    select * from spend.reprice('openai', '*', now() - interval '1 day', now() + interval '1 day')`;
  expect(changes).toEqual([]);
});
