// Members, what they spend, and the limits of their own.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Pencil, Plus, Trash2 } from "lucide-react";
import { type ReactNode, useState } from "react";
import {
  type Member,
  membersQuery,
  type Quota,
  setUserQuota,
  type UserLimit,
  userQuotasQuery,
} from "../data/feeds.ts";
import { formatUsd } from "../lib/money.ts";
import { seesAll, setsLimits, useIdentity, useTenant } from "../shell/identity.ts";
import { ChangeDialog } from "../ui/dialog.tsx";
import { type Limit, LimitDialog } from "../ui/limit_dialog.tsx";
import { shortId } from "../ui/names.ts";
import { NumberedPages } from "../ui/pages.tsx";
import { Badge, Button, Field, Money, Panel, Screen, Search, Select } from "../ui/parts.tsx";
import { periodName, QuotaBar, quotaName, resourceName } from "../ui/quota_bar.tsx";
import { Empty, Loaded } from "../ui/states.tsx";
import { type Column, DataTable } from "../ui/table.tsx";

const PAGE = 25;

interface Editing {
  member: Member;
  /** Left out where a limit is added. */
  quota?: Quota;
  isRemoval?: boolean;
}

export function People() {
  const tenant = useTenant();
  const identity = useIdentity();
  const { search = "", page = 1 } = useSearch({ from: "/tenants/$tenantId/people" });
  const navigate = useNavigate({ from: "/tenants/$tenantId/people" });
  const members = useQuery(membersQuery(tenant.tenant_id, search, PAGE, (page - 1) * PAGE));
  const ids = members.data?.map(({ user_id }) => user_id) ?? [];
  const quotas = useQuery(userQuotasQuery(tenant.tenant_id, ids));
  const [editing, setEditing] = useState<Editing>();
  const maySet = setsLimits(tenant, identity);

  const columns: Column<Member>[] = [
    {
      id: "who",
      header: "Person",
      isTitle: true,
      cell: (member) => (
        <span className="flex flex-wrap items-center gap-x-2 gap-y-1">
          <Link
            to="/tenants/$tenantId/usage"
            params={{ tenantId: tenant.tenant_id }}
            search={{ user: member.user_id }}
            className="font-medium text-accent wrap-anywhere underline-offset-2 hover:underline"
          >
            {nameOf(member)}
          </Link>
          {member.role !== "member" && <Badge>{member.role}</Badge>}
          {member.user_id === identity.user_id && <Badge tone="accent">you</Badge>}
        </span>
      ),
    },
    {
      id: "today",
      header: "Today",
      align: "right",
      cell: ({ today_usd }) => <Money usd={today_usd} />,
    },
    {
      id: "month",
      header: "This month",
      align: "right",
      cell: ({ month_usd }) => <Money usd={month_usd} />,
    },
    {
      id: "to_date",
      header: "Last month, to this day",
      align: "right",
      cell: ({ previous_month_to_date_usd }) => (
        <Money usd={previous_month_to_date_usd} className="text-muted" />
      ),
    },
    {
      id: "previous",
      header: "Last month",
      align: "right",
      cell: ({ previous_month_usd }) => <Money usd={previous_month_usd} className="text-muted" />,
    },
    {
      id: "limits",
      header: "Own limits",
      className: "min-w-72",
      cell: (member) => (
        <Limits
          member={member}
          quotas={quotas.data?.filter(({ scope_id }) => scope_id === member.user_id)}
          maySet={maySet}
          edit={setEditing}
        />
      ),
    },
  ];

  return (
    <Screen
      title="People"
      note={`Members of ${tenant.name}. A call must fit into the person's own limits and into the tenant's.`}
      controls={
        seesAll(tenant, identity) && (
          <Search
            label="Find a person"
            value={search}
            placeholder="name@example.com"
            onValue={(text) => navigate({ search: { search: text || undefined }, replace: true })}
          />
        )
      }
    >
      <Panel>
        <Loaded query={members} skeleton={6}>
          {(rows) =>
            rows.length > 0 ? (
              <DataTable
                label="People"
                columns={columns}
                rows={rows}
                rowKey={({ user_id }) => user_id}
              />
            ) : (
              <Empty title={search ? "Nobody is called so" : "No members yet"}>
                {!search && (
                  <p>
                    Insert a row into <code>spend.tenant_members</code>; the plan's limits come with
                    it.
                  </p>
                )}
              </Empty>
            )
          }
        </Loaded>
        {members.data?.[0] && (
          <NumberedPages
            label="Pages of people"
            page={page}
            size={PAGE}
            total={members.data[0].total}
            onPage={(next) => navigate({ search: (old) => ({ ...old, page: next }) })}
          />
        )}
      </Panel>
      {editing?.isRemoval && editing.quota ? (
        <RemoveLimit
          member={editing.member}
          quota={editing.quota}
          onClose={() => setEditing(undefined)}
        />
      ) : (
        editing && <SetLimit {...editing} onClose={() => setEditing(undefined)} />
      )}
    </Screen>
  );
}

function nameOf({ email, user_id }: Member): string {
  return email ?? shortId(user_id);
}

function Limits({
  member,
  quotas,
  maySet,
  edit,
}: {
  member: Member;
  quotas: Quota[] | undefined;
  maySet: boolean;
  edit: (editing: Editing) => void;
}) {
  const who = nameOf(member);
  return (
    <div className="space-y-2 text-left">
      {quotas?.map((quota) => {
        const name = quotaName(quota);
        // Limits of a task or a model are the operator's: set_user_quota knows none.
        const mayChange = maySet && quota.task === null && quota.product === null;
        return (
          <div key={quota.quota_id}>
            <p className="mb-1 flex min-h-7 items-center gap-1.5 text-xs text-muted">
              {name}
              {quota.source === "plan" && <Badge>plan</Badge>}
              {mayChange && (
                <span className="ml-auto flex">
                  <IconButton
                    name={`Change ${name} of ${who}`}
                    onClick={() => edit({ member, quota })}
                  >
                    <Pencil aria-hidden className="size-3.5" />
                  </IconButton>
                  {quota.source === "manual" && (
                    <IconButton
                      name={`Remove ${name} of ${who}`}
                      onClick={() => edit({ member, quota, isRemoval: true })}
                    >
                      <Trash2 aria-hidden className="size-3.5" />
                    </IconButton>
                  )}
                </span>
              )}
            </p>
            <QuotaBar quota={quota} label={`${who}: ${name}`} />
          </div>
        );
      })}
      {maySet ? (
        <Button
          kind="quiet"
          className="-ml-2 px-2"
          aria-label={`Add a limit for ${who}`}
          onClick={() => edit({ member })}
        >
          <Plus aria-hidden className="size-3.5" /> Add a limit
        </Button>
      ) : (
        quotas?.length === 0 && <span className="text-muted">none</span>
      )}
    </div>
  );
}

function IconButton({
  name,
  onClick,
  children,
}: {
  name: string;
  onClick: () => void;
  children: ReactNode;
}) {
  return (
    <Button
      kind="quiet"
      className="min-h-7 px-1.5"
      aria-label={name}
      title={name}
      onClick={onClick}
    >
      {children}
    </Button>
  );
}

function useSetQuota(): (limit: UserLimit) => Promise<void> {
  const { mutateAsync } = useMutation({ mutationFn: setUserQuota });
  return async (limit) => {
    await mutateAsync(limit);
  };
}

function SetLimit({ member, quota, onClose }: Editing & { onClose: () => void }) {
  const { tenant_id } = useTenant();
  const existing = useQuery(userQuotasQuery(tenant_id, [member.user_id]));
  const [type, setType] = useState<Quota["resource_type"]>(quota?.resource_type ?? "llm");
  const [period, setPeriod] = useState<Quota["period"]>(quota?.period ?? "month");
  const set = useSetQuota();
  const found = existing.data?.find(
    (row) =>
      row.resource_type === type &&
      row.period === period &&
      row.task === null &&
      row.product === null,
  );
  return (
    <LimitDialog
      title={`${quota ? "Change a" : "Set a"} limit of ${nameOf(member)}`}
      description="The next call counts against it. What was spent in the period counts too."
      name={`${resourceName(type)} ${periodName(period)}`}
      before={found && limitOf(found)}
      start={quota && limitOf(quota)}
      spent={found?.spent_usd}
      noLimit="no limit of their own"
      choices={
        <>
          <Field label="Of">
            {(field) => (
              <Select
                {...field}
                value={type}
                disabled={quota !== undefined}
                options={(["llm", "e2b", "all"] as const).map((value) => [
                  value,
                  resourceName(value),
                ])}
                onValue={setType}
              />
            )}
          </Field>
          <Field label="Period">
            {(field) => (
              <Select
                {...field}
                value={period}
                disabled={quota !== undefined}
                options={(["hour", "day", "week", "month", "lifetime"] as const).map((value) => [
                  value,
                  periodName(value),
                ])}
                onValue={setPeriod}
              />
            )}
          </Field>
        </>
      }
      action={(usd) => `Set ${usd}`}
      change={(limit) =>
        set({ tenant_id, user_id: member.user_id, resource_type: type, period, ...limit })
      }
      onClose={onClose}
    />
  );
}

/** What owners set of a limit: whether it refuses is the operator's. */
function limitOf({ limit_usd, warning_thresholds }: Quota): Limit {
  return { limit_usd, warning_thresholds };
}

function RemoveLimit({
  member,
  quota,
  onClose,
}: {
  member: Member;
  quota: Quota;
  onClose: () => void;
}) {
  const { tenant_id } = useTenant();
  const set = useSetQuota();
  return (
    <ChangeDialog
      title={`Remove a limit of ${nameOf(member)}`}
      description="The tenant's limits, and the plan's, hold all the same."
      differences={[
        {
          name: quotaName(quota),
          before: formatUsd(quota.limit_usd),
          after: "the plan's, or none of their own",
        },
      ]}
      action="Remove the limit"
      isDanger
      change={() =>
        set({
          tenant_id,
          user_id: member.user_id,
          resource_type: quota.resource_type,
          period: quota.period,
          limit_usd: null,
        })
      }
      onClose={onClose}
    />
  );
}
