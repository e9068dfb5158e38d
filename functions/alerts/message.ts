// What an alert says, in words: every channel that people read shows this, in its own form.
import type { AlertKind } from "../_shared/runtime/settings.ts";
import type { Alert, OtherAlert, QuotaAlert } from "./alert.ts";

/** `critical`: the books may be wrong. `error`: calls are refused, or work is not done. `warning`: they may soon be. */
export type Severity = "critical" | "error" | "warning";

export interface Message {
  /** One line, without a full stop. */
  title: string;
  sentences: string[];
  fields: { name: string; value: string }[];
  severity: Severity;
  /** A screen of the dashboard, where it is known where that is. */
  link?: { text: string; url: string };
}

const SEVERITIES: Record<AlertKind, Severity> = {
  quota_warning: "warning",
  quota_exceeded: "error",
  forecast_exceeded: "warning",
  unusual_spend: "warning",
  reservations_expired: "warning",
  settle_failed: "error",
  sandbox_orphaned: "warning",
  price_missing: "error",
  verification_failed: "critical",
  job_failed: "error",
};

export function toMessage(alert: Alert, dashboardUrl?: string): Message {
  const message = "details" in alert ? ofQuota(alert) : ofOther(alert);
  return {
    ...message,
    severity: SEVERITIES[alert.kind],
    ...(dashboardUrl && {
      link: {
        text: "Open the dashboard",
        url: `${dashboardUrl.replace(/\/+$/, "")}/#${screenOf(alert)}`,
      },
    }),
  };
}

type Words = Pick<Message, "title" | "sentences" | "fields">;

function ofQuota(alert: QuotaAlert): Words {
  const { details } = alert;
  const [limit, spent, held] = [details.limit_usd, details.spent_usd, details.reserved_usd].map(
    money,
  );
  const quota = `the ${limitName(alert)}`;
  const end = moment(details.period_end, alert);
  const until = end ?? "no end: this limit has no period";
  return {
    ...said(),
    fields: [
      { name: whoseField(alert), value: whose(alert) },
      { name: "Quota", value: `${limitName(alert)} (quota ${details.quota_id})` },
      { name: "Spent", value: `${spent}` },
      { name: "Held", value: `${held}` },
      { name: "Limit", value: `${limit} (${details.utilization_percent} % is spent or held)` },
      { name: "Until", value: until },
      ...expected(),
      ...crossedBy(alert),
    ],
  };

  function said(): Pick<Words, "title" | "sentences"> {
    const state = `${spent} of ${limit} is spent, and ${held} is held by calls under way.`;
    if (alert.kind === "forecast_exceeded") {
      const soon = moment(alert.facts.exhausted_at, alert);
      return {
        title: `${whose(alert)}: ${quota} is expected to be used up before its period ends`,
        sentences: [
          `At the present rate ${money(alert.facts.expected_usd)} is spent by the end of the period; the limit is ${limit}.`,
          ...(soon ? [`The limit is reached about ${soon}.`] : []),
          state,
        ],
      };
    }
    const remedy = end ? `Raise the limit, or wait until ${end}.` : "Raise the limit.";
    if (alert.kind === "quota_warning") {
      return {
        title: `${whose(alert)}: ${share(alert.threshold)} of ${quota} is spent`,
        sentences: [
          state,
          end ? `The period ends on ${end}.` : "The limit has no period: nothing resets it.",
        ],
      };
    }
    return alert.threshold < 1
      ? {
          title: `${whose(alert)}: a call was refused by ${quota}`,
          sentences: ["What is left of the limit was less than the call may cost.", state, remedy],
        }
      : { title: `${whose(alert)}: ${quota} is used up`, sentences: [state, remedy] };
  }

  function expected(): Message["fields"] {
    if (alert.kind !== "forecast_exceeded") return [];
    const { expected_usd, exhausted_at, method } = alert.facts;
    const soon = moment(exhausted_at, alert);
    return [
      { name: "Expected", value: money(expected_usd) },
      ...(soon ? [{ name: "Reached", value: soon }] : []),
      ...(method ? [{ name: "Method", value: line(method.replaceAll("_", " "), 60) }] : []),
    ];
  }
}

function ofOther(alert: OtherAlert): Words {
  const { facts } = alert;
  const subject = line(facts.subject ?? alert.subject ?? "", 100);
  const about = alert.tenant_id === null ? "" : `${tenantOf(alert)}: `;
  const title = about + titleOf(alert, subject);
  return {
    title: title.slice(0, 1).toUpperCase() + title.slice(1),
    sentences: [asSentence(line(facts.message, 500))],
    fields: [
      ...(alert.tenant_id === null ? [] : [{ name: "Tenant", value: tenantOf(alert) }]),
      ...(facts.job ? [{ name: "Job", value: line(facts.job, 100) }] : []),
      ...(subject ? [{ name: "About", value: subject }] : []),
      ...simple(facts.details ?? {}),
      { name: "Found", value: moment(alert.created_at, alert) as string },
    ],
  };
}

function titleOf({ kind, facts }: OtherAlert, subject: string): string {
  const of = (words: string, whom = subject) => (whom ? `${words}: ${whom}` : words);
  switch (kind) {
    case "unusual_spend":
      return of("spend is unusually high");
    case "reservations_expired":
      return "reservations expired before their calls were booked";
    case "settle_failed":
      return of("calls could not be booked");
    case "sandbox_orphaned":
      return of("a sandbox ran without a context");
    case "price_missing":
      return of("a price is missing");
    case "verification_failed":
      return of("balances differ from the ledger");
    case "job_failed":
      return of("a maintenance job failed", line(facts.job ?? subject, 100));
  }
}

const FIELDS_OF_DETAILS = 6;

/** Details that are a word or a number, under their names in words. */
function simple(details: Record<string, unknown>): Message["fields"] {
  return Object.entries(details)
    .filter(([, value]) => ["string", "number", "boolean"].includes(typeof value) && value !== "")
    .slice(0, FIELDS_OF_DETAILS)
    .map(([name, value]) => {
      const isMoney = /(^|_)usd$/.test(name) && /^-?\d+(\.\d+)?$/.test(String(value));
      const words = line(name.replace(/_usd$/, "").replaceAll("_", " "), 60);
      return {
        name: words === "usd" ? "Amount" : words.slice(0, 1).toUpperCase() + words.slice(1),
        value: isMoney ? money(String(value)) : line(String(value), 200),
      };
    });
}

const tenantOf = ({ tenant_id, tenant_name }: Alert) =>
  line(tenant_name || `tenant ${tenant_id}`, 100);

/** Whom a quota limits. */
function whose(alert: QuotaAlert): string {
  const { scope, scope_id } = alert.details;
  switch (scope) {
    case "platform":
      return "The platform";
    case "tenant":
      return tenantOf(alert);
    case "user":
      return `${line(alert.user_email ?? `user ${scope_id}`, 100)} of ${tenantOf(alert)}`;
    default:
      return `${scope} ${line(scope_id ?? "", 100)} of ${tenantOf(alert)}`;
  }
}

function whoseField({ details }: QuotaAlert): string {
  return details.scope === "user" ? "User" : details.scope === "tenant" ? "Tenant" : "For";
}

/** Whose call crossed a threshold of the platform. */
function crossedBy({ details, caused_by_tenant_id }: QuotaAlert): Message["fields"] {
  return details.scope === "platform" && caused_by_tenant_id
    ? [{ name: "By a call of", value: `tenant ${caused_by_tenant_id}` }]
    : [];
}

const PERIODS: Record<string, string> = {
  hour: "hourly",
  day: "daily",
  week: "weekly",
  month: "monthly",
};
const RESOURCES: Record<string, string> = {
  llm: "LLM calls",
  e2b: "sandboxes",
  all: "LLM calls and sandboxes",
};

/** `monthly limit for LLM calls` */
function limitName({ details }: QuotaAlert): string {
  const { period, resource_type, task, product } = details;
  const parts = [
    `${PERIODS[period] ?? period} limit for ${RESOURCES[resource_type] ?? resource_type}`,
    ...(product ? [`of ${line(product, 100)}`] : []),
    ...(task ? [`in the task ${line(task, 100)}`] : []),
  ];
  return parts.join(" ");
}

/** A share as the quota has it: `80 %`, `99.5 %`. */
const share = (threshold: number) => `${Number((threshold * 100).toFixed(1))} %`;

/** Digits that are shown of what is less than a dollar, from the first that is not zero on. */
const DIGITS = 4;

/**
 * An amount as people write it. Two decimals at least, four at most; of less than a dollar the first four digits that are not
 * zeros, so that nothing that was spent is shown as nothing. The rest is cut off: what is nearly spent is not spent.
 */
export function money(usd: string): string {
  const [, sign = "", whole = "0", decimals = ""] = /^(-?)(\d+)(?:\.(\d+))?/.exec(plain(usd)) ?? [];
  const zeros = /^0*/.exec(decimals)?.[0].length ?? 0;
  const kept = decimals.slice(0, /^0+$/.test(whole) ? zeros + DIGITS : DIGITS).replace(/0+$/, "");
  const grouped = whole.replace(/^0+(?=\d)/, "").replace(/\B(?=(\d{3})+$)/g, ",");
  return `${sign}$${grouped}.${kept.padEnd(2, "0")}`;
}

/** Without an exponent. */
const plain = (usd: string) => (/e/i.test(usd) ? Number(usd).toFixed(12) : usd);

/** A moment in the tenant's time zone: `1 December 2026, 00:00 (Europe/Berlin)`. */
function moment(time: string | null | undefined, { tenant_time_zone }: Alert): string | undefined {
  const at = Date.parse(time ?? "");
  if (Number.isNaN(at)) return undefined;
  const zone = knownZone(tenant_time_zone);
  const parts = new Intl.DateTimeFormat("en-GB", {
    timeZone: zone,
    year: "numeric",
    month: "long",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).formatToParts(at);
  const part = (type: string) => parts.find((each) => each.type === type)?.value;
  const day = `${part("day")} ${part("month")} ${part("year")}`;
  return `${day}, ${part("hour")}:${part("minute")} ${zone === "UTC" ? "UTC" : `(${zone})`}`;
}

/** Postgres knows zones that this runtime does not. */
function knownZone(zone: string | null | undefined): string {
  try {
    new Intl.DateTimeFormat("en-GB", { timeZone: zone ?? "UTC" });
    return zone ?? "UTC";
  } catch {
    return "UTC";
  }
}

/** One line of at most so many characters: names and messages come from others. */
export function line(text: string, most: number): string {
  const flat = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, " ").trim();
  const characters = [...flat];
  return characters.length <= most ? flat : `${characters.slice(0, most - 1).join("")}…`;
}

const asSentence = (text: string) => (/[.!?…]$/.test(text) ? text : `${text}.`);

/** The screen that shows what it is about, with the tenant and the quota in its address: see dashboard/src/router.tsx. */
function screenOf(alert: Alert): string {
  const id = alert.tenant_id;
  if ("details" in alert) {
    return id === null
      ? `/operator/limits?quota=${alert.quota_id}`
      : `/tenants/${id}?quota=${alert.quota_id}`;
  }
  const tenant = id === null ? undefined : `/tenants/${id}`;
  const day = /^\d{4}-\d\d-\d\d/.exec(alert.subject ?? "")?.[0];
  switch (alert.kind) {
    case "unusual_spend":
      return tenant ? `${tenant}/usage${day ? `?from=${day}&to=${day}` : ""}` : "/operator/unusual";
    case "reservations_expired":
      return tenant ? `${tenant}/calls?status=expired` : "/operator/holds";
    case "settle_failed":
      return tenant ? `${tenant}/calls` : "/operator/holds";
    case "sandbox_orphaned":
      return tenant ?? "/operator/holds";
    case "price_missing":
      return tenant ? `${tenant}/calls` : "/operator/prices";
    case "verification_failed":
    case "job_failed":
      return "/operator/health";
  }
}
