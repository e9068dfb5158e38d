// docs/grafana and docs/guides/grafana.md: what they read is what Spendgate sends and has. No package registry has Grafana
// itself; what a dashboard may have say the types of its SDK, by which scripts/docs/grafana makes the files.
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { EMITTED, labelName, metricName, seriesOf } from "../../scripts/docs/grafana/names.ts";
import { counted, grown } from "../../scripts/docs/grafana/promql.ts";
import { METRIC_RULES, SQL_RULES, UIDS } from "../../scripts/docs/grafana/rules.ts";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { blocksOf, read, statementsOf } from "./pages.ts";
import { mentionsOf } from "./promql.ts";

const PAGE = "docs/guides/grafana.md";

interface Target {
  refId: string;
  datasource?: { type: string };
  expr?: string;
  legendFormat?: string;
  rawSql?: string;
  format?: string;
}
interface Panel {
  id: number;
  type: string;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: Target[];
}
interface Dashboard {
  uid: string;
  panels: Panel[];
}

const dashboard = (name: string): Dashboard =>
  JSON.parse(read(`docs/grafana/dashboards/${name}.json`));
const BOARDS = { metrics: dashboard("metrics"), database: dashboard("database") };
const panelsOf = ({ panels }: Dashboard) => panels.filter(({ type }) => type !== "row");

interface RuleFile {
  groups: {
    rules: {
      uid: string;
      title: string;
      condition: string;
      data: { refId: string; datasourceUid: string; model: Target & { conditions?: object[] } }[];
    }[];
  }[];
}
const rulesOf = (name: string) =>
  (
    parse(read(`docs/grafana/provisioning/alerting/spendgate-${name}.yaml`)) as RuleFile
  ).groups.flatMap(({ rules }) => rules);

/** What Grafana puts in the place of its variables. */
function fillPromql(expression: string): string {
  return expression
    .replaceAll("$__interval", "5m")
    .replaceAll("$__range", "1h")
    .replaceAll("$job", ".*");
}

const targetsOf = (board: Dashboard) =>
  panelsOf(board).flatMap(({ title, targets = [] }) =>
    targets.map((target) => ({ title, ...target })),
  );
const SHOWN = targetsOf(BOARDS.metrics).map(({ title, expr = "", legendFormat = "" }) => ({
  title,
  legendFormat,
  expression: fillPromql(expr),
}));
const WATCHED = METRIC_RULES.map(({ name, source }) => ({
  title: name,
  legendFormat: "",
  expression: "promql" in source ? source.promql : "",
}));

describe("the files", () => {
  it("docs/grafana is what `npm run docs:grafana` writes today", () => {
    const tsx = join(PROJECT, "node_modules/.bin/tsx");
    const args = [join(PROJECT, "scripts/docs/grafana.ts"), "--check"];
    expect(execFileSync(tsx, args, { encoding: "utf8" })).toBe("");
  });

  it.each(Object.entries(BOARDS))(
    "the dashboard %s has panels that do not overlap, each with a query",
    (_, board) => {
      const panels = panelsOf(board);
      expect(panels.length).toBeGreaterThan(15);
      const taken = new Map<string, string>();
      for (const { title, gridPos, targets = [] } of board.panels) {
        expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
          for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
            expect(taken.get(`${x} ${y}`), `${title} lies on`).toBeUndefined();
            taken.set(`${x} ${y}`, title);
          }
        }
        expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length);
      }
      expect(panels.filter(({ targets = [] }) => targets.length === 0)).toEqual([]);
      const ids = board.panels.map(({ id }) => id);
      expect(new Set(ids).size).toBe(ids.length);
    },
  );

  it("rules have a uid of at most 40 characters each, a condition that is there, and data sources that the example has", () => {
    const rules = [...rulesOf("metrics"), ...rulesOf("database")];
    expect(rules).toHaveLength(METRIC_RULES.length + SQL_RULES.length);
    expect(new Set(rules.map(({ uid }) => uid)).size).toBe(rules.length);
    const { datasources } = parse(read("docs/grafana/provisioning/datasources/spendgate.yaml"));
    const uids = datasources.map(({ uid }: { uid: string }) => uid);
    expect(uids).toEqual(Object.values(UIDS));
    for (const { uid, condition, data } of rules) {
      expect(uid.length).toBeLessThanOrEqual(40);
      expect(data.map(({ refId }) => refId)).toContain(condition);
      for (const { datasourceUid } of data) expect([...uids, "__expr__"]).toContain(datasourceUid);
    }
  });

  it("what Grafana would take for a variable of its environment is only where it is one", () => {
    const found = readdirSync(join(PROJECT, "docs/grafana/provisioning"), {
      recursive: true,
      encoding: "utf8",
    })
      .filter((file) => file.endsWith(".yaml"))
      .flatMap((file) => [...read(`docs/grafana/provisioning/${file}`).matchAll(/\$\S*/g)])
      .map(([name]) => name);
    const documented = [...read(PAGE).matchAll(/^\| `(SPENDGATE_\w+)`/gm)].map(
      ([, name]) => `$${name}`,
    );
    expect(found.sort()).toEqual(documented.sort());
  });

  it("the page names every rule, and where it comes from", () => {
    const rows = [...read(PAGE).matchAll(/^\| `(Spendgate\w+)` \|.*\| (\w+) \|$/gm)];
    expect(rows.map(([, name, source]) => [name, source])).toEqual([
      ...METRIC_RULES.map(({ name }) => [name, "metrics"]),
      ...SQL_RULES.map(({ name }) => [name, "database"]),
    ]);
  });
});

describe("PromQL", () => {
  const series = new Map(
    EMITTED.flatMap(seriesOf).map(({ name, labels }) => [name, labels] as const),
  );

  it.each([
    [{ name: "a.b", kind: "counter", unit: "{USD}" }, "a_b_total"],
    [{ name: "a.b", kind: "counter", unit: "s" }, "a_b_seconds_total"],
    [{ name: "a.b", kind: "histogram", unit: "ms" }, "a_b_milliseconds"],
    [{ name: "a.b", kind: "histogram", unit: "{token}" }, "a_b"],
    [{ name: "a.b", kind: "gauge", unit: "1" }, "a_b_ratio"],
    [{ name: "a.b", kind: "counter", unit: "1" }, "a_b_total"],
    [{ name: "a..b-c.seconds", kind: "gauge", unit: "s" }, "a_b_c_seconds"],
    [{ name: "a.total", kind: "counter", unit: "{call}" }, "a_total"],
  ] as const)("%o is called %s", (metric, name) => {
    expect(metricName({ description: "", attributes: [], ...metric })).toBe(name);
  });

  it("a unit that nobody has translated is an error", () => {
    const metric = {
      name: "a",
      kind: "gauge",
      unit: "furlong",
      description: "",
      attributes: [],
    } as const;
    expect(() => metricName(metric)).toThrow("furlong");
  });

  it("the page has every metric under both names", () => {
    const rows = [...read(PAGE).matchAll(/^\| `([a-z_.]+)` \| `([a-z_]+)` \|$/gm)];
    expect(rows.map(([, ...names]) => names)).toEqual(
      EMITTED.map((metric) => [metric.name, metricName(metric)]),
    );
  });

  it.each([...SHOWN, ...WATCHED])(
    "$title reads series and labels that functions send",
    ({ expression, legendFormat }) => {
      const mentions = mentionsOf(expression);
      expect(mentions.length).toBeGreaterThan(0);
      for (const mention of mentions) {
        const labels = series.get(mention.series);
        expect(labels, mention.series).toBeDefined();
        for (const label of mention.labels) expect(labels, mention.series).toContain(label);
      }
      // A legend can name what is left after adding up.
      const by = /by \(([^)]*)\)/.exec(expression)?.[1]?.split(", ") ?? [];
      for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) expect(by).toContain(label);
    },
  );

  it("every metric is shown, and every attribute of a metric by which it can be told apart", () => {
    const seen = new Set(
      SHOWN.flatMap(({ expression }) => mentionsOf(expression)).map((each) => each.series),
    );
    const unseen = EMITTED.filter((metric) => !seriesOf(metric).some(({ name }) => seen.has(name)));
    expect(unseen.map(({ name }) => name)).toEqual([]);
    const used = new Set(
      SHOWN.flatMap(({ expression }) => mentionsOf(expression)).flatMap((each) => each.labels),
    );
    const unused = EMITTED.flatMap(({ attributes }) => attributes.map(labelName)).filter(
      (label) => !used.has(label),
    );
    expect(unused).toEqual([]);
  });

  it("what is no PromQL, has no name, or no such label is found", () => {
    expect(() => mentionsOf("sum by (a) (b[5m)")).toThrow("not PromQL");
    expect(() => mentionsOf('{a="b"}')).toThrow("without a name");
    expect(mentionsOf('sum by (a) (max by (b) (c{d="e"}) - f)')).toEqual([
      { series: "c", labels: ["d", "a", "b"] },
      { series: "f", labels: ["a"] },
    ]);
  });
});

const PROMTOOL = [
  process.env.SPENDGATE_PROMTOOL,
  ...(process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, "promtool")),
].find((path) => path && existsSync(path));
if (!PROMTOOL) console.warn("PromQL is not computed. Install promtool, or set SPENDGATE_PROMTOOL.");

interface Case {
  series: Record<string, string>;
  expect: { at: string; expression: string; value: number | null }[];
}

/** Has Prometheus compute expressions on series that have a value each minute, beside the rules. */
function compute(cases: Case[]): void {
  const folder = mkdtempSync(join(tmpdir(), "spendgate-promql-"));
  try {
    const file = join(folder, "test.yaml");
    const test = {
      rule_files: [join(PROJECT, "docs/grafana/prometheus/spendgate.rules.yaml")],
      evaluation_interval: "1m",
      tests: cases.map((each) => ({
        interval: "1m",
        input_series: Object.entries(each.series).map(([name, values]) => ({
          series: name,
          values,
        })),
        promql_expr_test: each.expect.map(({ at, expression, value }) => ({
          expr: expression,
          eval_time: at,
          exp_samples: value === null ? [] : [{ labels: "{}", value }],
        })),
      })),
    };
    writeFileSync(file, stringify(test, { lineWidth: 0 }));
    execFileSync(PROMTOOL as string, ["test", "rules", file], { encoding: "utf8", stdio: "pipe" });
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`${error}\n${stdout}\n${stderr}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const name = (key: string) => metricName(EMITTED.find((each) => each.name === key) as never);

describe.skipIf(!PROMTOOL)("PromQL, computed by Prometheus", () => {
  it("three workers count 27, one of them in a single value: bars of five minutes add up to it, increase() sees nothing of that one", () => {
    const cost = name("spendgate.cost");
    const series = {
      [`${cost}{instance="long"}`]: "_ 1+1x19",
      [`${cost}{instance="once"}`]: "_x7 3 _x12",
      [`${cost}{instance="twice"}`]: "_x12 2 4 _x6",
    };
    const bar = counted("cost", "5m", { everyJob: true });
    compute([
      {
        series,
        expect: [
          { at: "5m", expression: bar, value: 5 },
          { at: "10m", expression: bar, value: 5 + 3 },
          { at: "15m", expression: bar, value: 5 + 4 },
          { at: "20m", expression: bar, value: 5 },
          { at: "20m", expression: counted("cost", "20m", { everyJob: true }), value: 27 },
          { at: "20m", expression: `sum(increase(${cost}{instance="once"}[20m]))`, value: null },
        ],
      },
    ]);
  });

  it("what the ledger booked grew by 2 a minute: bars of five minutes are 10, and none is all that it ever booked", () => {
    const booked = name("spendgate.ledger.booked");
    const bar = `sum(${grown("booked", "5m", { by: ["resourceType"], everyJob: true })})`;
    compute([
      {
        // Told from the second minute on, not for 25 minutes, then again.
        series: { [`${booked}{instance="shared"}`]: "_ 100+2x9 _x25 170+2x14" },
        expect: [
          { at: "5m", expression: bar, value: null },
          { at: "10m", expression: bar, value: 10 },
          { at: "38m", expression: bar, value: null },
          { at: "46m", expression: bar, value: 10 },
        ],
      },
    ]);
  });

  it("every expression of the dashboard answers something where every series is", () => {
    const series = Object.fromEntries(
      EMITTED.flatMap((metric) => {
        const labels = metric.attributes.map((key) => `${labelName(key)}="${takenBy(key)}"`);
        const all = [...labels, 'job="spendgate"', 'instance="a"'].join(", ");
        const bounds = [...(metric.buckets ?? []), "+Inf"];
        return seriesOf(metric).flatMap(({ name, labels }) =>
          labels.includes("le")
            ? bounds.map((le, place) => [`${name}{${all}, le="${le}"}`, `_ 1+${place + 1}x60`])
            : [[`${name}{${all}}`, "_ 1+1x60"]],
        );
      }),
    );
    expect(Object.keys(series).length).toBeGreaterThan(80);
    compute([
      {
        series,
        expect: SHOWN.map(({ expression }) => ({
          at: "1h",
          expression: `count((${expression}) >= 0) > bool 0`,
          value: 1,
        })),
      },
    ]);
  });

  it("every rule fires when it should, and is silent before", () => {
    const told = {
      [`${name("spendgate.reservations.open")}{spendgate_resource_type="llm"}`]: "1x120",
    };
    const bucket = (le: string, values: string) => ({
      [`${name("spendgate.gate.duration")}_bucket{db_stored_procedure_name="spend.reserve", le="${le}"}`]:
        values,
    });
    const bad: Record<string, Record<string, string>> = {
      // 60 minutes of fast calls, then slow ones.
      SpendgateGateSlow: {
        ...bucket("0.2", "0+100x60 6000x60"),
        ...bucket("2", "0+100x60 6000+100x60"),
        ...bucket("+Inf", "0+100x60 6000+100x60"),
      },
      SpendgateSettleFailed: {
        [`${name("spendgate.settle.failures")}{spendgate_outcome="settle"}`]: "_x90 1x30",
      },
      SpendgateRefusalsBurst: {
        [`${name("spendgate.refusals")}{spendgate_refusal_reason="limit_reached", spendgate_quota_scope="tenant"}`]:
          "0+10x80 800+50x40",
      },
      SpendgateReservationsExpired: {
        [`${name("spendgate.reservations.expired")}{spendgate_resource_type="llm"}`]: "2x80 14x40",
      },
      SpendgatePlatformQuotaFull: {
        [`${name("spendgate.quota.utilization")}{spendgate_quota_scope="platform", spendgate_resource_type="llm", spendgate_quota_period="day"}`]:
          "0.9x80 0.91x40",
      },
      SpendgateStateNotTold: {
        [`${name("spendgate.reservations.open")}{spendgate_resource_type="llm"}`]: "1x80 _x40",
      },
      SpendgateAlertsFail: {
        [`${name("spendgate.alerts")}{spendgate_alert_kind="quota_warning", spendgate_outcome="failed"}`]:
          "_x90 1 2 3 4 5 5x25",
        [`${name("spendgate.alerts")}{spendgate_alert_kind="quota_warning", spendgate_outcome="delivered"}`]:
          "0+5x120",
      },
    };
    expect(Object.keys(bad)).toEqual(METRIC_RULES.map((rule) => rule.name));
    compute(
      Object.entries(bad).map(([rule, series]) => {
        const firing = (alert: string) =>
          `count(ALERTS{alertname=~"${alert}", alertstate="firing"})`;
        return {
          series: { ...told, ...series },
          expect: [
            { at: "75m", expression: firing(".*"), value: rule === "SpendgateGateSlow" ? 1 : null },
            { at: "60m", expression: firing(".*"), value: null },
            { at: "98m", expression: firing(rule), value: 1 },
            { at: "98m", expression: `count(count by (alertname) (ALERTS))`, value: 1 },
          ],
        };
      }),
    );
  });
});

/** A value that the matchers of the dashboard take. */
function takenBy(attribute: string): string {
  return attribute === "dbProcedure" ? "spend.reserve" : attribute;
}

const NUMBERS = [20, 21, 23, 700, 701, 1700];
const TIMES = [1184];
const TEXTS = [25];
const BOOLEANS = [16];

describe("SQL", () => {
  const role = `grafana_${randomBytes(4).toString("hex")}`;
  let database: TestDatabase;
  let sql: Sql;

  beforeAll(async () => {
    database = await cloneDatabase();
    await fill(database.sql);
    const page = blocksOf(PAGE).filter(({ language }) => language === "sql");
    for (const statement of page.flatMap(({ code }) => statementsOf(code))) {
      await database.sql.unsafe(statement.replace(/\bgrafana\b/g, role));
    }
    const url = Object.assign(new URL(database.url), { username: role, password: "<password>" });
    sql = postgres(url.href, { max: 1, onnotice: () => {} });
  });
  afterAll(async () => {
    await sql?.end();
    await database.sql.unsafe(`drop owned by ${role}`);
    await database.sql.unsafe(`drop role ${role}`);
    await database.close();
  });

  const ask = (text: string, tenant = "") =>
    sql.unsafe(
      text
        .replace(
          /\$__timeFilter\(([\w.]+)\)/g,
          `$1 BETWEEN '${new Date(Date.now() - 90 * 86_400_000).toISOString()}' AND '${new Date().toISOString()}'`,
        )
        // biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana's syntax.
        .replaceAll("${tenant:sqlstring}", `'${tenant}'`),
    );

  const panels = panelsOf(BOARDS.database).map((panel) => [panel.title, panel] as const);

  it.each(panels)(
    "%s: the query answers the columns that its panel takes",
    async (title, { type, targets }) => {
      const { rawSql = "", format } = targets?.[0] ?? {};
      expect(rawSql).not.toMatch(/\$__(?!timeFilter\()/);
      const answer = await ask(rawSql);
      expect(answer.length, title).toBeGreaterThan(0);
      const columns = answer.columns.map((column) => ({
        name: column.name as string,
        type: column.type as number,
      }));
      if (type === "timeseries") {
        expect(format).toBe("time_series");
        const [time, metric, value, ...others] = columns;
        expect([time?.name, metric?.name]).toEqual(["time", "metric"]);
        expect(TIMES).toContain(time?.type);
        expect(TEXTS).toContain(metric?.type);
        expect(NUMBERS).toContain(value?.type);
        expect(others).toEqual([]);
        const times = answer.map((row) => row.time.getTime());
        expect(times).toEqual([...times].sort((a, b) => a - b));
        for (const row of answer) expect(row.metric).not.toBeNull();
      } else if (type === "stat") {
        expect(columns).toHaveLength(1);
        expect(NUMBERS).toContain(columns[0]?.type);
        expect(answer).toHaveLength(1);
        expect(Object.values(answer[0] ?? {})[0]).not.toBeNull();
      } else {
        expect(type).toBe("table");
        for (const column of columns) {
          expect([...NUMBERS, ...TIMES, ...TEXTS, ...BOOLEANS], column.name).toContain(column.type);
        }
        expect(new Set(columns.map((column) => column.name)).size).toBe(columns.length);
      }
    },
  );

  it("a part of a tenant's name leaves its rows alone, and a name that nobody has leaves none", async () => {
    const tenants = panels.find(([title]) => title === "Tenants")?.[1].targets?.[0]?.rawSql ?? "";
    const all = await ask(tenants);
    const some = await ask(tenants, "LaBs");
    expect(some.length).toBeGreaterThan(0);
    expect(some.length).toBeLessThanOrEqual(all.length);
    expect(some.filter(({ tenant }) => !tenant.includes("Labs"))).toEqual([]);
    expect(await ask(tenants, "nobody")).toEqual([]);
  });

  it("the spend that is shown is the ledger's, of all tenants", async () => {
    const spent = panels.find(([title]) => title === "Spent")?.[1].targets?.[0]?.rawSql ?? "";
    const [shown] = await ask(spent);
    const [ledger] = await database.sql`
      select sum(cost_usd) as usd, count(distinct tenant_id)::int as tenants from spend.cost_events
      where occurred_at > now() - interval '90 days'`;
    expect(ledger?.tenants).toBeGreaterThan(10);
    // Hours count from their start.
    expect(Number(shown?.usd) / Number(ledger?.usd)).toBeGreaterThan(0.98);
    expect(Number(shown?.usd) / Number(ledger?.usd)).toBeLessThan(1.02);
  });

  it("rules answer one number each: 0 where all is right, more where something is wrong", async () => {
    const answers: Record<string, number> = {};
    for (const { title, data } of rulesOf("database")) {
      const answer = await ask(data[0]?.model.rawSql ?? "");
      expect(answer, title).toHaveLength(1);
      expect(answer.columns).toHaveLength(1);
      expect(NUMBERS).toContain(answer.columns[0]?.type);
      answers[title] = Number(Object.values(answer[0] ?? {})[0]);
    }
    expect(answers).toMatchObject({
      SpendgateMaintenanceLate: 0,
      SpendgateHoldsOverdue: 1,
      SpendgateAlertsUndelivered: 0,
      SpendgateVerificationFailed: 1,
    });
    expect(answers.SpendgatePricesOld).toBeGreaterThanOrEqual(0);

    await database.sql`update spend.alert_deliveries set created_at = now() - interval '1 hour'`;
    await database.sql`update spend_private.job_runs set done_at = now() - interval '2 hours'`;
    const again = async (title: string) => {
      const rule = rulesOf("database").find((each) => each.title === title);
      return Number(Object.values((await ask(rule?.data[0]?.model.rawSql ?? ""))[0] ?? {})[0]);
    };
    expect(await again("SpendgateAlertsUndelivered")).toBeGreaterThan(0);
    expect(await again("SpendgateMaintenanceLate")).toBe(1);
  });

  it("the role reads what the page grants, and nothing else; it writes nothing and calls nothing that does", async () => {
    const granted = await sql`
      select format('%I.%I', n.nspname, c.relname) as name, c.relkind
      from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
      where n.nspname in ('spend', 'spend_private', 'auth', 'public') and c.relkind in ('r', 'v', 'p', 'm')
        and has_any_column_privilege(c.oid, 'select') order by 1`;
    expect(granted.map((relation) => relation.name)).toEqual([
      "spend.alert_deliveries",
      "spend.alerts",
      "spend.cost_events",
      "spend.current_prices",
      "spend.hourly_costs",
      "spend.prices",
      "spend.problems",
      "spend.refusal_counts",
      "spend.refusals_by_hour",
      "spend.tenants",
      "spend_private.cost_rollups",
      "spend_private.events_by_hour",
    ]);
    const [writes] = await sql`
      select count(*)::int as relations from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
      where n.nspname in ('spend', 'spend_private', 'auth') and c.relkind in ('r', 'v', 'p', 'm')
        and (has_any_column_privilege(c.oid, 'insert') or has_any_column_privilege(c.oid, 'update')
          or has_table_privilege(c.oid, 'delete') or has_table_privilege(c.oid, 'truncate'))`;
    expect(writes?.relations).toBe(0);
    const functions = await sql`
      select p.oid::regprocedure::text as name, p.provolatile
      from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
      where n.nspname in ('spend', 'spend_private') and has_function_privilege(p.oid, 'execute') order by 1`;
    expect(functions.map((each) => each.name)).toEqual([
      "spend.health()",
      "spend.maintenance_status()",
      "spend.newest_price_from()",
      "spend.open_holds(integer,integer)",
      "spend.quotas_near_limit(numeric,integer,integer)",
      "spend_private.rolled_up_before()",
    ]);
    expect(functions.filter((each) => each.provolatile === "v")).toEqual([]);
    // Whoever turns read only off has no more rights.
    await sql`set default_transaction_read_only = off`;
    await expect(sql`update spend.alerts set delivered_at = now()`).rejects.toThrow(
      "permission denied",
    );
    await expect(sql`select spend.maintain()`).rejects.toThrow("permission denied");
    await expect(sql`set role service_role`).rejects.toThrow("permission denied");
    await expect(sql`select * from auth.users`).rejects.toThrow("permission denied");
    await sql`reset default_transaction_read_only`;
  });
});

/** The demonstration's fleet, and one of everything that it lacks. */
async function fill(sql: Sql): Promise<void> {
  for (const person of ["owner", "member", "operator"]) {
    await sql`insert into auth.users (id, email) values (gen_random_uuid(), ${`${person}@example.com`})`;
  }
  await sql.begin(async (transaction) => {
    await transaction`select set_config('demo.tenants', '20', true)`;
    await transaction.unsafe(read("scripts/demo/fleet.sql"));
  });
  for (let run = 0; run < 3; run++) await sql`select spend.maintain()`;
  await sql`select spend_private.record_problem('verify', 'quota 1', 'spent_usd is 1 and should be 2', '{}')`;
  await sql`select * from spend.claim_deliveries(${sql.json([{ name: "hook", kind: "webhook" }])})`;
  // Held, and its time is over.
  await sql`
    update spend.reservations set created_at = now() - interval '2 hours', expires_at = now() - interval '1 minute'
    where id = (select id from spend.reservations where status = 'held' limit 1)`;
}
