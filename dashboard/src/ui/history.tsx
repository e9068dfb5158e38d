// Changes as sentences and differences.
import type { Change } from "../data/feeds.ts";
import { formatMoment } from "../lib/time.ts";
import { type NameOf, shortId } from "./names.ts";
import { TenantLink } from "./parts.tsx";
import { quotaName } from "./quota_bar.tsx";
import { type Column, DataTable } from "./table.tsx";

/** Whose names a list of changes tells: who made them, and whose row it was. */
export function usersOfChanges(changes: Change[]): (string | null)[] {
  return changes.flatMap(({ user_id, table_name, old_row, new_row }) => {
    const row = new_row ?? old_row;
    const isOfUser = row?.scope === "user" && table_name === "cost_quotas";
    return [user_id, isOfUser ? row.scope_id : row?.user_id].map((id) =>
      typeof id === "string" ? id : null,
    );
  });
}

/** For operators, who see those of all tenants. */
export function tenantColumn<Row extends { tenant_id: string | null }>(
  names: Record<string, string> | undefined,
): Column<Row>[] {
  if (!names) return [];
  return [
    {
      id: "tenant",
      header: "Tenant",
      cell: ({ tenant_id }) =>
        tenant_id ? (
          <TenantLink id={tenant_id} name={names[tenant_id] ?? shortId(tenant_id)} />
        ) : (
          <span className="text-muted">none</span>
        ),
    },
  ];
}

export function ChangeList({
  changes,
  zone,
  nameOf,
  tenantNames,
}: {
  changes: Change[];
  zone: string;
  nameOf: NameOf;
  tenantNames?: Record<string, string>;
}) {
  const columns: Column<Change>[] = [
    {
      id: "what",
      header: "What",
      isTitle: true,
      cell: (change) => subjectOf(change, nameOf),
    },
    ...tenantColumn<Change>(tenantNames),
    {
      id: "fields",
      header: "Change",
      cell: (change) => (
        <ul className="text-xs">
          {fieldsOf(change).map(([field, before, after]) => (
            <li key={field} className="break-words">
              <span className="text-muted">{field.replaceAll("_", " ")}</span>{" "}
              {before !== undefined && <>{before} → </>}
              <span className="font-medium">{after}</span>
            </li>
          ))}
        </ul>
      ),
    },
    {
      id: "who",
      header: "By",
      cell: ({ user_id, role_name }) =>
        user_id ? nameOf(user_id) : <code className="text-xs">{role_name}</code>,
    },
    {
      id: "when",
      header: "When",
      cell: ({ changed_at }) => (
        <span className="whitespace-nowrap">{formatMoment(changed_at, zone)}</span>
      ),
    },
  ];
  return <DataTable label="Changes" columns={columns} rows={changes} rowKey={({ id }) => id} />;
}

const VERBS = { INSERT: "added", UPDATE: "changed", DELETE: "removed", TRUNCATE: "emptied" };

const TABLES: Record<string, string> = {
  cost_quotas: "Limit",
  plan_quotas: "Limit of a plan",
  tenants: "Tenant",
  tenant_members: "Member",
  prices: "Price",
  plans: "Plan",
  operators: "Operator",
  alert_channels: "Channel",
};

/** "Limit added: LLM calls per month of ada@example.com". */
function subjectOf(change: Change, nameOf: NameOf): string {
  const row = change.new_row ?? change.old_row ?? {};
  const table = TABLES[change.table_name] ?? change.table_name.replaceAll("_", " ");
  const subjects: Record<string, () => string> = {
    cost_quotas: () =>
      quotaName(row as never) + (row.scope === "user" ? ` of ${nameOf(String(row.scope_id))}` : ""),
    plan_quotas: () => `${quotaName(row as never)} of ${row.plan_id}`,
    tenants: () => String(row.name),
    tenant_members: () => nameOf(String(row.user_id)),
    operators: () => nameOf(String(row.user_id)),
    prices: () => `${row.provider}/${row.product}, ${row.meter}`,
    plans: () => String(row.name),
    alert_channels: () => String(row.name),
  };
  const subject = subjects[change.table_name]?.();
  return `${table} ${VERBS[change.command]}${subject ? `: ${subject}` : ""}`;
}

/** What a new or a removed row is worth telling of; the subject has said the rest. */
const TOLD = new Set([
  "limit_usd",
  "role",
  "plan_id",
  "time_zone",
  "usd",
  "effective_from",
  "value",
  "target_hint",
]);

/** Of a change, every field that differs; else those that are told. */
function fieldsOf({ command, old_row, new_row }: Change): [string, string | undefined, string][] {
  const names = Object.keys({ ...old_row, ...new_row });
  return names.flatMap((name): [string, string | undefined, string][] => {
    const before = old_row?.[name];
    const after = new_row?.[name];
    if (command === "UPDATE") {
      const isSame = JSON.stringify(before) === JSON.stringify(after) || name === "plan_version";
      return isSame ? [] : [[name, show(name, before), show(name, after)]];
    }
    const value = after ?? before;
    return TOLD.has(name) && value !== null ? [[name, undefined, show(name, value)]] : [];
  });
}

function show(name: string, value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (/(^|_)usd$/.test(name) && typeof value === "number") return `$${value}`;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
