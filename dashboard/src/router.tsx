// Every screen has an address, and the address has all that was chosen on it: a view can be sent to a colleague. The
// address stands behind a #, so that any static host can serve it.
import {
  createHashHistory,
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from "@tanstack/react-router";
import type { Call, FleetOrder, Group } from "./data/feeds.ts";
import { FLEET_ORDERS, GROUPS } from "./data/feeds.ts";
import type { Bucket, Day } from "./lib/time.ts";
import { NotFound, OperatorFrame, Shell, TenantFrame } from "./shell/shell.tsx";
import { Start } from "./shell/start.tsx";

type Search = Record<string, unknown>;

/** What an address may say, and nothing else: others are left out. */
function oneOf<Value extends string>(values: readonly Value[], value: unknown): Value | undefined {
  return values.find((known) => known === value);
}

function text(value: unknown): string | undefined {
  return typeof value === "string" || typeof value === "number"
    ? String(value) || undefined
    : undefined;
}

function number(value: unknown, from: number, to: number): number | undefined {
  return typeof value === "number" && value >= from && value <= to ? value : undefined;
}

function day(value: unknown): Day | undefined {
  return typeof value === "string" && /^\d{4}-\d\d-\d\d$/.test(value) && Date.parse(value)
    ? value
    : undefined;
}

/** The quota that an alert is about: functions/alerts/message.ts names it. */
export interface QuotaSearch {
  quota?: number;
}

function quotaOf({ quota }: Search): number | undefined {
  return number(quota, 1, Number.MAX_SAFE_INTEGER);
}

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound });

const start = createRoute({ getParentRoute: () => root, path: "/", component: Start });

const tenant = createRoute({
  getParentRoute: () => root,
  path: "/tenants/$tenantId",
  component: TenantFrame,
});

const overview = createRoute({
  getParentRoute: () => tenant,
  path: "/",
  validateSearch: (search: Search): QuotaSearch => ({ quota: quotaOf(search) }),
  component: lazyRouteComponent(() => import("./tenant/overview.tsx"), "Overview"),
});

export const RANGES = ["1", "7", "30", "90", "365"] as const;
export const BUCKETS = ["hour", "day", "week", "month"] as const;

export interface UsageSearch {
  /** Days up to today; left out where from and to are given. */
  days?: (typeof RANGES)[number];
  from?: Day;
  to?: Day;
  bucket?: Bucket;
  by?: Group | "none";
  top?: number;
  user?: string;
}

const usage = createRoute({
  getParentRoute: () => tenant,
  path: "usage",
  validateSearch: (search: Search): UsageSearch => ({
    days: oneOf(RANGES, String(search.days)),
    from: day(search.from),
    to: day(search.to),
    bucket: oneOf(BUCKETS, search.bucket),
    by: oneOf([...GROUPS, "none"] as const, search.by),
    top: number(search.top, 1, 25),
    user: text(search.user),
  }),
  component: lazyRouteComponent(() => import("./tenant/usage.tsx"), "Usage"),
});

const people = createRoute({
  getParentRoute: () => tenant,
  path: "people",
  validateSearch: (search: Search): { search?: string; page?: number } => ({
    search: text(search.search),
    page: number(search.page, 1, 1e6),
  }),
  component: lazyRouteComponent(() => import("./tenant/people.tsx"), "People"),
});

export const STATUSES = ["held", "settled", "released", "expired"] as const;

export interface CallsSearch {
  status?: Call["status"];
  product?: string;
  user?: string;
  /** The last call of the page before. */
  before?: string;
  /** The call whose details are shown. */
  call?: string;
}

const calls = createRoute({
  getParentRoute: () => tenant,
  path: "calls",
  validateSearch: (search: Search): CallsSearch => ({
    status: oneOf(STATUSES, search.status),
    product: text(search.product),
    user: text(search.user),
    before: text(search.before),
    call: text(search.call),
  }),
  component: lazyRouteComponent(() => import("./tenant/calls.tsx"), "Calls"),
});

const changes = createRoute({
  getParentRoute: () => tenant,
  path: "changes",
  validateSearch: (search: Search): { alerts?: number; changes?: number } => ({
    alerts: number(search.alerts, 1, Number.MAX_SAFE_INTEGER),
    changes: number(search.changes, 1, Number.MAX_SAFE_INTEGER),
  }),
  component: lazyRouteComponent(() => import("./tenant/changes.tsx"), "Changes"),
});

const channels = createRoute({
  getParentRoute: () => tenant,
  path: "channels",
  component: lazyRouteComponent(() => import("./tenant/channels.tsx"), "Channels"),
});

const operator = createRoute({
  getParentRoute: () => root,
  path: "/operator",
  component: OperatorFrame,
});

const operatorStart = createRoute({
  getParentRoute: () => operator,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/operator/fleet" });
  },
});

const fleet = createRoute({
  getParentRoute: () => operator,
  path: "fleet",
  validateSearch: (search: Search): { search?: string; by?: FleetOrder; page?: number } => ({
    search: text(search.search),
    by: oneOf(FLEET_ORDERS, search.by),
    page: number(search.page, 1, 1e6),
  }),
  component: lazyRouteComponent(() => import("./operator/fleet.tsx"), "Fleet"),
});

const nearLimit = createRoute({
  getParentRoute: () => operator,
  path: "near-limit",
  validateSearch: (search: Search): QuotaSearch & { percent?: number; page?: number } => ({
    percent: number(search.percent, 0, 1000),
    page: number(search.page, 1, 1e6),
    quota: quotaOf(search),
  }),
  component: lazyRouteComponent(() => import("./operator/near_limit.tsx"), "NearLimitScreen"),
});

const holds = createRoute({
  getParentRoute: () => operator,
  path: "holds",
  validateSearch: (search: Search): { page?: number; sandboxes?: number } => ({
    page: number(search.page, 1, 1e6),
    sandboxes: number(search.sandboxes, 1, 1e6),
  }),
  component: lazyRouteComponent(() => import("./operator/holds.tsx"), "Holds"),
});

const refusals = createRoute({
  getParentRoute: () => operator,
  path: "refusals",
  validateSearch: (search: Search): { days?: number; page?: number; tenant?: string } => ({
    days: number(search.days, 1, 90),
    page: number(search.page, 1, 1e6),
    tenant: text(search.tenant),
  }),
  component: lazyRouteComponent(() => import("./operator/refusals.tsx"), "RefusalsScreen"),
});

const unusual = createRoute({
  getParentRoute: () => operator,
  path: "unusual",
  validateSearch: (search: Search): { days?: number; factor?: number; page?: number } => ({
    days: number(search.days, 1, 366),
    factor: number(search.factor, 1, 100),
    page: number(search.page, 1, 1e6),
  }),
  component: lazyRouteComponent(() => import("./operator/unusual.tsx"), "Unusual"),
});

const limits = createRoute({
  getParentRoute: () => operator,
  path: "limits",
  validateSearch: (search: Search): QuotaSearch => ({ quota: quotaOf(search) }),
  component: lazyRouteComponent(() => import("./operator/limits.tsx"), "Limits"),
});

const prices = createRoute({
  getParentRoute: () => operator,
  path: "prices",
  validateSearch: (search: Search): { search?: string; page?: number; price?: number } => ({
    search: text(search.search),
    page: number(search.page, 1, 1e6),
    price: number(search.price, 1, Number.MAX_SAFE_INTEGER),
  }),
  component: lazyRouteComponent(() => import("./operator/prices.tsx"), "Prices"),
});

const health = createRoute({
  getParentRoute: () => operator,
  path: "health",
  component: lazyRouteComponent(() => import("./operator/health.tsx"), "HealthScreen"),
});

const platformChannels = createRoute({
  getParentRoute: () => operator,
  path: "channels",
  component: lazyRouteComponent(() => import("./operator/channels.tsx"), "PlatformChannels"),
});

export const router = createRouter({
  history: createHashHistory(),
  routeTree: root.addChildren([
    start,
    tenant.addChildren([overview, usage, people, calls, changes, channels]),
    operator.addChildren([
      operatorStart,
      fleet,
      nearLimit,
      holds,
      refusals,
      unusual,
      limits,
      prices,
      platformChannels,
      health,
    ]),
  ]),
  defaultPreload: "intent",
  defaultStructuralSharing: true,
  scrollRestoration: false,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
