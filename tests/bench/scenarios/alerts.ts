// A tenant that has spent 90 % of its quota, in a project with 250,000 alerts: what its calls cost beside those of a tenant below its warning threshold.
import { connect } from "../load.ts";
import { inRounds, type Result, rates, ratio } from "../rounds.ts";
import type { Bench } from "../scenario.ts";
import { assertBalanced, type Caller, copyWorld, reserveAndSettle, within } from "../world.ts";

const ALERTS = 250_000;

export async function alerts({ scratch, world, effort }: Bench): Promise<Result[]> {
  const copy = await copyWorld(scratch, world, "alerts");
  const [aboveThreshold, belowThreshold] = copy.callers as [Caller, Caller, ...Caller[]];
  await within(copy.url, async (sql) => {
    await sql`
      insert into spend.alerts (tenant_id, quota_id, period_start, kind, threshold, details, delivered_at)
      select q.tenant_id, q.id, now() - make_interval(hours => n), 'quota_warning', 0.8,
        jsonb_populate_record(null::spend.quota_details, '{"limit_usd": 100, "spent_usd": 90}'), now()
      from spend.cost_quotas as q,
        generate_series(1, ${ALERTS} / (select count(*)::int from spend.cost_quotas) + 1) as n`;
    await sql`update spend.cost_quotas set limit_usd = 100000 where id = ${aboveThreshold.tenantQuota}`;
    await sql`select spend.adjust(${aboveThreshold.tenant}, 90000, '90 % are spent')`;
    await sql`analyze spend.alerts`;
  });
  const connections = await connect(copy.url, 1);
  const loads = await inRounds(
    {
      belowThreshold: { connections, call: reserveAndSettle([belowThreshold]) },
      aboveThreshold: { connections, call: reserveAndSettle([aboveThreshold]) },
    },
    effort,
  );
  await connections.close();
  await assertBalanced(copy);
  const figures = {
    belowThreshold: rates(loads.belowThreshold),
    aboveThreshold: rates(loads.aboveThreshold),
  };
  return [
    {
      name: "time of reserve + settle at 90 % of a quota with 250,000 alerts ÷ below the threshold, 1 connection",
      value: ratio(figures.belowThreshold, figures.aboveThreshold),
      bound: { atMost: 1.5 },
      figures,
    },
  ];
}
