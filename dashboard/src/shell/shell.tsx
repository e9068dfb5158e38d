// What stands around every screen: where one can go, whose spend it is, whether it is up to date.
import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useParams, useRouterState } from "@tanstack/react-router";
import {
  Activity,
  Bell,
  ChartColumn,
  CircleGauge,
  HeartPulse,
  ListOrdered,
  LogOut,
  Megaphone,
  Menu,
  OctagonX,
  Scale,
  Send,
  Tag,
  Timer,
  TrendingUp,
  Users,
  Warehouse,
  X,
} from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import { auth, useSession } from "../data/client.ts";
import { type Identity, identityQuery, type Tenant, tenantQuery } from "../data/feeds.ts";
import { Badge, Button, cx, Field, Panel, Screen, Select } from "../ui/parts.tsx";
import { Empty, ErrorNote, Skeleton } from "../ui/states.tsx";
import { IdentityContext, seesAll, TenantContext, useIdentity } from "./identity.ts";
import { StaleBadge } from "./stale.tsx";
import { rememberTenant } from "./start.tsx";
import { ThemeButton } from "./theme.tsx";

export function Shell() {
  const session = useSession();
  const identity = useQuery(identityQuery(session?.user.id ?? ""));
  const path = useRouterState({ select: (state) => state.location.pathname });
  const [isOpen, setOpen] = useState(false);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another page closes the menu.
  useEffect(() => setOpen(false), [path]);

  if (!identity.data) {
    return (
      <main className="mx-auto mt-16 max-w-xl px-4">
        <Panel>
          {identity.error ? (
            <ErrorNote error={identity.error} retry={() => identity.refetch()} />
          ) : (
            <Skeleton />
          )}
        </Panel>
        {identity.error && (
          <Button kind="quiet" className="mt-3" onClick={() => auth().signOut({ scope: "local" })}>
            Sign out
          </Button>
        )}
      </main>
    );
  }
  return (
    <IdentityContext value={identity.data}>
      {/* A button: the address behind the # is the screen's. */}
      <button
        type="button"
        className="sr-only focus:not-sr-only focus:absolute focus:z-50 focus:m-2 focus:rounded-md focus:bg-panel focus:px-3 focus:py-1"
        onClick={() => document.getElementById("main")?.focus()}
      >
        Skip to the content
      </button>
      <div className="min-h-dvh lg:grid lg:grid-cols-[15rem_1fr]">
        <header className="border-line border-b bg-panel lg:sticky lg:top-0 lg:flex lg:h-dvh lg:flex-col lg:overflow-y-auto lg:border-r lg:border-b-0">
          <div className="flex items-center justify-between px-4 py-2.5 lg:py-4">
            <Link to="/" className="font-semibold tracking-tight">
              Spendgate
            </Link>
            <span className="flex items-center">
              <ThemeButton />
              <Button
                kind="quiet"
                className="px-2 lg:hidden"
                aria-label="Menu"
                aria-expanded={isOpen}
                aria-controls="menu"
                onClick={() => setOpen(!isOpen)}
              >
                {isOpen ? (
                  <X aria-hidden className="size-5" />
                ) : (
                  <Menu aria-hidden className="size-5" />
                )}
              </Button>
            </span>
          </div>
          <div
            id="menu"
            className={cx("flex-1 flex-col px-2 pb-3 lg:flex", isOpen ? "flex" : "hidden")}
          >
            <Navigation identity={identity.data} />
            <div className="mt-auto flex items-center justify-between gap-2 border-line border-t px-2 pt-3 text-sm">
              <span className="min-w-0 truncate text-muted" title={session?.user.email}>
                {session?.user.email}
              </span>
              <Button
                kind="quiet"
                className="px-2"
                aria-label="Sign out"
                title="Sign out"
                onClick={() => auth().signOut({ scope: "local" })}
              >
                <LogOut aria-hidden className="size-4" />
              </Button>
            </div>
          </div>
        </header>
        <main id="main" tabIndex={-1} className="min-w-0 px-4 py-5 outline-none lg:px-8">
          <div className="mx-auto max-w-6xl">
            <StaleBadge />
            <Outlet />
          </div>
        </main>
      </div>
    </IdentityContext>
  );
}

function Navigation({ identity }: { identity: Identity }) {
  const { tenantId } = useParams({ strict: false });
  const opened = useQuery({
    ...tenantQuery(tenantId ?? ""),
    enabled: tenantId !== undefined && !identity.tenants.some((t) => t.tenant_id === tenantId),
  });
  const [first] = identity.tenants;
  const tenant =
    identity.tenants.find(({ tenant_id }) => tenant_id === tenantId) ??
    (tenantId ? opened.data : first) ??
    first;
  return (
    <nav aria-label="Screens" className="space-y-5 pb-4">
      {tenant && <TenantNavigation tenant={tenant} identity={identity} />}
      {identity.operator_role && (
        <div>
          <h2 className="px-2 pb-1 text-xs font-medium text-muted">
            All tenants · {identity.operator_role}
          </h2>
          <ul>
            <Item to="/operator/fleet" icon={<Warehouse aria-hidden />} name="Fleet" />
            <Item to="/operator/near-limit" icon={<CircleGauge aria-hidden />} name="Near limit" />
            <Item to="/operator/holds" icon={<Timer aria-hidden />} name="Holds and sandboxes" />
            <Item to="/operator/refusals" icon={<OctagonX aria-hidden />} name="Refusals" />
            <Item to="/operator/unusual" icon={<TrendingUp aria-hidden />} name="Unusual spend" />
            <Item to="/operator/limits" icon={<Scale aria-hidden />} name="Limits and plans" />
            <Item to="/operator/prices" icon={<Tag aria-hidden />} name="Prices" />
            <Item
              to="/operator/channels"
              icon={<Megaphone aria-hidden />}
              name="Platform channels"
            />
            <Item to="/operator/health" icon={<HeartPulse aria-hidden />} name="Health" />
          </ul>
        </div>
      )}
    </nav>
  );
}

function TenantNavigation({ tenant, identity }: { tenant: Tenant; identity: Identity }) {
  const navigate = useNavigate();
  const known = identity.tenants.some(({ tenant_id }) => tenant_id === tenant.tenant_id);
  const options = known ? identity.tenants : [tenant, ...identity.tenants];
  const params = { tenantId: tenant.tenant_id };
  return (
    <div>
      <div className="px-2 pb-2">
        {options.length > 1 ? (
          <Field label="Tenant">
            {(field) => (
              <Select
                {...field}
                value={tenant.tenant_id}
                options={options.map(({ tenant_id, name }) => [tenant_id, name] as const)}
                onValue={(tenantId) => navigate({ to: "/tenants/$tenantId", params: { tenantId } })}
              />
            )}
          </Field>
        ) : (
          <>
            <p className="text-xs font-medium text-muted">Tenant</p>
            <p className="truncate text-sm font-medium">{tenant.name}</p>
          </>
        )}
        <p className="mt-1 text-xs text-muted">
          {tenant.role ?? "as operator"} · {tenant.time_zone}
        </p>
      </div>
      <ul>
        <Item
          to="/tenants/$tenantId"
          params={params}
          exact
          icon={<Activity aria-hidden />}
          name="Overview"
        />
        <Item
          to="/tenants/$tenantId/usage"
          params={params}
          icon={<ChartColumn aria-hidden />}
          name="Usage"
        />
        <Item
          to="/tenants/$tenantId/calls"
          params={params}
          icon={<ListOrdered aria-hidden />}
          name="Calls"
        />
        {seesAll(tenant, identity) && (
          <>
            <Item
              to="/tenants/$tenantId/people"
              params={params}
              icon={<Users aria-hidden />}
              name="People"
            />
            <Item
              to="/tenants/$tenantId/changes"
              params={params}
              icon={<Bell aria-hidden />}
              name="Alerts and changes"
            />
            <Item
              to="/tenants/$tenantId/channels"
              params={params}
              icon={<Send aria-hidden />}
              name="Channels"
            />
          </>
        )}
      </ul>
    </div>
  );
}

function Item({
  to,
  params,
  exact,
  icon,
  name,
}: {
  to: string;
  params?: Record<string, string>;
  exact?: boolean;
  icon: ReactNode;
  name: string;
}) {
  return (
    <li>
      <Link
        to={to}
        params={params as never}
        activeOptions={{ exact, includeSearch: false }}
        className="flex items-center gap-2.5 rounded-md px-2 py-1.5 text-sm [&_svg]:size-4"
        activeProps={{ className: "bg-accent-soft font-medium text-accent" }}
        inactiveProps={{ className: "text-muted hover:bg-hover hover:text-ink" }}
      >
        {icon}
        {name}
      </Link>
    </li>
  );
}

/** A tenant that the reader may see; to others it is as if there were none. */
export function TenantFrame() {
  const { tenantId } = useParams({ strict: false }) as { tenantId: string };
  const identity = useIdentity();
  const own = identity.tenants.find(({ tenant_id }) => tenant_id === tenantId);
  const opened = useQuery({
    ...tenantQuery(tenantId),
    enabled: !own && identity.operator_role !== null && isUuid(tenantId),
  });
  const tenant = own ?? opened.data;
  useEffect(() => {
    if (own) rememberTenant(tenantId);
  }, [own, tenantId]);
  if (opened.error) return <ErrorNote error={opened.error} retry={() => opened.refetch()} />;
  if (opened.isLoading) return <Skeleton />;
  if (!tenant) {
    return (
      <Screen title="No such tenant">
        <Panel>
          <Empty title="There is no such tenant, or you are not a member of it">
            <p>Check the address, or ask an owner of the tenant to add you.</p>
          </Empty>
        </Panel>
      </Screen>
    );
  }
  return (
    // A screen of another tenant begins anew.
    <TenantContext value={tenant} key={tenant.tenant_id}>
      {tenant.closed_at && (
        <p className="mb-3">
          <Badge tone="warn">This tenant is closed: new spend is refused</Badge>
        </p>
      )}
      <Outlet />
    </TenantContext>
  );
}

function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
}

export function OperatorFrame() {
  const { operator_role } = useIdentity();
  if (operator_role) return <Outlet />;
  return (
    <Screen title="For operators">
      <Panel>
        <Empty title="You are not an operator of this project">
          <p>
            Somebody with SQL access adds operators to <code>spend.operators</code>.
          </p>
        </Empty>
      </Panel>
    </Screen>
  );
}

export function NotFound() {
  return (
    <Screen title="No such screen">
      <Panel>
        <Empty title="There is no such screen">
          <Link to="/" className="text-accent underline">
            Go to the start
          </Link>
        </Empty>
      </Panel>
    </Screen>
  );
}
