// npm run demo -- --fleet: sixty tenants with three months of spend, so that every screen of the dashboard has something
// to show. Needs the stack that runs (npm start).
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import postgres, { type Sql } from "postgres";
import { PROJECT } from "../stack/paths.ts";

/** They may sign in; the others of the fleet only spend. */
export const FLEET_PASSWORD = "correct horse battery";
export const FLEET_PEOPLE = ["owner", "member", "operator"].map((name) => `${name}@example.com`);

export interface FleetOptions {
  /** Origin of Auth. */
  url: string;
  publishableKey: string;
  databaseUrl: string;
  /** 60 when left out. */
  tenants?: number;
}

/** Fills the stack. Answers false when the fleet is there already. */
export async function makeFleet({
  url,
  publishableKey,
  databaseUrl,
  tenants = 60,
}: FleetOptions): Promise<boolean> {
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} });
  try {
    const [plan] = await sql`select from spend.plans where id = 'business'`;
    if (plan) return false;
    for (const email of FLEET_PEOPLE) {
      const response = await fetch(`${url}/auth/v1/signup`, {
        method: "POST",
        headers: { apikey: publishableKey, "content-type": "application/json" },
        body: JSON.stringify({ email, password: FLEET_PASSWORD }),
      });
      // 422: there is such a user already.
      if (!response.ok && response.status !== 422)
        throw new Error(`${email}: ${response.status} ${await response.text()}`);
    }
    const script = await readFile(join(PROJECT, "scripts/demo/fleet.sql"), "utf8");
    await sql.begin(async (transaction) => {
      await transaction`select set_config('demo.tenants', ${tenants.toString()}, true)`;
      await transaction.unsafe(script);
    });
    // The roll-ups, the alerts and the rest, as the schedule would.
    for (let run = 0; run < 3; run++) await sql`select spend.maintain()`;
    await deliverAlerts(sql);
    await sql`analyze`;
    return true;
  } finally {
    await sql.end();
  }
}

/** Hands the alerts to their channels as if somebody listened there, though not always. */
async function deliverAlerts(sql: Sql): Promise<void> {
  for (;;) {
    const claimed = await sql<{ delivery_id: string; channel: string }[]>`
      select delivery_id, channel from spend.claim_deliveries(max_rows => 500)`;
    if (claimed.length === 0) break;
    for (const [place, { delivery_id, channel }] of claimed.entries()) {
      const isGone = channel === "Finance" && place % 2 === 0;
      const isBusy = channel === "#spend" && place % 5 === 0;
      const error = isGone
        ? "550 there is no such mailbox"
        : isBusy
          ? "503 Service Unavailable"
          : null;
      await sql`select spend.finish_delivery(${delivery_id}, error => ${error}, is_final => ${isGone})`;
    }
  }
  await sql`
    update spend.alerts as a set acknowledged_at = now(), acknowledged_by = u.id
    from auth.users as u
    where u.email = 'owner@example.com' and a.id in (
      select min(b.id) from spend.alerts as b join spend.tenants as t on t.id = b.tenant_id where t.name = 'Northwind Labs'
    )`;
}
