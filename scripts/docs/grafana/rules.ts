// What somebody should be woken for. Rules of metrics exist for Prometheus and for Grafana, those of SQL for Grafana alone.
import type { Query, Rule } from "@grafana/grafana-foundation-sdk/alerting";
import type { TypeThreshold } from "@grafana/grafana-foundation-sdk/expr";
import { GAUGES } from "../../../functions/_shared/runtime/telemetry/names.ts";
import { labelName, metricName } from "./names.ts";
import { POSTGRES_PLUGIN, sqlQuery } from "./panels.ts";
import { counted, gauge, quantile } from "./promql.ts";

/** As provisioning/datasources/spendgate.yaml names them: rules know no variable of a dashboard. */
export const UIDS = { prometheus: "spendgate-prometheus", postgres: "spendgate-postgres" } as const;

interface Watch {
  /** Its uid in Grafana too, in kebab case. */
  name: string;
  /** Fires where it is above the limit. */
  source: { promql: string } | { sql: string };
  above: number;
  /** For how long it must be. */
  lasting: string;
  severity: "critical" | "warning";
  summary: string;
  remedy: string;
  /** The query answers nothing while all is right. */
  isQuiet?: boolean;
}

const everyJob = true;
const expired = gauge("expiredReservations", { by: ["resourceType"], everyJob });
const expiredBefore = `max by (${labelName("resourceType")}) (${metricName(GAUGES.expiredReservations)} offset 1h)`;

export const METRIC_RULES: Watch[] = [
  {
    name: "SpendgateGateSlow",
    source: {
      promql: quantile(0.99, "gateDuration", "5m", {
        by: ["dbProcedure"],
        where: `${labelName("dbProcedure")}=~"spend.(reserve|settle)"`,
        everyJob,
      }),
    },
    above: 0.5,
    lasting: "5m",
    severity: "warning",
    summary: "One of a hundred calls of the gate takes longer than half a second.",
    remedy:
      "Look at the database: its load, its locks (pg_stat_activity), and the connections of the Data API.",
    isQuiet: true,
  },
  {
    name: "SpendgateSettleFailed",
    source: { promql: counted("settleFailures", "10m", { by: ["outcome"], everyJob }) },
    above: 0,
    lasting: "0s",
    severity: "critical",
    summary: "Calls could not be settled or released.",
    remedy:
      "Their reservations expire, and are charged at their estimate. The log event settle_failed has the error.",
    isQuiet: true,
  },
  {
    name: "SpendgateRefusalsBurst",
    source: { promql: counted("refusals", "10m", { by: ["reason", "scope"], everyJob }) },
    above: 100,
    lasting: "0s",
    severity: "warning",
    summary: "Quotas refused more than 100 calls in ten minutes.",
    remedy:
      "spend.refusals_by_hour says whose, and which quota. Set the number to what is usual for you.",
    isQuiet: true,
  },
  {
    name: "SpendgateReservationsExpired",
    source: { promql: `${expired} - ${expiredBefore}` },
    above: 10,
    lasting: "0s",
    severity: "warning",
    summary: "More than ten reservations expired within an hour.",
    remedy:
      "Their callers neither settled nor released: they crashed, or the database did not answer them.",
    isQuiet: true,
  },
  {
    name: "SpendgatePlatformQuotaFull",
    source: {
      promql: gauge("utilization", {
        by: ["resourceType", "period"],
        where: `${labelName("scope")}="platform"`,
        everyJob,
      }),
    },
    above: 0.9,
    lasting: "0s",
    severity: "critical",
    summary:
      "A quota of the platform is used above 90 %: everybody's calls are refused when it is full.",
    remedy: "Raise its limit, or find who spends: the dashboard's table of tenants.",
    isQuiet: true,
  },
  {
    name: "SpendgateStateNotTold",
    source: { promql: `absent_over_time(${metricName(GAUGES.openReservations)}[10m])` },
    above: 0,
    lasting: "0s",
    severity: "critical",
    summary: "The function maintenance has told no state for ten minutes.",
    remedy:
      "See that it is called every minute, with the secret key, and that the collector takes what it sends.",
    isQuiet: true,
  },
  {
    name: "SpendgateAlertsFail",
    source: {
      promql: counted("alerts", "15m", {
        by: ["alertKind"],
        where: `${labelName("outcome")}="failed"`,
        everyJob,
      }),
    },
    above: 3,
    lasting: "0s",
    severity: "warning",
    summary: "More than three tries to deliver an alert failed in 15 minutes.",
    remedy: "The log event alert_failed says what the receiver answered.",
    isQuiet: true,
  },
];

export const SQL_RULES: Watch[] = [
  {
    name: "SpendgateMaintenanceLate",
    source: {
      sql: `select case when s.is_running and s.late_jobs = '{}' then 0 else 1 end as is_late
from spend.maintenance_status() as s`,
    },
    above: 0,
    lasting: "5m",
    severity: "critical",
    summary: "Maintenance does not run, or one of its jobs was not done for an hour.",
    remedy: "select remedy from spend.maintenance_status() says what to do.",
  },
  {
    name: "SpendgateHoldsOverdue",
    source: { sql: "select (spend.health() ->> 'overdue_reservations')::bigint as reservations" },
    above: 0,
    lasting: "10m",
    severity: "warning",
    summary: "Reservations whose time is over are still held, and take room from quotas.",
    remedy: "Maintenance charges them: see whether it runs.",
  },
  {
    name: "SpendgateAlertsUndelivered",
    source: {
      sql: `select (h.health ->> 'undelivered_alerts')::bigint + (h.health ->> 'given_up_alerts')::bigint
  + (h.health ->> 'unrouted_alerts')::bigint as alerts
from (select spend.health() as health) as h`,
    },
    above: 0,
    lasting: "5m",
    severity: "warning",
    summary: "Alerts wait for more than five minutes, or were given up in the last day.",
    remedy:
      "spend.alert_deliveries says why. Where it has none, the function alerts is not called every minute. Pause this rule where nobody receives alerts.",
  },
  {
    name: "SpendgateVerificationFailed",
    source: {
      sql: "select count(*) as problems from spend.problems as p where p.job = 'verify' and p.resolved_at is null",
    },
    above: 0,
    lasting: "0s",
    severity: "critical",
    summary: "Balances differ from the ledger.",
    remedy:
      "select * from spend.problems where job = 'verify' says which; docs/guides/operations.md how to repair them.",
  },
  {
    name: "SpendgatePricesOld",
    source: {
      sql: "select extract(epoch from now() - spend.newest_price_from()) / 86400 as days",
    },
    above: 90,
    lasting: "1h",
    severity: "warning",
    summary: "No price has come for 90 days.",
    remedy: "Compare the catalogue with the providers' lists: docs/guides/prices.md.",
  },
];

const annotationsOf = ({ summary, remedy }: Watch) => ({ summary, description: remedy });

/** Rules as Prometheus reads them. */
export function prometheusRules(): object {
  return {
    groups: [
      {
        name: "spendgate",
        rules: METRIC_RULES.map((watch) => ({
          alert: watch.name,
          expr: `${promqlOf(watch)} > ${watch.above}`,
          ...(watch.lasting === "0s" ? {} : { for: watch.lasting }),
          labels: { severity: watch.severity, service: "spendgate" },
          annotations: annotationsOf(watch),
        })),
      },
    ],
  };
}

function promqlOf({ name, source }: Watch): string {
  if (!("promql" in source)) throw new Error(`${name} is no rule of Prometheus`);
  return source.promql;
}

/** A query of a rule in a provisioning file: times are seconds there, where the API has objects. */
type ProvisionedQuery = Omit<Query, "relativeTimeRange"> & {
  relativeTimeRange: { from: number; to: number };
};
type ProvisionedRule = Omit<Rule, "data" | "orgID" | "folderUID" | "ruleGroup"> & {
  data: ProvisionedQuery[];
};

const MINUTES = { from: 600, to: 0 };

/** Rules as Grafana reads them from a file. */
export function grafanaRules(group: string, watches: Watch[]): object {
  return {
    apiVersion: 1,
    groups: [
      {
        orgId: 1,
        name: group,
        folder: "Spendgate",
        interval: "1m",
        rules: watches.map(grafanaRule),
      },
    ],
  };
}

function grafanaRule(watch: Watch): ProvisionedRule {
  const { name, above, lasting, severity } = watch;
  return {
    uid: name.replace(/(?<=.)([A-Z])/g, "-$1").toLowerCase(),
    title: name,
    condition: "B",
    data: [
      queryOf(watch),
      { refId: "B", datasourceUid: "__expr__", relativeTimeRange: MINUTES, model: limit(above) },
    ],
    for: lasting,
    noDataState: watch.isQuiet ? "OK" : "NoData",
    execErrState: "Error",
    labels: { severity, service: "spendgate" },
    annotations: annotationsOf(watch),
    isPaused: false,
  };
}

function queryOf({ source }: Watch): ProvisionedQuery {
  if ("promql" in source) {
    const model = {
      refId: "A",
      datasource: { type: "prometheus", uid: UIDS.prometheus },
      expr: source.promql,
      instant: true,
      range: false,
      _implementsDataqueryVariant: () => {},
    };
    return { refId: "A", datasourceUid: UIDS.prometheus, relativeTimeRange: MINUTES, model };
  }
  const datasource = { type: POSTGRES_PLUGIN, uid: UIDS.postgres };
  return {
    refId: "A",
    datasourceUid: UIDS.postgres,
    relativeTimeRange: MINUTES,
    model: sqlQuery("A", "table", source.sql, datasource),
  };
}

function limit(above: number): TypeThreshold {
  return {
    refId: "B",
    type: "threshold",
    datasource: { type: "__expr__", uid: "__expr__" },
    expression: "A",
    conditions: [{ evaluator: { type: "gt", params: [above] } }],
    _implementsDataqueryVariant: () => {},
  };
}
