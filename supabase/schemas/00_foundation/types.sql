create type spend.quota_details as (
  quota_id bigint,
  scope text,
  scope_id uuid,
  resource_type text,
  period text,
  limit_usd numeric,
  spent_usd numeric,
  reserved_usd numeric,
  current_spend_usd numeric,
  estimated_cost_usd numeric,
  remaining_usd numeric,
  utilization_percent numeric,
  period_end timestamptz
);
comment on type spend.quota_details is
  'State of one quota in its current period, in USD. current_spend_usd = spent_usd + reserved_usd; remaining_usd is never negative; scope_id is null for the platform; period_end is null for lifetime quotas.';

create type spend.reserve_result as (
  allowed boolean,
  reservation_id uuid,
  estimated_cost_usd numeric,
  expires_at timestamptz,
  reason text,
  message text,
  retry_after integer,
  quota spend.quota_details,
  warnings spend.quota_details[],
  replayed boolean
);
comment on type spend.reserve_result is
  'Answer of reserve, check_quota and extend. reason: null when allowed, else limit_reached, in_flight or exceeds_limit. retry_after: seconds, null when waiting does not help. quota: the one that refused. warnings: quotas at or above their warning threshold. replayed: the idempotency key had been used by the same request before and this is the stored answer.';

create type spend.settle_result as (
  reservation_id uuid,
  status text,
  cost_usd numeric,
  estimated_cost_usd numeric,
  is_estimated boolean,
  warnings spend.quota_details[]
);
comment on type spend.settle_result is
  'Answer of settle and release. cost_usd: what is booked for the reservation in all, 0 after a release. is_estimated: the usage was not known, the estimate was booked.';

create type spend.reservation_hold as (
  quota_id bigint,
  period_start timestamptz,
  slot integer
);
comment on type spend.reservation_hold is
  'One balance that a reservation holds its estimate in. A reservation lists them in lock order.';

create type spend_private.call as (
  tenant_id uuid,
  time_zone text,
  user_id uuid,
  resource_type text,
  task text,
  provider text,
  product text,
  usage jsonb,
  cost_usd numeric,
  price_ids bigint[],
  priced_as text,
  price_version bigint,
  is_first_use boolean
);
comment on type spend_private.call is
  'A call that wants to spend: who, for what, and the usage and cost in USD to hold for it: at most, or as expected (call_to_hold). priced_as, price_version: the rows of spend.prices that it is priced by, now and later (spend.reservations). is_first_use: some of these rows are not fixed yet (mark_prices_used).';
