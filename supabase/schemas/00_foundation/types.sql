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
comment on column spend.quota_details.quota_id is 'Its row of spend.cost_quotas.';
comment on column spend.quota_details.scope is 'Whose spend counts: platform, tenant or user.';
comment on column spend.quota_details.scope_id is 'The tenant''s id, or the user''s; null for the platform.';
comment on column spend.quota_details.resource_type is 'llm, e2b, or all for their sum.';
comment on column spend.quota_details.period is 'hour, day, week, month or lifetime.';
comment on column spend.quota_details.limit_usd is 'USD per period.';
comment on column spend.quota_details.spent_usd is 'USD booked in the period. Negative after credits.';
comment on column spend.quota_details.reserved_usd is 'USD that open calls hold.';
comment on column spend.quota_details.current_spend_usd is 'USD used: spent_usd + reserved_usd.';
comment on column spend.quota_details.estimated_cost_usd is 'USD of the call in question: what reserve holds, extend adds or settle booked; 0 in an alert that spend.maintain() found.';
comment on column spend.quota_details.remaining_usd is 'USD that the limit leaves; 0 when it is passed.';
comment on column spend.quota_details.utilization_percent is 'current_spend_usd in percent of the limit, two decimals; above 100 when it is passed. 100 where the limit is 0.';
comment on column spend.quota_details.period_end is 'When the next period begins, with nothing spent; null for lifetime.';

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
comment on column spend.reserve_result.allowed is 'True: the call may be made. False: it may not; reason and message say why.';
comment on column spend.reserve_result.reservation_id is 'What settle, release and extend take. Null where nothing is held: after a refusal of reserve, and from check_quota.';
comment on column spend.reserve_result.estimated_cost_usd is 'USD held for the call (check_quota: that would be held); of a refusal, USD that there was no room for.';
comment on column spend.reserve_result.expires_at is 'When the hold is booked at its estimate, unless it is settled, released or extended before. Null where nothing is held.';
comment on column spend.reserve_result.reason is 'Null when allowed; limit_reached: what is spent leaves no room; in_flight: what open calls hold leaves none; exceeds_limit: the call by itself exceeds the limit.';
comment on column spend.reserve_result.message is 'The refusal as a sentence, for people. Null when allowed.';
comment on column spend.reserve_result.retry_after is 'Seconds after which to try again: until the period ends (limit_reached), or the oldest hold is expected to end (in_flight). Null when allowed, and when waiting does not help.';
comment on column spend.reserve_result.quota is 'The quota that refused; of several, the one to wait longest for. Null when allowed.';
comment on column spend.reserve_result.warnings is 'Quotas at or above their warning threshold, what is held included. Empty for none, and in a refusal of reserve or extend.';
comment on column spend.reserve_result.replayed is 'True: the stored answer to the same request with the same idempotency key. Nothing more was held.';

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
comment on column spend.settle_result.reservation_id is 'The reservation that was settled or released.';
comment on column spend.settle_result.status is 'settled or released: what it is now.';
comment on column spend.settle_result.cost_usd is 'USD booked for it in all; 0 when it is released.';
comment on column spend.settle_result.estimated_cost_usd is 'USD held for it until its end.';
comment on column spend.settle_result.is_estimated is 'True: the provider did not report the usage, and the cost is the estimate, or by what the caller counted.';
comment on column spend.settle_result.warnings is 'Quotas at or above their warning threshold after it. Empty for none, and where nothing was left to do.';

create type spend.reserve_many_result as (
  allowed boolean,
  reservation_id uuid,
  estimated_cost_usd numeric,
  expires_at timestamptz,
  reason text,
  message text,
  retry_after integer,
  quota spend.quota_details,
  warnings spend.quota_details[],
  replayed boolean,
  error jsonb
);
comment on type spend.reserve_many_result is
  'Answer of reserve_many to one of its calls: that of reserve (spend.reserve_result), or the error that reserve would have raised.';
comment on column spend.reserve_many_result.allowed is 'See spend.reserve_result. Null beside an error.';
comment on column spend.reserve_many_result.reservation_id is 'See spend.reserve_result. Null beside an error.';
comment on column spend.reserve_many_result.estimated_cost_usd is 'See spend.reserve_result. Null beside an error.';
comment on column spend.reserve_many_result.expires_at is 'See spend.reserve_result. Null beside an error.';
comment on column spend.reserve_many_result.reason is 'See spend.reserve_result. Null beside an error.';
comment on column spend.reserve_many_result.message is 'See spend.reserve_result. Null beside an error.';
comment on column spend.reserve_many_result.retry_after is 'See spend.reserve_result. Null beside an error.';
comment on column spend.reserve_many_result.quota is 'See spend.reserve_result. Null beside an error.';
comment on column spend.reserve_many_result.warnings is 'See spend.reserve_result. Null beside an error.';
comment on column spend.reserve_many_result.replayed is 'See spend.reserve_result. Null beside an error.';
comment on column spend.reserve_many_result.error is 'Null, or why this call failed, as the Data API words errors: {"code", "message", "details", "hint"}. Nothing is held for it.';

create type spend.settle_many_result as (
  reservation_id uuid,
  status text,
  cost_usd numeric,
  estimated_cost_usd numeric,
  is_estimated boolean,
  warnings spend.quota_details[],
  error jsonb
);
comment on type spend.settle_many_result is
  'Answer of settle_many to one of its settlements: that of settle (spend.settle_result), or the error that settle would have raised.';
comment on column spend.settle_many_result.reservation_id is 'The reservation that was to be settled. Null where the error is that there was no id.';
comment on column spend.settle_many_result.status is 'See spend.settle_result. Null beside an error.';
comment on column spend.settle_many_result.cost_usd is 'See spend.settle_result. Null beside an error.';
comment on column spend.settle_many_result.estimated_cost_usd is 'See spend.settle_result. Null beside an error.';
comment on column spend.settle_many_result.is_estimated is 'See spend.settle_result. Null beside an error.';
comment on column spend.settle_many_result.warnings is 'See spend.settle_result. Null beside an error.';
comment on column spend.settle_many_result.error is 'Null, or why this settlement failed, as the Data API words errors: {"code", "message", "details", "hint"}. Nothing is booked for it.';

create type spend.reservation_hold as (
  quota_id bigint,
  period_start timestamptz,
  slot integer
);
comment on type spend.reservation_hold is
  'One balance that a reservation holds its estimate in. A reservation lists them in lock order.';
comment on column spend.reservation_hold.quota_id is 'Quota, of spend.cost_quotas; it may be gone by now.';
comment on column spend.reservation_hold.period_start is 'Start of the period that the call counts in; -infinity for lifetime.';
comment on column spend.reservation_hold.slot is 'Part of the quota''s balance that holds the estimate; the first is 0.';

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
  'A call that asks for a reservation: who, what for, and the usage and cost in USD to hold: the bound, or what is expected (call_to_hold). priced_as, price_version: the rows of spend.prices that it is priced by, now and later (spend.reservations). is_first_use: some of these rows are not marked as used yet (mark_prices_used).';
