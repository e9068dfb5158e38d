// All calls of one tenant, by different users, beside calls of 1,000 tenants.
import { connect } from "../load.ts";
import { inRounds, type Result, rates, ratio } from "../rounds.ts";
import type { Bench } from "../scenario.ts";
import {
  assertBalanced,
  copyWorld,
  createWorld,
  reserveAndSettle,
  warmUp,
  within,
} from "../world.ts";

const CONNECTIONS = 32;

export async function hotTenant({ scratch, world, effort }: Bench): Promise<Result[]> {
  const many = await copyWorld(scratch, world, "many_tenants");
  const one = await createWorld(scratch, "one_tenant", { tenants: 1, users: 1000 });
  await within(one.url, (sql) => warmUp(sql, one.callers));
  const sides = {
    one: {
      connections: await connect(one.url, CONNECTIONS),
      call: reserveAndSettle(one.callers),
    },
    many: {
      connections: await connect(many.url, CONNECTIONS),
      call: reserveAndSettle(many.callers),
    },
  };
  const loads = await inRounds(sides, effort);
  await Promise.all([sides.one.connections.close(), sides.many.connections.close()]);
  await assertBalanced(one);
  const figures = { oneTenant: rates(loads.one), thousandTenants: rates(loads.many) };
  return [
    {
      name: "one hot tenant ÷ 1,000 tenants, 32 connections",
      value: ratio(figures.oneTenant, figures.thousandTenants),
      bound: { atLeast: 0.6 },
      figures,
    },
  ];
}
