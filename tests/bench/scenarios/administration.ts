// What one tenant's administration, and a plan's, cost the calls of others: rates and latencies beside those without it.
import type { ISql } from "postgres";
import { type Call, connect, drive, type Load, quantile } from "../load.ts";
import { figure, type Result, rates, ratio } from "../rounds.ts";
import type { Bench } from "../scenario.ts";
import {
  assertBalanced,
  type Caller,
  copyWorld,
  reserveAndSettle,
  type World,
  within,
} from "../world.ts";

const CONNECTIONS = 8;

export async function administration(bench: Bench): Promise<Result[]> {
  return [await ownersLoop(bench), await planChange(bench)];
}

/**
 * An owner with 100,000 expired calls adds and deletes a user quota in a loop; others call. He waits for little, so he
 * takes his share of the processors; beside it, what one more who calls without a pause takes.
 */
async function ownersLoop({ scratch, world, effort }: Bench): Promise<Result> {
  const copy = await copyWorld(scratch, world, "owners_loop");
  const [owner, ...others] = copy.callers as [Caller, ...Caller[]];
  const calls = Math.round(100_000 * effort.scale);
  await within(copy.url, async (sql) => {
    await sql`update spend.tenant_members set role = 'owner' where user_id = ${owner.user}`;
    // A hundred in a transaction: each finds its balance behind the versions that those before it left.
    for (let made = 0; made < calls; made += 100) {
      await sql`
        select spend_private.reserve(${owner.tenant}, ${owner.user}, 'llm',
          '{"provider":"openai","model":"gpt-4o-mini","input_tokens":1,"output_tokens":1}', p_enforce => false)
        from generate_series(1, 100)`;
      await sql`select spend_private.expire_reservations(100, now() + interval '1 hour')`;
    }
    await sql`select spend_private.roll_up()`;
    await sql`vacuum analyze`;
  });
  const administrator = await connect(copy.url, 1);
  const connections = await connect(copy.url, CONNECTIONS);
  const call = reserveAndSettle(others);
  const alone: Load[] = [];
  const beside: Load[] = [];
  const besideCaller: Load[] = [];
  const ownCall = reserveAndSettle([owner]);
  const drivenBeside = async (own: Call) => {
    const [load] = await Promise.all([
      drive(connections, effort.seconds, call),
      drive(administrator, effort.seconds, own),
    ]);
    return load;
  };
  for (let round = -1; round < effort.rounds; round++) {
    const without = await drive(connections, effort.seconds, call);
    const changed = await drivenBeside((sql) => addAndDelete(sql, owner));
    const called = await drivenBeside(ownCall);
    if (round < 0) continue;
    alone.push(without);
    beside.push(changed);
    besideCaller.push(called);
  }
  await Promise.all([administrator.close(), connections.close()]);
  await assertBalanced(copy);
  const figures = {
    besideTheLoop: rates(beside),
    alone: rates(alone),
    besideACaller: rates(besideCaller),
  };
  return {
    name: `others' rate while an owner of ${calls} calls adds and deletes quotas ÷ alone`,
    value: ratio(figures.besideTheLoop, figures.alone),
    bound: { atLeast: 0.9 },
    figures,
  };
}

async function addAndDelete(sql: ISql, { tenant, user }: Caller): Promise<void> {
  const claims = JSON.stringify({ sub: user, role: "authenticated" });
  await sql.unsafe("begin");
  await sql.unsafe(`
    select set_config('request.jwt.claims', '${claims}', true), set_config('role', 'authenticated', true)`);
  await sql.unsafe(`
    insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
    values ('user', '${tenant}', '${user}', 'all', 'month', 10)`);
  await sql.unsafe("commit");
  await sql.unsafe("begin");
  await sql.unsafe(`
    select set_config('request.jwt.claims', '${claims}', true), set_config('role', 'authenticated', true)`);
  await sql.unsafe(`
    delete from spend.cost_quotas
    where tenant_id = '${tenant}' and scope = 'user' and resource_type = 'all' and period = 'month'`);
  await sql.unsafe("commit");
}

/** Each change of a large plan takes half a minute and more: few of them tell enough. */
const PLAN_CHANGES = 3;

/** A plan of 10,000 tenants changes; its tenants call until all of them follow. */
async function planChange({ scratch, world, effort }: Bench): Promise<Result> {
  const tenants = Math.max(200, Math.round(10_000 * effort.scale));
  const copy = await copyWorld(
    scratch,
    world,
    "plan_change",
    `
    insert into spend.tenants (name)
    select 'More ' || t from generate_series(1, ${Math.max(0, tenants - world.callers.length)}) as t`,
  );
  const administrator = await connect(copy.url, 1);
  const connections = await connect(copy.url, CONNECTIONS);
  const call = reserveAndSettle(copy.callers);
  await drive(connections, effort.seconds, call);
  const before: number[] = [];
  const during: number[] = [];
  for (let round = 0; round < Math.min(effort.rounds, PLAN_CHANGES); round++) {
    before.push(p99(await drive(connections, effort.seconds, call)));
    await change(copy, round);
    let hasFollowed = false;
    const following = followPlan(administrator.all[0] as ISql).finally(() => {
      hasFollowed = true;
    });
    const loads: Load[] = [];
    do loads.push(await drive(connections, effort.seconds, call));
    while (!hasFollowed);
    await following;
    during.push(
      quantile(
        loads.flatMap(({ latencies }) => latencies),
        0.99,
      ),
    );
  }
  await Promise.all([administrator.close(), connections.close()]);
  await assertBalanced(copy);
  const figures = { during: figure("ms", during), before: figure("ms", before) };
  return {
    name: `p99 while a plan of ${tenants} tenants changes ÷ before`,
    value: ratio(figures.during, figures.before),
    bound: { atMost: 2 },
    figures,
  };
}

function p99({ latencies }: Load): number {
  return quantile(latencies, 0.99);
}

async function change({ url }: World, round: number): Promise<void> {
  await within(
    url,
    (sql) => sql`
    update spend.plan_quotas set limit_usd = ${1_000_001 + round} where plan_id = 'default' and scope = 'tenant'`,
  );
}

/** Batches, each committed, as the scheduler does, until every tenant follows. */
async function followPlan(sql: ISql): Promise<void> {
  for (;;) {
    await sql.unsafe("select spend.maintain(job => 'follow_plans')");
    const [row] = await sql.unsafe<{ waiting: boolean }[]>(
      "select exists (select from spend.plan_progress where up_to_date < tenants) as waiting",
    );
    if (!row?.waiting) return;
  }
}
