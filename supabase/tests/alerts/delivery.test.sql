begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(12);

insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
select spend_private.record_alerts(
  q, row(q.id, q.scope, q.scope_id, q.resource_type, q.period, q.limit_usd, q.limit_usd, 0, q.limit_usd, 0, 0, 100, null),
  '-infinity', q.tenant_id, now() - interval '1 minute'
)
from spend.cost_quotas as q
where q.tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001' and q.resource_type = 'llm';
create function pg_temp.claimed(p_seconds numeric, p_rows integer default 10) returns text language sql as $$
  select string_agg(a.kind, ' ' order by a.id)
  from spend_private.claim_alerts(p_rows, now() + make_interval(secs => p_seconds::double precision)) as a
$$;
create function pg_temp.id(p_kind text) returns bigint language sql as $$
  select id from spend.alerts where kind = p_kind
$$;

select is((select count(*) from spend.alerts), 2::bigint, 'two alerts wait');
select is(pg_temp.claimed(0, 1), 'warning', 'the oldest first, as many as are asked for');
select is(pg_temp.claimed(1), 'limit', 'one that was claimed is nobody else''s');
select is(pg_temp.claimed(2), null, 'then none is left');
select is(spend.finish_alert(pg_temp.id('limit')), true, 'one is delivered');
select is(spend.finish_alert(pg_temp.id('limit')), false, 'once');
select is(spend.finish_alert(pg_temp.id('warning'), 'the webhook answered 500'), true, 'the other is not');
select is(pg_temp.claimed(29), null, 'its turn is not before 30 s have passed');
select is(pg_temp.claimed(30), 'warning', 'then it is tried again');
select is(pg_temp.claimed(89), null, 'and again not before another 60 s');
select is(
  (select row(attempts, last_error)::text from spend.alerts where kind = 'warning'),
  '(2,"the webhook answered 500")', 'attempts are counted, and why the last one failed is kept'
);
update spend.alerts set attempts = 60, next_attempt_at = now();
select is(
  (select next_attempt_at from spend_private.claim_alerts(1)), now() + interval '6 hours', 'it is never longer than 6 hours'
);

select * from finish();
rollback;
