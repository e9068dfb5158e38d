create function spend_private.is_possible_reservation(
  p_resource_type text,
  p_status text,
  p_actual_cost_usd numeric,
  p_ended_at timestamptz,
  p_idempotency_key text,
  p_request_hash uuid,
  p_created_at timestamptz,
  p_expires_at timestamptz
)
returns boolean
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return p_resource_type in ('llm', 'e2b')
    and p_status in ('held', 'settled', 'released', 'expired')
    and (p_status = 'held') = (p_actual_cost_usd is null)
    and (p_status = 'held') = (p_ended_at is null)
    and (p_status <> 'released' or p_actual_cost_usd = 0)
    and (p_idempotency_key is null) = (p_request_hash is null)
    and p_expires_at > p_created_at;
end;
$$;
comment on function spend_private.is_possible_reservation is
  'Whether the values of a reservation fit together. One function, since Postgres reads and plans a table''s checks anew for every statement: a call of a function is read in no time, and its expression is planned once per connection.';

create table spend.reservations (
  tenant_id uuid not null,
  id uuid not null,
  user_id uuid,
  resource_type text not null,
  provider text not null,
  product text not null,
  task text not null,
  conversation_id text,
  path_id text,
  idempotency_key text,
  request_hash uuid,
  usage_estimate jsonb not null,
  estimated_cost_usd spend.usd not null,
  actual_cost_usd spend.usd,
  is_estimated boolean not null default false,
  status text not null default 'held',
  release_reason text,
  holds spend.reservation_hold[] not null,
  price_ids bigint[] not null,
  priced_as text,
  price_version bigint,
  warnings spend.quota_details[] not null default '{}',
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  ended_at timestamptz,
  primary key (tenant_id, id),
  constraint reservation_is_possible check (
    spend_private.is_possible_reservation(
      resource_type, status, actual_cost_usd, ended_at, idempotency_key, request_hash, created_at, expires_at
    )
  )
)
with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
comment on table spend.reservations is
  'One row per gated call: what is held for it, and what became of it. held -> settled (real cost booked), released (nothing spent), expired (never settled: charged at the estimate, until a late settle corrects it). Written only by reserve, settle, release, extend and expire_reservations.';
comment on column spend.reservations.tenant_id is 'Tenant that pays.';
comment on column spend.reservations.id is 'UUIDv8: time, the first 32 bits of tenant_id, random. settle finds the tenant by it.';
comment on column spend.reservations.user_id is 'Member who called; null for work of the tenant itself.';
comment on column spend.reservations.resource_type is 'llm or e2b.';
comment on column spend.reservations.provider is 'Who sells it, as the call named it: openai, e2b.';
comment on column spend.reservations.product is 'Model or template after aliases; where ''*'' prices it, in its one spelling (spend_private.plain_product).';
comment on column spend.reservations.task is 'What the call is for, named by the caller; chat by default. Reports and quotas can go by it.';
comment on column spend.reservations.conversation_id is 'The caller''s name of the conversation, for reports and sandboxes; null: none.';
comment on column spend.reservations.path_id is 'Branch of the conversation; null: the caller named none.';
comment on column spend.reservations.idempotency_key is 'The caller''s name of the request, once per tenant: a retry with it gets the same answer. Null: none.';
comment on column spend.reservations.request_hash is 'Fingerprint of the request that came with idempotency_key; another under the same key is refused (PT409). Null without a key.';
comment on column spend.reservations.usage_estimate is 'Usage that the hold covers: the bound that reserve or the last extend got, or with its expected output (spend.cost_quotas.estimate_policy).';
comment on column spend.reservations.estimated_cost_usd is 'USD held while the status is held.';
comment on column spend.reservations.actual_cost_usd is 'USD booked in all: 0 after a release, the estimate after expiry.';
comment on column spend.reservations.is_estimated is 'The provider never reported the usage; actual_cost_usd is the estimate, or by what the caller counted.';
comment on column spend.reservations.status is 'held, settled, released or expired. A late settle turns released and expired into settled, a late release turns expired into released.';
comment on column spend.reservations.release_reason is 'Why it was released, as the caller said; null for all others.';
comment on column spend.reservations.holds is 'Balances that hold the estimate, in lock order. Settle and release go back to these.';
comment on column spend.reservations.price_ids is 'Rows of spend.prices that the estimate was computed with; those of the cost are in spend.cost_events.';
comment on column spend.reservations.priced_as is 'The product of the rows of spend.prices that price the call: product, or ''*'' where the provider''s ''*'' does.';
comment on column spend.reservations.price_version is 'The call is priced, extended and settled by the rows of spend.prices up to this version; only spend.reprice changes it. Null in a row that reserve did not write: by the rows that apply when it ends.';
comment on column spend.reservations.warnings is 'Quotas above their warning threshold when the call was admitted.';
comment on column spend.reservations.metadata is 'JSON object of the caller''s, of 8 KiB at most; its events carry it too.';
comment on column spend.reservations.created_at is 'When the call was admitted. Decides its prices and the periods that it counts in.';
comment on column spend.reservations.expires_at is 'When it is charged at its estimate, if it is still held. extend moves it.';
comment on column spend.reservations.ended_at is 'When it was settled, released or expired, or last corrected; null while it is held.';

-- No foreign keys: checking them would lock rows that many calls share.
create unique index reservations_tenant_id_idempotency_key_idx
on spend.reservations (tenant_id, idempotency_key) where idempotency_key is not null;
create index reservations_expires_at_idx on spend.reservations (expires_at) where status = 'held';
create index reservations_tenant_id_id_held_idx on spend.reservations (tenant_id, id) where status = 'held';
-- For members who return (spend_private.is_new_subject).
create index reservations_tenant_id_user_id_released_idx on spend.reservations (tenant_id, user_id)
where status = 'released';
-- For reprice and for prices with past dates, which search a span of time. Rows lie on disk in this order, so it costs
-- little.
create index reservations_created_at_idx on spend.reservations using brin (created_at) with (pages_per_range = 32);

alter table spend.reservations enable row level security;
create policy "members read their own, admins the tenant's, operators all" on spend.reservations
for select to authenticated
using (
  (user_id = (select auth.uid()) and tenant_id = any (array(select spend_private.member_tenant_ids())))
  or tenant_id = any (array(select spend_private.managed_tenant_ids()))
  or (
    tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated())
    and ((select spend_private.operator_role()) in ('viewer', 'editor') or tenant_id >= spend_private.first_operated())
  )
);
grant select on spend.reservations to authenticated, service_role;
