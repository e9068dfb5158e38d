// Prices that change beside open calls: a call costs what it was reserved at, whoever commits first.
import type { Sql } from "postgres";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { addTenant, verifyBalances } from "../support/spend.ts";
import { until } from "../support/until.ts";
import { interleave, untilLockWaits } from "./sessions.ts";

let database: TestDatabase;
let tenantId: string;
let model: string;
let models = 0;

beforeAll(async () => {
  database = await cloneDatabase({ connections: 20 });
});
afterAll(() => database.close());
beforeEach(async () => {
  const { sql } = database;
  tenantId = await addTenant(sql, 1_000_000, 8);
  models += 1;
  model = `model-${models}`;
  await addPrice(sql, { usd: 1, from: "2020-01-01" });
  await addPrice(sql, { meter: "output_tokens", usd: 2, from: "2020-01-01" });
});

interface NewPrice {
  provider?: string;
  product?: string;
  meter?: string;
  usd: number;
  serviceTier?: string;
  /** Whose negotiated price it is. */
  tenant?: string;
  /** Without it: the moment that the transaction began. */
  from?: string;
}

async function addPrice(sql: Sql, price: NewPrice): Promise<number> {
  const [row] = await sql`
    insert into spend.prices (resource_type, provider, product, meter, usd, service_tier, tenant_id, effective_from)
    values (
      'llm', ${price.provider ?? "test"}, ${price.product ?? model}, ${price.meter ?? "input_tokens"}, ${price.usd},
      ${price.serviceTier ?? "standard"}, ${price.tenant ?? null}, coalesce(${price.from ?? null}::timestamptz, now())
    )
    returning id`;
  return Number(row?.id);
}

/** A call of a million tokens in, and a million out. */
const usage = (more = {}) => ({
  provider: "test",
  model,
  input_tokens: 1_000_000,
  output_tokens: 1_000_000,
  ...more,
});

async function reserve(sql: Sql, more = {}): Promise<{ id: string; usd: number }> {
  const [row] = await sql`
    select reservation_id as id, estimated_cost_usd::float8 as usd
    from spend.reserve(${tenantId}, null, 'llm', ${sql.json(usage(more))})`;
  return row as unknown as { id: string; usd: number };
}

async function settle(sql: Sql, id: string, more = {}): Promise<{ usd: number; guessed: boolean }> {
  const [row] = await sql`
    select cost_usd::float8 as usd, is_estimated as guessed
    from spend.settle(${id}, ${sql.json(usage(more))})`;
  return row as unknown as { usd: number; guessed: boolean };
}

async function extend(sql: Sql, id: string, more = {}): Promise<number> {
  const [row] = await sql`
    select estimated_cost_usd::float8 as usd from spend.extend(${id}, ${sql.json(usage(more))})`;
  return row?.usd;
}

/** Runs `work` in a transaction of its own, which is rolled back if it is still open in the end. */
async function onConnection<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
  const connection = await database.sql.reserve();
  try {
    return await work(connection);
  } finally {
    await connection`rollback`.catch(() => {});
    connection.release();
  }
}

const failure = async (work: PromiseLike<unknown>): Promise<string | null> => {
  try {
    await work;
    return null;
  } catch (error) {
    return (error as Error).message;
  }
};

describe("A price that comes later", () => {
  it("dated by default, in a transaction that began before the call, leaves a call held at $3 to settle at $3, and the next to cost $27", async () => {
    const { sql } = database;
    await onConnection(async (a) => {
      await a`begin`;
      await a`select now()`;
      const call = await reserve(sql);
      await addPrice(a, { usd: 25 });
      await a`commit`;
      expect(call.usd).toBe(3);
      expect(await extend(sql, call.id, { output_tokens: 2_000_000 })).toBe(5);
      expect(await settle(sql, call.id)).toEqual({ usd: 3, guessed: false });
      expect((await reserve(sql)).usd).toBe(27);
    });
  });

  it("with a past date, beside a call that is not committed yet, leaves the call to settle at $3", async () => {
    const { sql } = database;
    await onConnection(async (a) => {
      await a`begin`;
      const call = await reserve(a);
      await addPrice(sql, { usd: 50, from: "2026-06-01" });
      await a`commit`;
      expect(await settle(sql, call.id)).toEqual({ usd: 3, guessed: false });
      expect((await reserve(sql)).usd).toBe(52);
    });
  });

  it("for this tenant alone, with a past date, beside a call that is not committed yet, leaves the call to settle at $3", async () => {
    const { sql } = database;
    await onConnection(async (a) => {
      await a`begin`;
      const call = await reserve(a);
      await addPrice(sql, { usd: 50, from: "2026-06-01", tenant: tenantId });
      await a`commit`;
      expect(await settle(sql, call.id)).toEqual({ usd: 3, guessed: false });
      expect((await reserve(sql)).usd).toBe(52);
    });
  });

  it("in the very transaction that reserves, before and after the call, leaves the call to settle at what it saw", async () => {
    await onConnection(async (a) => {
      await a`begin`;
      await addPrice(a, { usd: 5, from: "2026-01-01" });
      const call = await reserve(a);
      await addPrice(a, { usd: 25 });
      expect(call.usd).toBe(7);
      expect(await settle(a, call.id)).toEqual({ usd: 7, guessed: false });
    });
  });

  it("of a meter that the estimate did not have leaves the call to settle without it, as part of its whole", async () => {
    const { sql } = database;
    await onConnection(async (a) => {
      await a`begin`;
      await a`select now()`;
      const call = await reserve(sql);
      await addPrice(a, { meter: "reasoning_tokens", usd: 90 });
      await a`commit`;
      expect(await settle(sql, call.id, { reasoning_tokens: 1_000_000 })).toEqual({
        usd: 3,
        guessed: false,
      });
      expect((await reserve(sql)).usd).toBe(91);
    });
  });

  it("of another service tier leaves a call settled in that tier to be booked at its estimate, since it has no price", async () => {
    const { sql } = database;
    await onConnection(async (a) => {
      await a`begin`;
      await a`select now()`;
      const call = await reserve(sql);
      await addPrice(a, { usd: 90, serviceTier: "priority" });
      await addPrice(a, { meter: "output_tokens", usd: 90, serviceTier: "priority" });
      await a`commit`;
      expect(await settle(sql, call.id, { service_tier: "priority" })).toEqual({
        usd: 3,
        guessed: true,
      });
    });
  });

  it("for the model itself, beside a call that '*' priced, leaves the call to settle at the price of '*'", async () => {
    const { sql } = database;
    const provider = `any-${models}`;
    await addPrice(sql, { provider, product: "*", usd: 1, from: "2020-01-01" });
    await addPrice(sql, {
      provider,
      product: "*",
      meter: "output_tokens",
      usd: 1,
      from: "2020-01-01",
    });
    await onConnection(async (a) => {
      await a`begin`;
      await a`select now()`;
      const call = await reserve(sql, { provider });
      await addPrice(a, { provider, usd: 40 });
      await addPrice(a, { provider, meter: "output_tokens", usd: 40 });
      await a`commit`;
      expect(await settle(sql, call.id, { provider })).toEqual({ usd: 2, guessed: false });
      expect((await reserve(sql, { provider })).usd).toBe(80);
    });
  });

  it("by a new alias of the name, beside a call that '*' priced, leaves the call to settle at the price of '*'", async () => {
    const { sql } = database;
    const provider = `any-${models}`;
    await addPrice(sql, { provider, product: "*", usd: 1, from: "2020-01-01" });
    await addPrice(sql, {
      provider,
      product: "*",
      meter: "output_tokens",
      usd: 1,
      from: "2020-01-01",
    });
    await addPrice(sql, { provider, product: "dear", usd: 40, from: "2020-01-01" });
    await addPrice(sql, {
      provider,
      product: "dear",
      meter: "output_tokens",
      usd: 40,
      from: "2020-01-01",
    });
    const call = await reserve(sql, { provider });
    await sql`
      insert into spend.product_aliases (provider, match_kind, pattern, product)
      values (${provider}, 'equals', ${model}, 'dear')`;
    expect(await settle(sql, call.id, { provider })).toEqual({ usd: 2, guessed: false });
    expect((await reserve(sql, { provider })).usd).toBe(80);
  });
});

describe("A row that could price an open call, though its estimate does not have its meter,", () => {
  let reasoning: number;
  beforeEach(async () => {
    reasoning = await addPrice(database.sql, {
      meter: "reasoning_tokens",
      usd: 8,
      from: "2020-01-01",
    });
  });
  // What the bound states of reasoning is known: none, and no row of it is in the estimate.
  const none = { reasoning_tokens: 0 };
  const thinks = { reasoning_tokens: 1_000_000 };
  const changes: Record<string, (sql: Sql) => PromiseLike<unknown>> = {
    update: (sql) => sql`update spend.prices set usd = 800 where id = ${reasoning}`,
    delete: (sql) => sql`delete from spend.prices where id = ${reasoning}`,
  };

  for (const [name, change] of Object.entries(changes)) {
    it(`by ${name} after the call is refused, and the call settles at $8 for what it reasoned`, async () => {
      const { sql } = database;
      const call = await reserve(sql, none);
      expect(await failure(change(sql))).toBe("price_in_use");
      expect(await settle(sql, call.id, thinks)).toEqual({ usd: 9, guessed: false });
    });

    it(`by ${name} beside a call that is not committed yet waits, and is refused`, async () => {
      const { sql } = database;
      await onConnection(async (a) => {
        await a`begin`;
        const call = await reserve(a, none);
        const changing = failure(change(sql));
        await untilLockWaits(database.sql);
        await a`commit`;
        expect(await changing).toBe("price_in_use");
        expect(await settle(sql, call.id, thinks)).toEqual({ usd: 9, guessed: false });
      });
    });
  }

  it("makes a call wait that comes while it is updated, and is held and settled at the new price", async () => {
    const { sql } = database;
    await onConnection(async (a) => {
      await a`begin`;
      await changes.update?.(a);
      const reserving = reserve(sql, thinks);
      await untilLockWaits(database.sql);
      await a`commit`;
      const call = await reserving;
      expect(call.usd).toBe(801);
      expect(await settle(sql, call.id, thinks)).toEqual({ usd: 801, guessed: false });
    });
  });

  it("makes a call wait that comes while it is deleted, and is held and settled without it", async () => {
    const { sql } = database;
    await onConnection(async (a) => {
      await a`begin`;
      await changes.delete?.(a);
      const reserving = reserve(sql, thinks);
      await untilLockWaits(database.sql);
      await a`commit`;
      const call = await reserving;
      expect(call.usd).toBe(3);
      expect(await settle(sql, call.id, thinks)).toEqual({ usd: 3, guessed: false });
    });
  });

  it("of another tenant's negotiated price may still be changed, because it prices none of this one's calls", async () => {
    const { sql } = database;
    const other = await addTenant(sql, 10, 1);
    const [price] = await sql`
      insert into spend.prices (resource_type, provider, product, meter, usd, effective_from, tenant_id)
      values ('llm', 'test', ${model}, 'input_tokens', 0.5, '2020-01-01', ${other}) returning id`;
    await reserve(sql);
    expect(
      await failure(sql`update spend.prices set usd = 0.4 where id = ${price?.id}`),
    ).toBeNull();
  });
});

describe("Versions of prices", () => {
  it("commit in their order: who adds a price waits for whoever is adding one, and no call waits", async () => {
    const { sql } = database;
    await reserve(sql);
    await onConnection(async (a) => {
      await a`begin`;
      const first = await addPrice(a, { usd: 5 });
      const adding = addPrice(sql, { meter: "output_tokens", usd: 5 });
      await untilLockWaits(database.sql);
      expect((await reserve(sql)).usd).toBe(3);
      await a`commit`;
      const second = await adding;
      const [order] = await sql`
        select (select version from spend.prices where id = ${first})
          < (select version from spend.prices where id = ${second}) as is_right`;
      expect(order?.is_right).toBe(true);
    });
  });

  it("are waited for by reprice, which books what they say", async () => {
    const { sql } = database;
    const call = await reserve(sql);
    await settle(sql, call.id);
    const repriced = await interleave(
      sql,
      (a) => a`
        insert into spend.prices (resource_type, provider, product, meter, usd, effective_from, revision)
        values ('llm', 'test', ${model}, 'input_tokens', 0.5, '2020-01-01', 1)`,
      (b) => b`
        select difference_usd::float8 as usd from spend.reprice(
          'test', ${model}, now() - interval '1 day', now() + interval '1 day', false)`,
    );
    expect(repriced).toEqual([{ usd: -0.5 }]);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("leave an open call to settle at what it was held at, and once they are booked a call settles at the right price", async () => {
    const { sql } = database;
    const [first, second] = [await reserve(sql), await reserve(sql)];
    await sql`
      insert into spend.prices (resource_type, provider, product, meter, usd, effective_from, revision)
      values ('llm', 'test', ${model}, 'input_tokens', 0.5, '2020-01-01', 1)`;
    expect((await settle(sql, first.id)).usd).toBe(3);
    const reprice = () => sql`
      select calls::int, difference_usd::float8 from spend.reprice(
        'test', ${model}, now() - interval '1 day', now() + interval '1 day', false)`;
    expect(await reprice()).toEqual([{ calls: 1, difference_usd: -0.5 }]);
    expect((await settle(sql, second.id)).usd).toBe(2.5);
    expect(await reprice()).toEqual([]);
    expect(await verifyBalances(sql)).toEqual([]);
  });

  it("leave each of 240 calls of six callers to settle at what it was held at, beside three who change prices", async () => {
    const { sql } = database;
    let isDone = false;
    const held = new Map<string, number>();
    const booked = new Map<string, number>();
    const callers = Promise.all(
      Array.from({ length: 6 }, async () => {
        for (let i = 0; i < 40; i++) {
          const call = await reserve(sql);
          held.set(call.id, call.usd);
          booked.set(call.id, (await settle(sql, call.id)).usd);
        }
      }),
    ).then(() => {
      isDone = true;
    });
    const writers = Array.from({ length: 3 }, (_, writer) =>
      onConnection(async (a) => {
        for (let i = 0; !isDone; i++) {
          await a`begin`;
          await a`select now()`;
          await until("some calls were made", async () => held.size % 3 === writer || isDone);
          await addPrice(a, { usd: 1 + (i % 50) }).catch(() => {});
          await a`commit`;
        }
      }),
    );
    await Promise.all([callers, ...writers]);
    expect(booked.size).toBe(240);
    expect([...booked].filter(([id, usd]) => held.get(id) !== usd)).toEqual([]);
    expect(new Set(booked.values()).size).toBeGreaterThan(1);
    expect(await verifyBalances(sql)).toEqual([]);
  });
});
