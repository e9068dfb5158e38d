// The price book is what spend.prices says, at every moment that anybody can see: random changes of prices, aliases, meters
// and tenants by several transactions at once, beside calls. SPENDGATE_PRICE_BOOK_SEED=… decides the same again.
import type { PendingQuery, Row, Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { type Random, seeded } from "../support/random.ts";
import { addTenant, verifyBalances } from "../support/spend.ts";
import {
  atOnce,
  closeSession,
  deadlocks,
  openSession,
  overlap,
  untilWaits,
  withSessions,
} from "./sessions.ts";

const SEED = Number(process.env.SPENDGATE_PRICE_BOOK_SEED ?? Date.now() % 2 ** 31);
const PROVIDER = "book";
const PRODUCTS = ["one", "two", "three", "*"];
const NAMES = [...PRODUCTS, "alias", "ALIAS", "book/one", "two-2026"];
const METERS = [
  "input_tokens",
  "output_tokens",
  "cache_read_tokens",
  "reasoning_tokens",
  "requests",
];
const MOMENTS = ["2025-01-01", "2025-06-01", "2026-01-01", "2039-01-01", "2040-01-01"];
const TIERS = ["standard", "standard", "flex"];

let database: TestDatabase;
beforeAll(async () => {
  database = await cloneDatabase({ connections: 12 });
});
afterAll(() => database?.close());

/** Products whose book differs from their prices, in one snapshot. */
const wrongProducts = (sql: Sql) => sql`
  select distinct k.provider, k.product, w.tenant_id, w.valid_from
  from (
    select p.provider, p.product from spend.prices as p where p.provider = ${PROVIDER}
    union select b.provider, b.product from spend_private.price_book as b where b.provider = ${PROVIDER}
  ) as k
  cross join lateral spend_private.wrong_price_book(k.provider, k.product) as w`;

const addPrice = (sql: Sql, random: Random, tenants: string[]) => sql`
  insert into spend.prices (
    resource_type, provider, product, meter, usd, tier_from, service_tier, tenant_id, effective_from, revision
  )
  values (
    'llm', ${PROVIDER}, ${random.pick(PRODUCTS)}, ${random.pick(METERS)}, ${random.int(0, 40)},
    ${random.pick([0, 0, 0, 1000])}, ${random.pick(TIERS)},
    ${random.chance(0.3) ? random.pick(tenants) : null}, ${random.pick(MOMENTS)}, ${random.int(0, 3)}
  )`;

/** Rows that no call has used, locked in the order in which calls mark them as used: else each could wait for the other. */
const unused = (sql: Sql, condition: PendingQuery<Row[]>) => sql`
  id in (
    select l.id from (
      select p.id from spend.prices as p
      where p.provider = ${PROVIDER} and p.first_used_at is null and ${condition}
      order by p.id for no key update
    ) as l
    offset 0
  )`;

/** What a transaction does to prices, besides adding some. */
const changes: Record<string, (sql: Sql, random: Random) => PromiseLike<unknown>> = {
  reprice: (sql, random) => sql`
    update spend.prices set usd = ${random.int(0, 40)}
    where ${unused(sql, sql`p.product = ${random.pick(PRODUCTS)}`)}`,
  putOff: (sql, random) => sql`
    update spend.prices set effective_from = effective_from + interval '1 day'
    where ${unused(sql, sql`p.meter = ${random.pick(METERS)}`)}`,
  rename: (sql, random) => sql`
    update spend.prices set product = ${random.pick(PRODUCTS)}, effective_from = effective_from + interval '1 hour'
    where ${unused(sql, sql`p.usd = ${random.int(0, 40)}`)}`,
  remove: (sql, random) => sql`
    delete from spend.prices
    where ${unused(sql, sql`p.meter = ${random.pick(METERS)} and p.usd > ${random.int(0, 40)}`)}`,
  note: (sql, random) => sql`
    update spend.prices set note = 'noted'
    where ${unused(sql, sql`p.product = ${random.pick(PRODUCTS)}`)}`,
  meter: (sql, random) => sql`
    update spend.meters set provider_decides = ${random.chance(0.5)} where meter = 'cache_read_tokens'`,
  alias: (sql, random) => sql`
    insert into spend.product_aliases (provider, match_kind, pattern, product)
    values (${PROVIDER}, 'equals', 'alias', ${random.pick(PRODUCTS)})
    on conflict (provider, match_kind, pattern) do update set product = excluded.product`,
};

/** A transaction of some changes, now and then rolled back. What is refused (a price of that moment) ends it. */
async function changePrices(sql: Sql, random: Random, tenants: string[]): Promise<string> {
  const end = random.chance(0.2) ? "rollback" : "commit";
  await sql`begin`;
  try {
    for (let i = random.int(0, 3); i > 0; i--) await addPrice(sql, random, tenants);
    if (random.chance(0.5)) await changes[random.pick(Object.keys(changes))]?.(sql, random);
    await sql.unsafe(end);
    return end;
  } catch (error) {
    await sql`rollback`;
    const { message } = error as Error;
    if (/deadlock|timeout|price_book/.test(message)) throw error;
    return message;
  }
}

function usage(random: Random) {
  const count = () => random.pick([0, 10, 900, 5000]);
  return {
    provider: PROVIDER,
    model: random.pick(NAMES),
    input_tokens: 10_000,
    output_tokens: 10_000,
    ...(random.chance(0.5) && { cache_read_tokens: count() }),
    ...(random.chance(0.5) && { reasoning_tokens: count() }),
    ...(random.chance(0.3) && { service_tier: random.pick(TIERS) }),
  };
}

/** What every name costs whom, at each moment and at versions of the prices. */
async function answers(
  sql: Sql,
  random: Random,
  tenants: string[],
  versions: [number, number],
): Promise<Row[]> {
  const calls = Array.from({ length: 300 }, (_, place) => ({
    place,
    usage: usage(random),
    tenant: random.pick(tenants),
    at: random.pick([...MOMENTS, "2026-07-01"]),
    is_bound: random.chance(0.5),
    version: random.int(...versions),
  }));
  return await sql`
    select c.usage, (p.now).*, (o.old).cost_usd as old_usd
    from jsonb_to_recordset(${sql.json(calls)}) as c (
      usage jsonb, tenant uuid, at timestamptz, is_bound boolean, version bigint, place bigint
    )
    cross join lateral (select spend_private.read_usage('llm', c.usage) as counts offset 0) as u
    cross join lateral (
      select spend_private.price_usage(c.tenant, 'llm', u.counts, c.at, c.is_bound) as now offset 0
    ) as p
    cross join lateral (
      select spend_private.price_product(
        c.tenant, 'llm', u.counts, c.usage ->> 'model', c.at, c.is_bound, c.version
      ) as old offset 0
    ) as o
    order by c.place`;
}

describe(`The price book (seed ${SEED})`, () => {
  it("says what the prices say whenever somebody looks, while four change prices, one deletes tenants and two call", {
    timeout: 180_000,
  }, async () => {
    const { sql } = database;
    const random = seeded(SEED);
    const tenants = await Promise.all(Array.from({ length: 3 }, () => addTenant(sql, 1e6, 4)));
    const priceVersion = async () => {
      const [row] = await sql`select version::int from spend_private.price_state`;
      return row?.version as number;
    };
    const firstVersion = await priceVersion();
    await sql`
      insert into spend.product_aliases (provider, match_kind, pattern, product)
      values (${PROVIDER}, 'starts_with', 'two-', 'two')`;
    for (const meter of ["input_tokens", "output_tokens"]) {
      await sql`
        insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
        values ('llm', ${PROVIDER}, '*', ${meter}, 1, '2020-01-01')`;
    }
    const before = await deadlocks(sql);
    const outcomes = new Map<string, number>();
    const count = (what: string) => outcomes.set(what, (outcomes.get(what) ?? 0) + 1);
    let isDone = false;

    const writers = Array.from({ length: 4 }, () => random.fork()).map(async (dice) => {
      const session = await openSession(sql);
      try {
        for (let i = 0; i < 40; i++) count(await changePrices(session.sql, dice, tenants));
      } finally {
        await closeSession(session);
      }
    });
    // Its tenants have prices of their own, and no calls.
    const deleter = (async (dice: Random) => {
      for (let i = 0; i < 15; i++) {
        const gone = await Promise.all([addTenant(sql, 1, 1), addTenant(sql, 1, 1)]);
        for (let j = 0; j < 4; j++) {
          await addPrice(sql, { ...dice, chance: () => true }, gone).catch((error: Error) =>
            expect(error.message).toMatch(/duplicate_price|price_would_rewrite_history/),
          );
        }
        await sql`delete from spend.tenants where id = any (${gone})`;
        count("tenants deleted");
      }
    })(random.fork());
    const callers = Array.from({ length: 2 }, () => random.fork()).map(async (dice) => {
      for (let i = 0; i < 60; i++) {
        const asked = usage(dice);
        const outcome = await sql`
          select reservation_id as id from spend.reserve(${dice.pick(tenants)}, null, 'llm', ${sql.json(asked)})`.then(
          async ([call]) => {
            if (call?.id == null) return "refused";
            await sql`select spend.settle(${call.id}, ${sql.json({ ...asked, input_tokens: 9_000 })})`;
            return "called";
          },
          (error: Error) => error.message,
        );
        expect(outcome).toMatch(/^(called|refused|unpriced_product)$/);
        count(outcome);
      }
    });
    const watcher = (async () => {
      while (!isDone) {
        expect(await wrongProducts(sql)).toEqual([]);
        count("looked");
      }
    })();
    await Promise.all([...writers, deleter, ...callers]).finally(() => {
      isDone = true;
    });
    await watcher;

    expect(await wrongProducts(sql)).toEqual([]);
    expect(await deadlocks(sql)).toBe(before);
    for (const what of ["commit", "rollback", "called", "looked", "tenants deleted"]) {
      expect(outcomes.get(what), what).toBeGreaterThan(0);
    }
    expect(await verifyBalances(sql)).toEqual([]);

    // Without a book, prices are looked up in the list itself.
    await withSessions(sql, 1, async ({ sql: alone }) => {
      const fork = SEED + 1;
      const versions: [number, number] = [firstVersion, await priceVersion()];
      const withBook = await answers(alone, seeded(fork), tenants, versions);
      await alone`begin`;
      await alone`delete from spend_private.price_book`;
      expect(await answers(alone, seeded(fork), tenants, versions)).toEqual(withBook);
      // Every call settled at the prices that it was reserved at, whatever came since.
      const wrong = await alone`
        select r.id, r.actual_cost_usd, a.cost_usd
        from spend.reservations as r
        join spend.cost_events as e on e.reservation_id = r.id
        cross join lateral spend_private.actual_cost(r, e.usage) as a
        where r.provider = ${PROVIDER} and not r.is_estimated and a.cost_usd <> r.actual_cost_usd`;
      expect(wrong).toEqual([]);
      expect(withBook.filter(({ cost_usd }) => cost_usd !== null).length).toBeGreaterThan(0);
      expect(withBook.filter(({ old_usd }) => old_usd !== null).length).toBeGreaterThan(0);
    });
  });
});

describe("A change of a meter", () => {
  it("makes a price that is added beside it wait, and the price's line says what the meter is then", async () => {
    const { sql } = database;
    await withSessions(sql, 2, async (a, b) => {
      await a.sql`begin`;
      await a.sql`update spend.meters set part_of = null where meter = 'audio_output_tokens'`;
      const adding = b.sql`
        insert into spend.prices (resource_type, provider, product, meter, usd)
        values ('llm', 'meters', 'model', 'audio_output_tokens', 1)`.execute();
      await untilWaits(sql, b);
      await a.sql`commit`;
      await adding;
      const [row] = await sql`
        select (lines[1]).part_of from spend_private.price_book where provider = 'meters'`;
      expect(row).toEqual({ part_of: null });
    });
  });

  it("beside the deletion of a tenant with a price of its own leaves nothing of that tenant in the book", async () => {
    const { sql } = database;
    const tenant = await addTenant(sql, 1, 1);
    await sql`
      insert into spend.prices (resource_type, provider, product, meter, usd, tenant_id)
      values ('llm', 'meters', 'own', 'cache_write_tokens', 1, ${tenant})`;
    await overlap(
      sql,
      (a) => a`delete from spend.tenants where id = ${tenant}`,
      (b) =>
        b`update spend.meters set provider_decides = not provider_decides where meter = 'cache_write_tokens'`,
    );
    expect(await sql`select from spend_private.price_book where tenant_id = ${tenant}`).toEqual([]);
  });

  it("refuses a price of a transaction that cannot see it, so that the book does not say what the meter was", async () => {
    const { sql } = database;
    await withSessions(sql, 1, async ({ sql: a }) => {
      await a`begin isolation level repeatable read`;
      await a`select 1`;
      await sql`update spend.meters set provider_decides = true where meter = 'image_input_tokens'`;
      await expect(
        a`insert into spend.prices (resource_type, provider, product, meter, usd)
          values ('llm', 'meters', 'late', 'image_input_tokens', 1)`,
      ).rejects.toMatchObject({ code: "40001" });
    });
  });
});

describe("Calls read the book alone", () => {
  it("to reserve, extend and settle a product whose prices are marked as used, whatever the list is", async () => {
    const { sql } = database;
    const tenant = await addTenant(sql, 1e6, 4);
    await sql`
      insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
      values ('llm', 'read', 'model', 'input_tokens', 1, '2020-01-01'), ('llm', 'read', 'model', 'output_tokens', 1, '2020-01-01')`;
    const call = { provider: "read", model: "model", input_tokens: 1e6, output_tokens: 0 };
    const spend = async (alone: Sql) => {
      const [held] = await alone`
        select reservation_id as id from spend.reserve(${tenant}, null, 'llm', ${alone.json(call)})`;
      await alone`select spend.extend(${held?.id}, ${alone.json({ ...call, output_tokens: 1e6 })})`;
      const [done] = await alone`
        select cost_usd::float8 as usd from spend.settle(${held?.id}, ${alone.json(call)})`;
      return done?.usd;
    };
    await spend(sql);
    await withSessions(sql, 1, async ({ sql: a }) => {
      await a`begin`;
      await a`
        create or replace function spend_private.listed_prices(
          p_provider text, p_product text, p_resource_type text, p_service_tier text, p_tenant_id uuid,
          p_at timestamptz, p_version bigint default null
        )
        returns spend_private.price_line[] language plpgsql stable as $$ begin raise 'looked at the list'; end; $$`;
      expect(await spend(a)).toBe(1);
    });
  });
});

describe("Maintenance", () => {
  it("finds a book that differs from the prices, makes it again, and closes its problem", async () => {
    const { sql } = database;
    await withSessions(sql, 1, async ({ sql: a }) => {
      await a`set session_replication_role = replica`;
      await a`delete from spend_private.price_book where provider = 'anthropic'`;
      await a`reset session_replication_role`;
    });
    const open = () => sql`
      select subject from spend.problems
      where job = 'verify' and subject like 'prices anthropic/%' and resolved_at is null`;
    await sql`select spend_private.verify_price_book(10000)`;
    expect((await open()).length).toBeGreaterThan(20);
    const [alert] = await sql`
      select count(*)::int as alerts from spend.alerts
      where kind = 'verification_failed' and subject like 'verify/prices anthropic/%'`;
    expect(alert?.alerts).toBe((await open()).length);
    const wrong = await sql`
      select p.product from (select distinct product from spend.prices where provider = 'anthropic') as p
      where exists (select from spend_private.wrong_price_book('anthropic', p.product))`;
    expect(wrong).toEqual([]);
    for (let i = 0; i < 20 && (await open()).length > 0; i++)
      await sql`select spend_private.verify_again(now())`;
    expect(await open()).toEqual([]);
  });

  it("does not wait for a change of prices: a book that differs is made again by the next round", async () => {
    const { sql } = database;
    const compare = () =>
      atOnce(sql, (session) => session`select spend_private.verify_price_book(10000)`);
    const wrong = async () =>
      (await sql`select from spend_private.wrong_price_book('openai', 'gpt-4o')`).length;
    await sql`delete from spend_private.price_book where provider = 'openai' and product = 'gpt-4o'`;
    await sql`update spend_private.verification_state set after_provider = null, after_product = null`;
    await withSessions(sql, 1, async ({ sql: changer }) => {
      await changer`begin`;
      await changer`select spend_private.lock_price_version()`;
      await compare();
      expect(await wrong()).toBeGreaterThan(0);
      await changer`rollback`;
    });
    await compare();
    expect(await wrong()).toBe(0);
  });

  it("compares some products at a time, all of them in turn", async () => {
    const { sql } = database;
    const [all] = await sql`
      select count(*)::int as products from (
        select provider, product from spend.prices union select provider, product from spend_private.price_book
      ) as p`;
    const seen = new Set<string>();
    await sql`update spend_private.verification_state set after_provider = null, after_product = null`;
    for (let steps = 0; steps <= all?.products / 200; steps++) {
      await sql`select spend_private.verify_price_book(200)`;
      const [state] =
        await sql`select after_provider, after_product from spend_private.verification_state`;
      seen.add(JSON.stringify(state));
    }
    expect(seen.size).toBe(Math.floor(all?.products / 200) + 1);
    expect(seen).toContain(JSON.stringify({ after_provider: null, after_product: null }));
  });
});
