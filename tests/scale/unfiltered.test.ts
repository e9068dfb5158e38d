// A member who names no tenant reads what a project of a few rows would read: row-level security finds his rows by an index,
// whatever table he asks for and however it is sorted. An operator, who sees all, still gets the newest from an index.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { cloneGrown } from "./grown.ts";
import { makeWorld, read, type World } from "./readers.ts";

let databases: TestDatabase[];
let small: World;
let large: World;

beforeAll(async () => {
  databases = [
    await cloneDatabase({ connections: 1 }),
    await cloneGrown("fill.sql", "fill_spend.sql"),
  ];
  const [first, second] = databases as [TestDatabase, TestDatabase];
  small = await makeWorld(first.sql);
  large = await makeWorld(second.sql);
});
afterAll(() => Promise.all(databases.map((database) => database.close())));

/** Tables and views of the API, with the columns that somebody sorts by who wants the newest. */
async function relations() {
  return large.sql<{ name: string; columns: string[] }[]>`
    select c.relname as name, array(
      select a.attname::text from pg_attribute as a
      where a.attrelid = c.oid and a.attname in ('id', 'created_at', 'changed_at', 'occurred_at', 'booked_at', 'hour', 'day')
    ) as columns
    from pg_class as c
    where c.relnamespace = 'spend'::regnamespace and c.relkind in ('r', 'v', 'p')
      and has_any_column_privilege('authenticated', c.oid, 'select')
      -- Found by their alert, or their channel: one channel may have most of them.
      and c.relname <> 'alert_deliveries'
    order by 1`;
}

describe.each(["member", "owner"] as const)("a %s who names no tenant", (who) => {
  it("reads no rows of the 20,000 others", async () => {
    const wrong: string[] = [];
    for (const { name, columns } of await relations()) {
      const pages = ["", ...columns.map((column) => `order by ${column} desc`)];
      for (const statement of [
        ...pages.map((order) => `select * from spend.${name} ${order} limit 50`),
        `select count(*) from spend.${name}`,
      ]) {
        const few = await read(small, small[who], statement, 2);
        const many = await read(large, large[who], statement, 2);
        // The log of the price list, which is nobody's, is read by one index or another; the rows of others are thousands of pages.
        if (many.buffers > few.buffers * 2 + 600) {
          wrong.push(
            `${statement}: ${many.buffers} buffers, ${few.buffers} where there are few rows`,
          );
        }
      }
    }
    expect(wrong).toEqual([]);
  });
});

it("a member evaluates nothing for each row that is nobody's", async () => {
  const { buffers } = await read(large, large.member, "select count(*) from spend.audit_log");
  // The log of the price list, some 5,000 rows.
  expect(buffers).toBeLessThanOrEqual(1000);
});

it.each(["alerts order by id desc", "audit_log order by id desc", "cost_quotas order by id desc"])(
  "an operator reads the newest of %s from an index",
  async (table) => {
    const { buffers, rows } = await read(
      large,
      large.operator,
      `select * from spend.${table} limit 50`,
    );
    expect(rows).toBe(50);
    expect(buffers).toBeLessThanOrEqual(100);
  },
);
