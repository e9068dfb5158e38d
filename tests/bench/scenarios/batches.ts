// Calls that come together: 32 of them in one reserve_many and one settle_many, beside single calls over as many
// connections; of a thousand tenants, of one, and of one user.
import type { ISql } from "postgres";
import { type Call, type Connections, connect } from "../load.ts";
import { inRounds, processorTimes, type Result, rates, ratio } from "../rounds.ts";
import type { Bench } from "../scenario.ts";
import {
  assertBalanced,
  type Caller,
  copyWorld,
  ESTIMATE,
  inTurns,
  prepared,
  reserveAndSettle,
  USAGE,
} from "../world.ts";

const CONNECTIONS = 8;
const BATCH = 32;

export async function batches({ scratch, world, effort }: Bench): Promise<Result[]> {
  const copy = await copyWorld(
    scratch,
    world,
    "batches",
    // One tenant whose users are many, as callers of one hot tenant.
    `insert into auth.users (id) select gen_random_uuid() from generate_series(1, 64);
     insert into spend.tenant_members (tenant_id, user_id)
     select bench.tenant_id(1), a.id from auth.users as a
     where not exists (select from spend.tenant_members as m where m.user_id = a.id)`,
  );
  const known = new Set(world.callers.map(({ user }) => user));
  const ofOneTenant = copy.callers.filter(({ user }) => !known.has(user));
  const connections = await connect(copy.url, CONNECTIONS);
  const results = [
    await compare("1,000 tenants", connections, world.callers, effort, 4),
    await compare("one hot tenant", connections, ofOneTenant, effort, 5),
    await compare("one hot user", connections, ofOneTenant.slice(0, 1), effort, 8),
  ];
  await connections.close();
  await assertBalanced(copy);
  return results;
}

async function compare(
  whose: string,
  connections: Connections,
  callers: Caller[],
  effort: Bench["effort"],
  atLeast: number,
): Promise<Result> {
  const loads = await inRounds(
    {
      together: { connections, call: together(callers) },
      singly: { connections, call: reserveAndSettle(callers) },
    },
    effort,
  );
  const batched = rates(loads.together);
  const figures = {
    together: {
      ...batched,
      median: batched.median * BATCH,
      rounds: batched.rounds.map((rate) => rate * BATCH),
    },
    singly: rates(loads.singly),
    processorTogether: processorTimes(loads.together, BATCH),
    processorSingly: processorTimes(loads.singly),
  };
  return {
    name: `batches of ${BATCH} ÷ single calls, ${whose}, ${CONNECTIONS} connections`,
    value: ratio(figures.together, figures.singly),
    bound: { atLeast },
    figures,
  };
}

/** A batch of reserves and the batch of their settlements. */
function together(callers: Caller[]): Call {
  const caller = inTurns(callers);
  return async (sql: ISql) => {
    const calls = Array.from({ length: BATCH }, () => {
      const { tenant, user } = caller();
      return { tenant_id: tenant, user_id: user, resource_type: "llm", usage: ESTIMATE };
    });
    const reserved = await prepared<{ reservation_id: string | null }>(
      sql,
      "select reservation_id from spend.reserve_many($1)",
      [calls],
    );
    const settlements = reserved.map(({ reservation_id }) => ({ reservation_id, usage: USAGE }));
    const settled = await prepared<{ status: string | null }>(
      sql,
      "select status from spend.settle_many($1)",
      [settlements],
    );
    if (settled.some(({ status }) => status !== "settled")) {
      throw new Error("a batch was not settled as a whole");
    }
  };
}
