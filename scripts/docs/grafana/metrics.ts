// The dashboard of metrics: what the functions tell a collector, read from Prometheus.
import * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import { type ATTRIBUTES, METRICS } from "../../../functions/_shared/runtime/telemetry/names.ts";
import { labelName, metricName } from "./names.ts";
import { bars, lines, number, PROMETHEUS, withIds } from "./panels.ts";
import { counted, gauge, grown, observed, quantile, summed } from "./promql.ts";

/** Amounts of each bar, and of the whole time that is shown. */
const STEP = "$__interval";
const ALL = "$__range";
/** Latency of few calls is no curve: at least the calls of five minutes. */
const RECENT = "5m";

/** A legend that names labels: "{{gen_ai_request_model}}, p95". */
const legend = (attributes: (keyof typeof ATTRIBUTES)[], also = "") =>
  attributes.map((attribute) => `{{${labelName(attribute)}}}`).join(" ") + also;

const FAILED = `${labelName("error")}!=""`;

export function metricsDashboard(): dashboard.Dashboard {
  const board = new dashboard.DashboardBuilder("Spendgate metrics")
    .uid("spendgate-metrics")
    .description("What Spendgate's functions tell: docs/guides/grafana.md says how it gets here.")
    .tags(["spendgate"])
    .timezone("browser")
    .time({ from: "now-6h", to: "now" })
    .refresh("1m")
    .tooltip(dashboard.DashboardCursorSync.Crosshair)
    .withVariable(
      new dashboard.DatasourceVariableBuilder("prometheus").label("Prometheus").type("prometheus"),
    )
    .withVariable(
      new dashboard.QueryVariableBuilder("job")
        .label("Service")
        .datasource(PROMETHEUS)
        .query(`label_values(${metricName(METRICS.gateDuration)}_count, job)`)
        .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
        .includeAll(true)
        .allValue(".*")
        .current({ selected: true, text: "All", value: "$__all" }),
    );

  const row = (title: string) => board.withRow(new dashboard.RowBuilder(title));

  row("Now");
  board
    .withPanel(
      number(
        { title: "Spent", unit: "currencyUSD", says: "Calls of models that settled in this time." },
        { promql: { USD: counted("cost", ALL) } },
      ),
    )
    .withPanel(
      number(
        {
          title: "Today, in the ledger",
          unit: "currencyUSD",
          says: "All cost of the day, sandboxes and corrections included, by the tenants' days.",
        },
        { promql: { USD: `sum(${gauge("ledgerCost", { by: ["resourceType"] })})` } },
      ),
    )
    .withPanel(
      number(
        {
          title: "Refused",
          unit: "short",
          warnFrom: 1,
          says: "Calls and sandboxes that a quota refused.",
        },
        { promql: { calls: counted("refusals", ALL) } },
      ),
    )
    .withPanel(
      number(
        {
          title: "Not settled",
          unit: "short",
          alarmFrom: 1,
          says: "Reservations that could not be settled or released. They expire, and are charged at their estimate.",
        },
        { promql: { calls: counted("settleFailures", ALL) } },
      ),
    )
    .withPanel(
      number(
        {
          title: "Gate, p99",
          unit: "s",
          warnFrom: 0.2,
          alarmFrom: 0.5,
          says: "Of spend.reserve and spend.settle, alone and in batches, over the Data API.",
        },
        {
          promql: {
            p99: quantile(0.99, "gateDuration", ALL, {
              where: `${labelName("dbProcedure")}=~"spend.(reserve|settle)"`,
            }),
          },
        },
      ),
    )
    .withPanel(
      number(
        {
          title: "Fullest quota",
          unit: "percentunit",
          warnFrom: 0.8,
          alarmFrom: 1,
          says: "Share of its limit that the fullest quota has used.",
        },
        { promql: { used: `max(${gauge("utilization", { by: ["scope"] })})` } },
      ),
    );

  row("Spend");
  board
    .withPanel(
      bars(
        {
          title: "Spend by model",
          unit: "currencyUSD",
          says: "Settled calls. The bars add up to what was spent.",
        },
        { promql: { [legend(["requestModel"])]: counted("cost", STEP, { by: ["requestModel"] }) } },
      ),
    )
    .withPanel(
      bars(
        {
          title: "Spend by provider",
          unit: "currencyUSD",
          says: "Settled calls, by who sold them.",
        },
        { promql: { [legend(["provider"])]: counted("cost", STEP, { by: ["provider"] }) } },
      ),
    )
    .withPanel(
      bars(
        {
          title: "Booked in the ledger",
          unit: "currencyUSD",
          width: 8,
          says: "All that is charged, sandboxes and what expired included, and what is credited. A bar is a minute late.",
        },
        {
          promql: {
            [legend(["resourceType", "booking"])]: grown("booked", STEP, {
              by: ["resourceType", "booking"],
            }),
          },
        },
      ),
    )
    .withPanel(
      lines(
        {
          title: "Today's cost in the ledger",
          unit: "currencyUSD",
          width: 8,
          says: "It falls to 0 as a day begins.",
        },
        { promql: { [legend(["resourceType"])]: gauge("ledgerCost", { by: ["resourceType"] }) } },
      ),
    )
    .withPanel(
      lines(
        {
          title: "Use of the fullest quotas",
          unit: "percentunit",
          width: 8,
          says: "Share of its limit that the fullest quota of each kind has used, of the 1,000 fullest.",
        },
        {
          promql: {
            [legend(["scope", "resourceType", "period"])]: gauge("utilization", {
              by: ["scope", "resourceType", "period"],
            }),
          },
        },
      ),
    );

  row("Models");
  board
    .withPanel(
      bars(
        { title: "Tokens", unit: "short", says: "As they were charged." },
        { promql: { [legend(["tokenType"])]: summed("tokens", STEP, { by: ["tokenType"] }) } },
      ),
    )
    .withPanel(
      bars(
        { title: "Tokens by model", unit: "short", says: "As they were charged." },
        {
          promql: { [legend(["requestModel"])]: summed("tokens", STEP, { by: ["requestModel"] }) },
        },
      ),
    )
    .withPanel(
      bars(
        {
          title: "Calls",
          unit: "short",
          says: "Calls of models that ended, failed ones included.",
        },
        {
          promql: {
            [legend(["requestModel", "operation"])]: observed("callDuration", STEP, {
              by: ["requestModel", "operation"],
            }),
          },
        },
      ),
    )
    .withPanel(
      bars(
        {
          title: "Failed calls",
          unit: "short",
          says: "By the provider's status or the error's class, and how far they came: call, stream.",
        },
        {
          promql: {
            [legend(["provider", "stage", "error"])]: observed("callDuration", STEP, {
              by: ["provider", "stage", "error"],
              where: FAILED,
            }),
          },
        },
      ),
    )
    .withPanel(
      lines(
        { title: "Duration of calls", unit: "s", says: "From a call's start to its end." },
        {
          promql: {
            [legend(["requestModel"], ", p50")]: quantile(0.5, "callDuration", RECENT, {
              by: ["requestModel"],
            }),
            [legend(["requestModel"], ", p95")]: quantile(0.95, "callDuration", RECENT, {
              by: ["requestModel"],
            }),
          },
        },
      ),
    )
    .withPanel(
      lines(
        { title: "Time to first chunk", unit: "s", says: "Of streamed calls." },
        {
          promql: {
            [legend(["requestModel"], ", p50")]: quantile(0.5, "firstChunk", RECENT, {
              by: ["requestModel"],
            }),
            [legend(["requestModel"], ", p95")]: quantile(0.95, "firstChunk", RECENT, {
              by: ["requestModel"],
            }),
          },
        },
      ),
    );

  row("Gate");
  board
    .withPanel(
      bars(
        {
          title: "Refusals",
          unit: "short",
          says: "By reason, and the scope of the quota that refused.",
        },
        {
          promql: {
            [legend(["reason", "scope"])]: counted("refusals", STEP, { by: ["reason", "scope"] }),
          },
        },
      ),
    )
    .withPanel(
      bars(
        {
          title: "Not settled",
          unit: "short",
          says: "Reservations that could not be settled or released, by error.",
        },
        {
          promql: {
            [legend(["outcome", "error"])]: counted("settleFailures", STEP, {
              by: ["outcome", "error"],
            }),
          },
        },
      ),
    )
    .withPanel(
      lines(
        {
          title: "Latency of the gate, p99",
          unit: "s",
          says: "One call of an SQL function, over the Data API.",
        },
        {
          promql: {
            [legend(["dbProcedure"])]: quantile(0.99, "gateDuration", RECENT, {
              by: ["dbProcedure"],
            }),
          },
        },
      ),
    )
    .withPanel(
      bars(
        {
          title: "Failed calls of SQL",
          unit: "short",
          says: "By function and error; refusals are none.",
        },
        {
          promql: {
            [legend(["dbProcedure", "error"])]: observed("gateDuration", STEP, {
              by: ["dbProcedure", "error"],
              where: FAILED,
            }),
          },
        },
      ),
    )
    .withPanel(
      lines(
        { title: "Reservations held", unit: "short", says: "Open calls and sandboxes." },
        {
          promql: {
            [legend(["resourceType"])]: gauge("openReservations", { by: ["resourceType"] }),
          },
        },
      ),
    )
    .withPanel(
      lines(
        {
          title: "Reservations expired, last 24 hours",
          unit: "short",
          says: "Nobody settled them: they were charged at their estimate.",
        },
        {
          promql: {
            [legend(["resourceType"])]: gauge("expiredReservations", { by: ["resourceType"] }),
          },
        },
      ),
    );

  row("Alerts and sandboxes");
  board
    .withPanel(
      bars(
        { title: "Alerts", unit: "short", says: "Tries to deliver one, by outcome." },
        {
          promql: {
            [legend(["alertKind", "outcome"])]: counted("alerts", STEP, {
              by: ["alertKind", "outcome"],
            }),
          },
        },
      ),
    )
    .withPanel(
      lines(
        {
          title: "Sandboxes",
          unit: "short",
          says: "Those that are being started, run or are paused.",
        },
        {
          promql: {
            [legend(["sandboxStatus"])]: gauge("activeSandboxes", { by: ["sandboxStatus"] }),
          },
        },
      ),
    )
    .withPanel(
      bars(
        { title: "Stages of sandboxes", unit: "short", width: 8, says: "What sandboxes came to." },
        { promql: { [legend(["stage"])]: counted("sandboxOperations", STEP, { by: ["stage"] }) } },
      ),
    )
    .withPanel(
      bars(
        { title: "Failed stages", unit: "short", width: 8, says: "By stage and error." },
        {
          promql: {
            [legend(["stage", "error"])]: counted("sandboxErrors", STEP, {
              by: ["stage", "error"],
            }),
          },
        },
      ),
    )
    .withPanel(
      lines(
        {
          title: "Duration of stages, p95",
          unit: "s",
          width: 8,
          says: "One stage of a sandbox's life.",
        },
        {
          promql: {
            [legend(["stage"])]: quantile(0.95, "sandboxDuration", RECENT, { by: ["stage"] }),
          },
        },
      ),
    );
  return withIds(board.build());
}
