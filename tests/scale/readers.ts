// Who reads through row-level security, and what that costs in buffers.
import type { Sql } from "postgres";
import { actAs } from "../race/sessions.ts";
import { addTenant, addTestModel, addUser, reserve } from "../support/spend.ts";
import { costOf } from "./buffers.ts";

export interface World {
  sql: Sql;
  tenant: string;
  member: string;
  owner: string;
  operator: string;
}

export async function makeWorld(sql: Sql): Promise<World> {
  await addTestModel(sql);
  const tenant = await addTenant(sql, 100, 8);
  const member = await addUser(sql, tenant);
  const owner = await addUser(sql, tenant);
  await sql`update spend.tenant_members set role = 'owner' where user_id = ${owner}`;
  const [row] = await sql`insert into auth.users (id) values (gen_random_uuid()) returning id`;
  const operator = row?.id;
  await sql`insert into spend.operators (user_id) values (${operator})`;
  await sql`update auth.users set email = id || '@example.com' where email is null`;
  await sql`select spend.adjust(${tenant}, 90, 'test')`;
  for (const user of [member, owner]) await reserve(sql, tenant, user, 0.01);
  await sql`analyze`;
  return { sql, tenant, member, owner, operator };
}

/** Buffers that a user's statement reads, and its rows; planned and warm. */
export async function read(world: World, user: string, statement: string, runs = 3) {
  const { sql } = world;
  let result = { buffers: Number.POSITIVE_INFINITY, rows: 0 };
  for (let i = 0; i < runs; i++) {
    const [row] = await sql.begin(async (transaction) => {
      await actAs(transaction as unknown as Sql, user);
      return transaction.unsafe(`explain (analyze, buffers, format json) ${statement}`);
    });
    const cost = costOf(row);
    if (cost.buffers < result.buffers) result = cost;
  }
  return result;
}
