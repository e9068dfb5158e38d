// The dashboard of the database: what only SQL knows, tenants and money above all. Times are UTC.
import * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import { bars, number, POSTGRES_PLUGIN, rows, withIds } from "./panels.ts";

/** Cost of the time that is shown, of tenants whose name contains what the field "Tenant" has. */
const COSTS = `from spend.hourly_costs as c
left join spend.tenants as t on t.id = c.tenant_id
where $__timeFilter(c.hour)
  and strpos(lower(coalesce(t.name, '')), lower(\${tenant:sqlstring})) > 0`;

const REFUSALS = `from spend.refusals_by_hour as r
left join spend.tenants as t on t.id = r.tenant_id
where $__timeFilter(r.hour)
  and strpos(lower(coalesce(t.name, '')), lower(\${tenant:sqlstring})) > 0`;

const daily = (metric: string) => `select date_trunc('day', c.hour, 'UTC') as time,
  ${metric} as metric, sum(c.cost_usd) as usd
${COSTS}
group by 1, 2
order by 1, 2`;

export function databaseDashboard(): dashboard.Dashboard {
  const board = new dashboard.DashboardBuilder("Spendgate database")
    .uid("spendgate-database")
    .description(
      "What Spendgate's tables say: docs/guides/grafana.md has the role that reads them.",
    )
    .tags(["spendgate"])
    .timezone("utc")
    .time({ from: "now-30d", to: "now" })
    .refresh("5m")
    .withVariable(
      new dashboard.DatasourceVariableBuilder("postgres").label("PostgreSQL").type(POSTGRES_PLUGIN),
    )
    .withVariable(
      new dashboard.TextBoxVariableBuilder("tenant")
        .label("Tenant (part of its name)")
        .defaultValue(""),
    );

  const row = (title: string) => board.withRow(new dashboard.RowBuilder(title));

  row("Now");
  board
    .withPanel(
      number(
        {
          title: "Spent",
          unit: "currencyUSD",
          says: "In the time that is shown, corrections included.",
        },
        { sql: `select coalesce(sum(c.cost_usd), 0) as usd\n${COSTS}` },
      ),
    )
    .withPanel(
      number(
        {
          title: "Quotas above 80 %",
          unit: "short",
          warnFrom: 1,
          says: "Of which at least 80 % of the limit is spent or held now.",
        },
        {
          sql: `select coalesce(max(q.total), 0) as quotas
from spend.quotas_near_limit(at_least => 0.8, top => 1) as q`,
        },
      ),
    )
    .withPanel(
      number(
        {
          title: "Overdue holds",
          unit: "short",
          alarmFrom: 1,
          says: "Open reservations whose time is over. Maintenance charges them: see whether it runs.",
        },
        { sql: "select (spend.health() ->> 'overdue_reservations')::bigint as reservations" },
      ),
    )
    .withPanel(
      number(
        {
          title: "Undelivered alerts",
          unit: "short",
          warnFrom: 1,
          says: "They wait for a receiver for more than five minutes, or were given up in the last day.",
        },
        {
          sql: `select (h.health ->> 'undelivered_alerts')::bigint + (h.health ->> 'given_up_alerts')::bigint as alerts
from (select spend.health() as health) as h`,
        },
      ),
    )
    .withPanel(
      number(
        {
          title: "Last maintenance",
          unit: "s",
          warnFrom: 120,
          alarmFrom: 300,
          says: "Since a job was last done.",
        },
        {
          sql: `select extract(epoch from now() - s.last_run_at) as seconds
from spend.maintenance_status() as s`,
        },
      ).noValue("never"),
    )
    .withPanel(
      number(
        {
          title: "Newest price",
          unit: "s",
          warnFrom: 45 * 86_400,
          alarmFrom: 90 * 86_400,
          says: "Since when the newest price is in force.",
        },
        { sql: "select extract(epoch from now() - spend.newest_price_from()) as seconds" },
      ).noValue("none"),
    );

  row("Spend");
  board
    .withPanel(
      bars(
        { title: "Spend by day and model", unit: "currencyUSD", says: "Days of UTC." },
        { sql: daily("coalesce(c.product, 'adjustments')") },
      ).interval("1d"),
    )
    .withPanel(
      bars(
        {
          title: "Spend by day and tenant",
          unit: "currencyUSD",
          says: "Days of UTC, the ten dearest tenants.",
        },
        {
          sql: `with costs as (
  select date_trunc('day', c.hour, 'UTC') as day, c.tenant_id, min(t.name) as name, sum(c.cost_usd) as usd
  ${COSTS.replaceAll("\n", "\n  ")}
  group by 1, 2
),
dearest as (
  select tenant_id from costs group by tenant_id order by sum(usd) desc, tenant_id limit 10
)
select c.day as time, coalesce(c.name, c.tenant_id::text) as metric, c.usd
from costs as c
join dearest as d on d.tenant_id = c.tenant_id
order by 1, 2`,
        },
      ).interval("1d"),
    )
    .withPanel(
      rows(
        { title: "Tenants", says: "The fifty dearest of the time that is shown." },
        `select coalesce(min(t.name), c.tenant_id::text) as tenant, sum(c.cost_usd) as usd, sum(c.calls)::bigint as calls
${COSTS}
group by c.tenant_id
order by usd desc
limit 50`,
        { usd: "currencyUSD" },
      ),
    )
    .withPanel(
      rows(
        { title: "Models and templates", says: "The fifty dearest of the time that is shown." },
        `select c.resource_type, c.provider, c.product, sum(c.cost_usd) as usd, sum(c.calls)::bigint as calls
${COSTS}
group by 1, 2, 3
order by usd desc
limit 50`,
        { usd: "currencyUSD" },
      ),
    );

  row("Quotas");
  board
    .withPanel(
      rows(
        {
          title: "Quotas near their limit",
          width: 24,
          says: "At least 80 % of the limit is spent or held now, the fullest first. Not of the time that is shown.",
        },
        `select q.scope, q.tenant_name as tenant, q.resource_type, q.period, q.task, q.product, q.enforcement,
  q.limit_usd, q.spent_usd, q.reserved_usd, q.utilization_percent,
  -- A quota for a lifetime never ends.
  case when isfinite(q.period_end) then q.period_end end as period_end
from spend.quotas_near_limit(at_least => 0.8, top => 100) as q`,
        {
          limit_usd: "currencyUSD",
          spent_usd: "currencyUSD",
          reserved_usd: "currencyUSD",
          utilization_percent: "percent",
        },
      ),
    )
    .withPanel(
      bars(
        {
          title: "Refusals by reason",
          unit: "short",
          says: "By hour. limit_reached: spent; in_flight: held; exceeds_limit: the call alone is too large.",
        },
        {
          sql: `select r.hour as time, r.reason as metric, sum(r.refusals)::bigint as refusals
${REFUSALS}
group by 1, 2
order by 1, 2`,
        },
      ).interval("1h"),
    )
    .withPanel(
      rows(
        {
          title: "Who was refused",
          says: "The fifty most refused tenants of the time that is shown.",
        },
        `select coalesce(min(t.name), r.tenant_id::text) as tenant, r.scope, r.reason,
  sum(r.refusals)::bigint as refusals, max(r.last_at) as last_at
${REFUSALS}
group by r.tenant_id, r.scope, r.reason
order by refusals desc
limit 50`,
      ),
    )
    .withPanel(
      rows(
        {
          title: "Open holds",
          width: 24,
          says: "Reservations that are held now, the one that expires first above.",
        },
        `select h.tenant_name as tenant, h.resource_type, h.provider, h.product, h.task,
  h.estimated_cost_usd, h.created_at, h.expires_at
from spend.open_holds(top => 100) as h`,
        { estimated_cost_usd: "currencyUSD" },
      ),
    );

  row("Operation");
  board
    .withPanel(
      bars(
        {
          title: "Alerts by kind",
          unit: "short",
          says: "By the hour in which they were recorded.",
        },
        {
          sql: `select date_trunc('hour', a.created_at, 'UTC') as time, a.kind as metric, count(*) as alerts
from spend.alerts as a
where $__timeFilter(a.created_at)
group by 1, 2
order by 1, 2`,
        },
      ).interval("1h"),
    )
    .withPanel(
      rows(
        { title: "Alerts", says: "The newest hundred. No tenant: the platform's." },
        `select a.created_at, a.kind, t.name as tenant, a.subject, a.threshold, a.limit_usd, a.delivered_at, a.acknowledged_at
from spend.alerts as a
left join spend.tenants as t on t.id = a.tenant_id
where $__timeFilter(a.created_at)
order by a.id desc
limit 100`,
        { threshold: "percentunit", limit_usd: "currencyUSD" },
      ),
    )
    .withPanel(
      rows(
        {
          title: "Deliveries that wait or failed",
          width: 24,
          says: "Of alerts, by channel, the newest hundred. Not of the time that is shown.",
        },
        `select d.created_at, a.kind, t.name as tenant, d.channel, d.channel_kind, d.event, d.attempts,
  d.next_attempt_at, d.ended_at, d.last_error
from spend.alert_deliveries as d
join spend.alerts as a on a.id = d.alert_id
left join spend.tenants as t on t.id = a.tenant_id
where d.delivered_at is null and (d.ended_at is null or d.is_given_up)
order by d.id desc
limit 100`,
      ),
    )
    .withPanel(
      number(
        {
          title: "Verification",
          unit: "short",
          alarmFrom: 1,
          says: "What verification found wrong, and is still open: balances that differ from the ledger.",
        },
        {
          sql: "select count(*) as problems from spend.problems as p where p.job = 'verify' and p.resolved_at is null",
        },
      ).height(8),
    )
    .withPanel(
      rows(
        {
          title: "Open problems",
          width: 20,
          says: "What maintenance, verification and reconciliation could not do.",
        },
        `select p.job, p.subject, p.message, p.times, p.first_seen_at, p.last_seen_at
from spend.problems as p
where p.resolved_at is null
order by p.last_seen_at desc
limit 100`,
      ),
    )
    .withPanel(
      rows(
        { title: "Maintenance", says: "remedy says what to do; it is empty when all is right." },
        `select s.is_running, s.scheduled_by, s.last_run_at, array_to_string(s.late_jobs, ', ') as late_jobs,
  s.open_problems, s.unrolled_events, s.unrolled_since, s.remedy
from spend.maintenance_status() as s`,
      ),
    )
    .withPanel(
      rows(
        { title: "Age of prices", says: "By provider: since when the newest price is in force." },
        `select p.resource_type, p.provider, count(*) as prices, max(p.effective_from) as newest_from,
  extract(epoch from now() - max(p.effective_from)) as age
from spend.current_prices as p
group by 1, 2
order by age desc`,
        { age: "s" },
      ),
    );
  return withIds(board.build());
}
