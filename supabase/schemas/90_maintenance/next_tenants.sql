create table spend_private.tenant_rounds (
  job text primary key,
  round_at timestamptz not null,
  after_tenant_id uuid
)
with (fillfactor = 50);
comment on table spend_private.tenant_rounds is
  'How far a job has gone through the tenants in its present round. Written by spend_private.next_tenants.';
comment on column spend_private.tenant_rounds.round_at is 'Hour of UTC in which the round began.';
comment on column spend_private.tenant_rounds.after_tenant_id is 'The last tenant that was looked at; null: the round is over.';
alter table spend_private.tenant_rounds enable row level security;

create function spend_private.next_tenants(p_job text, p_max_rows integer, p_now timestamptz default now())
returns uuid[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_hour timestamptz := date_trunc('hour', p_now, 'UTC');
  v_round spend_private.tenant_rounds;
  v_tenant_ids uuid[];
begin
  select * into v_round from spend_private.tenant_rounds as r where r.job = p_job;
  if v_round.after_tenant_id is null then
    if v_round.round_at >= v_hour then
      return '{}';
    end if;
    v_round.round_at := v_hour;
    v_round.after_tenant_id := '00000000-0000-0000-0000-000000000000';
  end if;
  v_tenant_ids := array(
    select t.id from spend.tenants as t where t.id > v_round.after_tenant_id order by t.id limit p_max_rows
  );
  insert into spend_private.tenant_rounds as r (job, round_at, after_tenant_id)
  values (
    p_job, v_round.round_at, case when cardinality(v_tenant_ids) >= p_max_rows then v_tenant_ids[p_max_rows] end
  )
  on conflict on constraint tenant_rounds_pkey do update set
    round_at = excluded.round_at, after_tenant_id = excluded.after_tenant_id;
  return v_tenant_ids;
end;
$$;
comment on function spend_private.next_tenants is
  'The next p_max_rows tenants of a job that looks at each once an hour; fewer at the end of a round, none until the next hour. A round that takes longer is finished first.';
