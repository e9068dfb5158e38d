// What a database with Spendgate says of itself, however it was asked: over SQL or the Data API.
import { manifest } from "../assets.ts";
import { count } from "../text.ts";
import { type Finding, ok, warning, wrong } from "./findings.ts";

export interface State {
  contractVersion: number | null;
  maintenance: { is_running: boolean | null; remedy: string | null } | null;
  /** Since when the newest price is in force; null: there are no prices. */
  newestPrice: string | null;
  operators: number;
  tenants: number;
  undeliveredAlerts: number;
  oldestUndelivered: string | null;
}

const DAY_MS = 86_400_000;
/** Providers change prices several times a year. */
const OLD_PRICES_MS = 180 * DAY_MS;

export function findingsOf(state: State, now = Date.now()): Finding[] {
  return [
    contractFinding(state.contractVersion),
    maintenanceFinding(state.maintenance),
    priceFinding(state.newestPrice, now),
    state.tenants > 0
      ? ok("tenants", count(state.tenants, "tenant"))
      : warning(
          "tenants",
          "There is no tenant, so every call is refused.",
          "Insert into spend.tenants and spend.tenant_members, or attach your own tables.",
        ),
    state.operators > 0
      ? ok("operators", count(state.operators, "operator"))
      : warning(
          "operators",
          "There is no operator: nobody sees more than a tenant in the dashboard.",
          "insert into spend.operators (user_id, role) values ('<user>', 'editor');",
        ),
    ...alertFindings(state, now),
  ];
}

function contractFinding(version: number | null): Finding {
  const wanted = manifest.contractVersion;
  if (version === wanted) return ok("contract", `contract version ${version}`);
  const isOlder = version === null || version < wanted;
  return wrong(
    "contract",
    `The database has contract version ${version ?? "none"}, this version of Spendgate needs ${wanted}.`,
    isOlder
      ? "Run `npx spendgate upgrade` and `npx supabase db push`, then deploy the functions."
      : "Run `npx spendgate@latest upgrade`, then deploy the functions.",
  );
}

function maintenanceFinding(status: State["maintenance"]): Finding {
  if (status === null) {
    return wrong("maintenance", "Maintenance cannot be asked.", "Run `npx supabase db push`.");
  }
  if (status.remedy === null) return ok("maintenance", "maintenance runs");
  return wrong(
    "maintenance",
    status.is_running
      ? "Maintenance runs, and leaves something undone."
      : "Maintenance does not run.",
    status.remedy,
  );
}

function priceFinding(newest: string | null, now: number): Finding {
  if (newest === null) {
    return wrong(
      "prices",
      "The database has no prices, so every call is refused.",
      "Run `npx spendgate prices update` and `npx supabase db push`.",
    );
  }
  const day = new Date(newest).toISOString().slice(0, 10);
  if (now - Date.parse(newest) > OLD_PRICES_MS) {
    return warning(
      "prices",
      `The newest price is of ${day}.`,
      "Run `npx spendgate@latest prices update` and `npx supabase db push`.",
    );
  }
  return ok("prices", `newest price of ${day}`);
}

function alertFindings({ undeliveredAlerts, oldestUndelivered }: State, now: number): Finding[] {
  if (oldestUndelivered === null || now - Date.parse(oldestUndelivered) < 3_600_000) return [];
  return [
    warning(
      "alerts",
      `${count(undeliveredAlerts, "alert")} waited for more than an hour to be delivered.`,
      "Set ALERT_WEBHOOK_URL, and call the function alerts every minute.",
    ),
  ];
}
