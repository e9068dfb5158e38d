// Every gated call, newest first, and of each what it was held at and what it cost.
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { bookingsQuery, type Call, callQuery, callsQuery, priceLinesQuery } from "../data/feeds.ts";
import { formatMoment } from "../lib/time.ts";
import { type CallsSearch, STATUSES } from "../router.tsx";
import { seesAll, useIdentity, useTenant } from "../shell/identity.ts";
import { Dialog } from "../ui/dialog.tsx";
import { useNames } from "../ui/names.ts";
import { Pages } from "../ui/pages.tsx";
import { Button, Field, Money, Panel, Screen, Search, Select } from "../ui/parts.tsx";
import { Empty, FirstCall, Loaded } from "../ui/states.tsx";
import { type Column, DataTable } from "../ui/table.tsx";
import { CallStatus, CallsTable } from "./calls_table.tsx";

const PAGE = 50;

export function Calls() {
  const tenant = useTenant();
  const identity = useIdentity();
  const search = useSearch({ from: "/tenants/$tenantId/calls" });
  const navigate = useNavigate({ from: "/tenants/$tenantId/calls" });
  const { status, product, user, before } = search;
  const nameOf = useNames([user]);
  const calls = useQuery(
    callsQuery({
      tenant_id: tenant.tenant_id,
      status,
      product,
      user_id: user,
      before,
      // One more than a page: whether there is a next one.
      top: PAGE + 1,
    }),
  );
  const filter = (change: Partial<CallsSearch>) =>
    navigate({ search: (old) => ({ ...old, before: undefined, ...change }), replace: true });
  const isFiltered = status || product || user;

  return (
    <Screen
      title="Calls"
      note={`${seesAll(tenant, identity) ? "Newest first" : "Your own, newest first"}. Times in ${tenant.time_zone}.`}
      controls={
        <>
          <Search
            label="Model or template"
            value={product ?? ""}
            placeholder="gpt-4o-mini"
            onValue={(text) => filter({ product: text || undefined })}
          />
          <Field label="Status">
            {(field) => (
              <Select
                {...field}
                value={status ?? ""}
                options={[["", "any"], ...STATUSES.map((name) => [name, name] as const)]}
                onValue={(value) => filter({ status: value || undefined })}
              />
            )}
          </Field>
          {isFiltered && (
            <Button
              kind="quiet"
              onClick={() => filter({ status: undefined, product: undefined, user: undefined })}
            >
              Clear
            </Button>
          )}
        </>
      }
    >
      {user && <p className="text-sm text-muted">Of {nameOf(user)} alone.</p>}
      <Panel>
        <Loaded query={calls} skeleton={8}>
          {(rows) => {
            const page = rows.slice(0, PAGE);
            if (page.length === 0 && before) return <Empty title="No older calls" />;
            if (page.length === 0 && isFiltered) return <Empty title="No such calls" />;
            if (page.length === 0) {
              return (
                <Empty title="No calls yet">
                  <FirstCall tenantId={tenant.tenant_id} />
                </Empty>
              );
            }
            return <CallsTable calls={page} />;
          }}
        </Loaded>
        <Pages
          label="Pages of calls"
          position={before ? "Older calls" : "Newest calls"}
          previous={before ? () => window.history.back() : undefined}
          next={
            calls.data && calls.data.length > PAGE
              ? () => navigate({ search: (old) => ({ ...old, before: calls.data[PAGE - 1]?.id }) })
              : undefined
          }
        />
      </Panel>
      {search.call && (
        <CallDialog
          id={search.call}
          onClose={() =>
            navigate({ search: (old) => ({ ...old, call: undefined }), replace: true })
          }
        />
      )}
    </Screen>
  );
}

function CallDialog({ id, onClose }: { id: string; onClose: () => void }) {
  const { tenant_id } = useTenant();
  const call = useQuery(callQuery(tenant_id, id));
  const title = call.data ? `${call.data.provider}/${call.data.product}` : "Call";
  return (
    <Dialog title={title} onClose={onClose}>
      <Loaded query={call} skeleton={6}>
        {(data) =>
          data ? (
            <CallDetails call={data} />
          ) : (
            <Empty title="There is no such call, or you may not see it">
              <p>Calls older than the retention are deleted; their cost stays in the reports.</p>
            </Empty>
          )
        }
      </Loaded>
    </Dialog>
  );
}

function CallDetails({ call }: { call: Call }) {
  const { time_zone } = useTenant();
  const nameOf = useNames([call.user_id]);
  const bookings = useQuery(bookingsQuery(call));
  const booked = bookings.data?.findLast(({ usage }) => usage !== null)?.usage ?? null;
  // Of a call that is held nothing is booked yet: its lines are those of the hold.
  const usage = booked ?? (call.status === "held" ? call.usage_estimate : null);
  const lines = useQuery(priceLinesQuery(call, usage));
  const facts: [string, React.ReactNode][] = [
    ["Status", <CallStatus key="status" call={call} />],
    ["Who", nameOf(call.user_id)],
    ["Task", call.task],
    ...(call.conversation_id ? [["Conversation", call.conversation_id] as [string, string]] : []),
    ["Reserved", formatMoment(call.created_at, time_zone)],
    call.ended_at
      ? ["Ended", formatMoment(call.ended_at, time_zone)]
      : ["Booked at the hold", formatMoment(call.expires_at, time_zone)],
    ...(call.release_reason ? [["Released because", call.release_reason] as [string, string]] : []),
    [
      "Id",
      <code key="id" className="break-all text-xs">
        {call.id}
      </code>,
    ],
  ];
  return (
    <div className="space-y-4">
      <dl className="grid grid-cols-2 gap-3">
        <div className="rounded-md border border-line px-3 py-2">
          <dt className="text-xs text-muted">Held at most</dt>
          <dd className="text-lg font-semibold">
            <Money usd={call.estimated_cost_usd} />
          </dd>
        </div>
        <div className="rounded-md border border-line px-3 py-2">
          <dt className="text-xs text-muted">Cost</dt>
          <dd className="text-lg font-semibold">
            {call.actual_cost_usd === null ? (
              <span className="text-muted">not known yet</span>
            ) : (
              <Money usd={call.actual_cost_usd} />
            )}
          </dd>
        </div>
      </dl>
      <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1 text-sm">
        {facts.map(([name, value]) => (
          <div key={name} className="contents">
            <dt className="text-muted">{name}</dt>
            <dd className="min-w-0 break-words">{value}</dd>
          </div>
        ))}
      </dl>
      {usage && (
        <section aria-label="Price lines">
          <h3 className="text-sm font-semibold">{booked ? "What it cost" : "What it holds"}</h3>
          <p className="mb-1 text-xs text-muted">
            At the general prices of that moment; a negotiated price may differ.
          </p>
          <div className="rounded-md border border-line">
            <Loaded query={lines}>
              {(rows) => (
                <DataTable
                  label="Price lines"
                  columns={PRICE_COLUMNS}
                  rows={rows}
                  rowKey={(line) => line.meter}
                />
              )}
            </Loaded>
          </div>
        </section>
      )}
      {bookings.data && bookings.data.length > 1 && (
        <section aria-label="Bookings">
          <h3 className="mb-1 text-sm font-semibold">Bookings</h3>
          <ul className="rounded-md border border-line text-sm">
            {bookings.data.map((booking) => (
              <li key={booking.id} className="flex justify-between gap-4 px-3 py-1.5">
                <span>
                  {booking.kind}, {formatMoment(booking.booked_at, time_zone)}
                </span>
                <Money usd={booking.cost_usd} />
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}

const PRICE_COLUMNS: Column<import("../data/feeds.ts").PriceLine>[] = [
  { id: "meter", header: "Meter", isTitle: true, cell: (line) => line.meter.replaceAll("_", " ") },
  {
    id: "units",
    header: "Units",
    align: "right",
    cell: (line) => Number(line.units).toLocaleString("en"),
  },
  {
    id: "usd",
    header: "Price",
    align: "right",
    cell: (line) =>
      line.usd === null ? (
        <span className="text-muted">not billed</span>
      ) : (
        <>
          <Money usd={line.usd} />
          <span className="text-muted"> / {Number(line.unit_size).toLocaleString("en")}</span>
        </>
      ),
  },
  {
    id: "amount",
    header: "Amount",
    align: "right",
    cell: (line) => <Money usd={line.amount_usd} />,
  },
];
