// A NOTICE warns a DBA of a price that is probably a slip, and refuses nothing. Right prices give no notice.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";

let database: TestDatabase;
let listener: Sql;
let notices: { message: string; hint: string }[] = [];
beforeAll(async () => {
  database = await cloneDatabase({ connections: 1 });
  listener = postgres(database.url, {
    max: 1,
    onnotice: ({ message, hint }) => notices.push({ message: message ?? "", hint: hint ?? "" }),
  });
});
afterAll(async () => {
  await listener.end();
  await database.close();
});

/** What a statement says; it is undone afterwards. */
async function noticesOf(...statements: string[]): Promise<string[]> {
  const undo = new Error("undo");
  notices = [];
  await listener
    .begin(async (session) => {
      for (const statement of statements) await session.unsafe(statement);
      throw undo;
    })
    .catch((error) => {
      if (error !== undo) throw error;
    });
  return notices.map(({ message, hint }) => `${message} ${hint}`);
}

const price = (provider: string, product: string, usd = "2.5", more = "") =>
  `insert into spend.prices (resource_type, provider, product, meter, usd${more && ", unit_size"})
   values ('llm', '${provider}', '${product}', 'input_tokens', ${usd}${more && `, ${more}`})`;
const alias = (provider: string, pattern: string, product: string) =>
  `insert into spend.product_aliases values ('${provider}', 'equals', '${pattern}', '${product}')`;

it.each([
  ["OpenAI", "gpt-4o", 'Provider "OpenAI" is new, and looks like "openai".'],
  ["opnai", "gpt-4o", 'Provider "opnai" is new, and looks like "openai".'],
  ["antropic", "claude-9", 'Provider "antropic" is new, and looks like "anthropic".'],
  ["openai", "gpt-4oo", 'Product "gpt-4oo" of "openai" is new, and looks like "gpt-4o".'],
  ["openai", "GPT-4o", 'Product "GPT-4o" of "openai" is new, and looks like "gpt-4o".'],
  ["openai", "gpt4o", 'Product "gpt4o" of "openai" is new, and looks like "gpt-4o".'],
])("A first price of %s/%s gives the notice: %s", async (provider, product, expected) => {
  expect((await noticesOf(price(provider, product))).join()).toContain(expected);
});

it.each([
  ["another price of a product", [price("openai", "gpt-4o", "2")]],
  ["a provider that looks like no other", [price("our-own-models", "large")]],
  ["a name of three letters, two of them another's (zai)", [price("zbx", "large")]],
  ["a product that looks like no other", [price("openai", "brand-new-model")]],
  ["the next version of a product", [price("openai", "gpt-5.9")]],
  ["a provider's '*'", [price("openai", "*")]],
  ["a price that goes down to a fiftieth", [price("openai", "gpt-4o", "0.05")]],
  ["a product that is free from now on", [price("openai", "gpt-4o", "0")]],
  ["the same price by another unit", [price("openai", "gpt-4o", "0.0025", "1000")]],
  ["an alias of a product with a price", [alias("openai", "our-gpt", "gpt-4o")]],
  ["an alias where '*' has a price", [price("openai", "*"), alias("openai", "our-gpt", "gpt-99")]],
  ["a tier at half the price", ["select spend.add_service_tier('openai', 'batch', 0.5)"]],
  [
    "a tier that is there already",
    ["select spend.add_service_tier('openai', 'batch', 0.5, 'now')"].flatMap((add) => [add, add]),
  ],
])("No notice is given for %s", async (_, statements) => {
  expect(await noticesOf(...statements)).toEqual([]);
});

it("A price 1,000 times or a thousandth of what it was gives a notice, by usd or unit_size, new or changed, for a tenant or a tier", async () => {
  const thousandfold = /input_tokens of "openai\/gpt-4o" at .* are 1000 times what they were/;
  const [tenant] =
    await database.sql`insert into spend.tenants (name) values ('Acme') returning id`;
  const of = (values: string) =>
    `insert into spend.prices (resource_type, provider, product, meter, usd, unit_size, service_tier, tenant_id, revision)
     select 'llm', 'openai', 'gpt-4o', 'input_tokens', ${values}`;
  for (const statement of [
    price("openai", "gpt-4o", "2500"),
    price("openai", "gpt-4o", "2.5", "1000"),
    of(`2500, 1000000, 'priority', null, 0`),
    of(`2500, 1000000, 'standard', '${tenant?.id}', 0`),
    of(`2500, 1000000, 'standard', null, 1`),
    `update spend.prices set unit_size = 1000
     where provider = 'openai' and product = 'gpt-4o' and meter = 'input_tokens'`,
  ]) {
    const said = await noticesOf(statement);
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(thousandfold);
    expect(said[0]).toMatch(/unit_size/);
  }
  expect(await noticesOf(price("openai", "gpt-4o", "2.5", "1000000000"))).toEqual([
    expect.stringMatching(/are 0\.001 times/),
  ]);
  expect(await noticesOf(price("openai", "gpt-4o", "250"))).toHaveLength(1);
  expect(await noticesOf(price("openai", "gpt-4o", "249"))).toEqual([]);
});

it("A pattern that matches nothing gives a notice of what may have been meant", async () => {
  const meant = /Did you mean "openai"\?/;
  expect(await noticesOf("select spend.add_service_tier('opnai', 'batch', 0.5)")).toEqual([
    expect.stringMatching(meant),
  ]);
  expect(
    await noticesOf("select spend.add_service_tier('openai', 'batch', 0.5, now(), 'gpt-4oo')"),
  ).toEqual([expect.stringMatching(/openai\/gpt-4oo: .*Did you mean .*"gpt-4o"/)]);

  const reprice = (provider: string, product: string, isDry: boolean) =>
    `select * from spend.reprice('${provider}', '${product}', now() - interval '1 day', now(), ${isDry})`;
  for (const isDry of [true, false]) {
    expect(await noticesOf(reprice("openai", "gpt-4oo", isDry))).toEqual([
      expect.stringMatching(/^No call of "openai\/gpt-4oo" .*Did you mean .*"gpt-4o"/),
    ]);
    expect(await noticesOf(reprice("opnai", "*", isDry))).toEqual([expect.stringMatching(meant)]);
  }

  expect(await noticesOf(alias("openai", "our-gpt", "gpt-4oo"))).toEqual([
    expect.stringMatching(
      /leads to "openai\/gpt-4oo", which has no price\. Did you mean .*"gpt-4o"/,
    ),
  ]);
  expect(
    await noticesOf(
      alias("openai", "our-gpt", "gpt-4o"),
      "update spend.product_aliases set provider = 'OpenAI' where pattern = 'our-gpt'",
    ),
  ).toEqual([expect.stringMatching(meant)]);
});

it("A repricing of a reversed or empty range is refused", async () => {
  for (const [from, to] of [
    ["2026-03-02", "2026-03-01"],
    ["2026-03-01", "2026-03-01"],
  ]) {
    await expect(
      noticesOf(`select * from spend.reprice('openai', 'gpt-4o', '${from}', '${to}')`),
    ).rejects.toMatchObject({
      code: "22023",
      message: "invalid_usage",
      hint: /"to" must be after/,
    });
  }
});

it("A repricing that finds calls gives no notice", async () => {
  const usage = `'{"provider":"openai","model":"gpt-4o","input_tokens":1000,"output_tokens":0}'`;
  expect(
    await noticesOf(
      "insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A')",
      `select spend.reserve('aaaaaaaa-0000-4000-8000-000000000001', null, 'llm', ${usage})`,
      "select * from spend.reprice('openai', 'gpt-4o', now() - interval '1 day', now() + interval '1 day')",
    ),
  ).toEqual([]);
});

it("Loading the catalogue, into an empty table, again, or beside a hundred new products, gives no notice", async () => {
  const seed = readFileSync(join(PROJECT, "supabase/seeds/prices.sql"), "utf8");
  expect(
    await noticesOf("delete from spend.product_aliases", "delete from spend.prices", seed, seed),
  ).toEqual([]);
  expect(
    await noticesOf(
      `insert into spend.prices (resource_type, provider, product, meter, usd)
       select 'llm', 'openai', 'gpt-4o-' || chr(97 + n / 10) || chr(97 + n % 10), 'input_tokens', 1
       from generate_series(0, 99) as n`,
    ),
  ).toEqual([]);
});
