begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(85);

insert into auth.users (id) values
  ('00000000-0000-4000-8000-00000000000a'), ('00000000-0000-4000-8000-00000000000b');
insert into spend.tenants (id, name) values
  ('aaaaaaaa-0000-4000-8000-000000000001', 'A'), ('bbbbbbbb-0000-4000-8000-000000000002', 'B');
insert into spend.tenant_members (tenant_id, user_id) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a'),
  ('bbbbbbbb-0000-4000-8000-000000000002', '00000000-0000-4000-8000-00000000000b');

-- Noon, and seconds after it.
create function pg_temp.at(p_seconds numeric) returns timestamptz language sql as $$
  select date_trunc('day', now()) + interval '12 hours' + make_interval(secs => p_seconds::double precision)
$$;
create function pg_temp.claim_id(p_number integer) returns uuid language sql as $$
  select ('00000000-0000-4000-9000-' || lpad(p_number::text, 12, '0'))::uuid
$$;
create function pg_temp.claim(
  p_path text, p_claim integer, p_second numeric, p_run_seconds integer default 0, p_timeout integer default 300,
  p_enforce boolean default true
)
returns spend.context_claim language sql as $$
  select spend_private.claim_context(
    'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'talk', pg_temp.claim_id(p_claim),
    p_path, p_timeout_seconds => p_timeout, p_run_seconds => p_run_seconds, p_enforce => p_enforce,
    p_now => pg_temp.at(p_second)
  )
$$;
-- The last context of a path.
create function pg_temp.context(p_path text) returns spend.execution_contexts language sql as $$
  select c from spend.execution_contexts as c
  where c.tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001' and c.path_id is not distinct from p_path
  order by c.created_at desc, c.claimed_at desc limit 1
$$;
-- E2B's words, heard at p_second: when it began where that is not told.
create function pg_temp.confirm(
  p_path text, p_claim integer, p_sandbox text, p_start numeric, p_end numeric, p_second numeric default null,
  p_revision integer default null, p_vcpus integer default 2, p_memory_gib numeric default 0.5, p_enforce boolean default true
)
returns spend.context_claim language sql as $$
  select spend_private.confirm_context(
    (pg_temp.context(p_path)).tenant_id, (pg_temp.context(p_path)).id, pg_temp.claim_id(p_claim), p_sandbox,
    pg_temp.at(p_start), pg_temp.at(p_end), p_vcpus, p_memory_gib, p_revision, p_enforce,
    pg_temp.at(coalesce(p_second, p_start))
  )
$$;
create function pg_temp.finish(
  p_path text, p_status text, p_second numeric, p_started numeric default null, p_ended numeric default null
)
returns text language sql as $$
  select spend_private.end_context(
    (pg_temp.context(p_path)).tenant_id, (pg_temp.context(p_path)).id, p_status, 'test',
    pg_temp.at(p_started), pg_temp.at(p_ended), p_now => pg_temp.at(p_second)
  )
$$;
create function pg_temp.usd(p_seconds numeric) returns numeric language sql as $$
  select (2 * 0.000014 + 0.5 * 0.0000045) * p_seconds
$$;
create function pg_temp.held(p_path text) returns numeric language sql as $$
  select sum(estimated_cost_usd) from spend.reservations
  where path_id is not distinct from p_path and status = 'held'
$$;
create function pg_temp.booked(p_path text) returns numeric language sql as $$
  select sum(cost_usd) from spend.cost_events where path_id is not distinct from p_path
$$;

create function pg_temp.stray(p_sandbox text, p_start numeric, p_end numeric) returns numeric language sql as $$
  select spend_private.book_stray_sandbox(
    'aaaaaaaa-0000-4000-8000-000000000001', p_sandbox, 'base', 2, 0.5, pg_temp.at(p_start), null, 'talk', 'stray', null,
    pg_temp.at(p_end)
  )
$$;

-- Start, run, kill
select is((pg_temp.claim('kill', 1, 0)).outcome, 'create', 'the first caller of a path creates');
select is(pg_temp.held('kill'), 0.009075::numeric, '2 vCPU, 0.5 GiB, 300 s: (2 × 0.000014 + 0.5 × 0.0000045) × 300 = $0.009075 are held');
select is((pg_temp.claim('kill', 1, 1)).outcome, 'create', 'the same claim again gets the same answer');
select is((pg_temp.claim('kill', 2, 1)).outcome, 'wait', 'the second caller waits');
select is((pg_temp.claim('other', 3, 1)).outcome, 'create', 'another path is another sandbox');
select is((pg_temp.claim(null, 4, 1)).outcome, 'create', 'no path is a path of its own');
select is((pg_temp.claim(null, 5, 1)).outcome, 'wait', 'and has one sandbox too');
select is((pg_temp.confirm('other', 1, 'sb-other', 2, 302)).outcome, 'gone', 'whoever has not its claim confirms nothing');
select is((pg_temp.confirm('kill', 1, 'sb-kill', 2, 302)).outcome, 'ready', 'the creator confirms: it runs');
select is((pg_temp.claim('kill', 2, 3)).outcome, 'ready', 'who waited gets it');
select is((pg_temp.claim('kill', 2, 3)).sandbox_id, 'sb-kill', 'the same sandbox');
select is(pg_temp.held('kill'), pg_temp.usd(300), 'reconnecting holds nothing more');
select is(pg_temp.finish('kill', 'terminated', 63), 'terminated', 'killed after 61 s');
select is(pg_temp.booked('kill'), 0.00184525::numeric, '61 s are booked: (2 × 0.000014 + 0.5 × 0.0000045) × 61 = $0.00184525');
select is(pg_temp.held('kill'), null, 'and nothing is held');
select is(pg_temp.finish('kill', 'terminated', 99), 'terminated', 'killed again: no error');
select is(pg_temp.booked('kill'), 0.00184525::numeric, 'and nothing booked');
select is(pg_temp.finish('kill', 'paused', 99), 'terminated', 'what has ended is not paused by somebody who comes late');
select is((pg_temp.claim('kill', 6, 100)).outcome, 'create', 'the path may have a new one then');

select throws_ok(
  $$ insert into spend.execution_contexts select (jsonb_populate_record(pg_temp.context('other'), '{"id": "00000000-0000-4000-8000-0000000000ff"}')).* $$,
  '23505', null, 'no two live ones of a path, whoever inserts them'
);

-- Extended twice, paused, resumed, timed out
select is((pg_temp.claim('long', 10, 0)).outcome, 'create', 'a long one starts');
select is((pg_temp.confirm('long', 10, 'sb-long', 0, 300)).outcome, 'ready', 'it runs');
select is((pg_temp.claim('long', 11, 80, 60)).is_extended, false, 'a run after which half of the time-out is left extends nothing');
select is((pg_temp.claim('long', 11, 250, 60)).set_timeout_seconds, 300, 'a run after which it is not: time-out 300 s from now');
select is(pg_temp.held('long'), pg_temp.usd(550), '250 s that ran and 300 s to come are held');
select is((pg_temp.context('long')).expires_at, pg_temp.at(300), 'until E2B says so, it ends when it said before');
select is((pg_temp.confirm('long', 0, 'sb-long', 0, 550, 251, (pg_temp.context('long')).revision)).is_extended, false, 'E2B says so');
select is((pg_temp.context('long')).expires_at, pg_temp.at(550), 'then it ends later');
select is((pg_temp.claim('long', 12, 500, 60)).set_timeout_seconds, 300, 'extended again');
select is(pg_temp.held('long'), pg_temp.usd(800), '500 s and 300 s are held');
select is(spend_private.claim_pause((pg_temp.context('long')).tenant_id, (pg_temp.context('long')).id, 60, p_now => pg_temp.at(600)), false, 'not idle long enough: not paused');
select is(spend_private.claim_pause((pg_temp.context('long')).tenant_id, (pg_temp.context('long')).id, 60, p_now => pg_temp.at(620)), true, 'idle for 60 s after its last run could have ended: may be paused');
select is(spend_private.claim_pause((pg_temp.context('long')).tenant_id, (pg_temp.context('long')).id, 60, p_now => pg_temp.at(620)), false, 'by one caller only');
select is((pg_temp.claim('long', 13, 621)).outcome, 'wait', 'and runs wait for the pause');
select is(pg_temp.finish('long', 'paused', 622), 'paused', 'paused after 622 s');
select is(pg_temp.booked('long'), pg_temp.usd(622), '622 s are booked');
select is(pg_temp.held('long'), null, 'paused time holds nothing');
select is((pg_temp.claim('long', 14, 9000)).outcome, 'resume', 'whoever comes next resumes it');
select is((pg_temp.claim('long', 15, 9001)).outcome, 'wait', 'one of them');
select is((pg_temp.claim('long', 16, 9061)).outcome, 'resume', 'a claim that died is taken over after 60 s');
select is(pg_temp.held('long'), pg_temp.usd(300), 'with the hold that is there');
select is((pg_temp.confirm('long', 16, 'sb-long', 0, 9362, 9062)).outcome, 'ready', 'it runs; E2B may still tell its first start');
select is(pg_temp.finish('long', 'paused', 9100, null, 622), 'running', 'who tells late of its first pause ends nothing');
select is((pg_temp.claim('long', 17, 9500)).outcome, 'create', 'after its time-out it is gone, and a new one is made');
select is(pg_temp.booked('long'), pg_temp.usd(622 + 362), 'of the resumed one 362 s are booked, to its end: the paused time is free');

-- Claims that die
select is((pg_temp.claim('dead', 20, 0)).outcome, 'create', 'a creator that will die');
select is((pg_temp.claim('dead', 21, 61)).outcome, 'create', 'is taken over after 60 s');
select is(
  (select (spend_private.confirm_context(tenant_id, id, claim_id, 'sb-late', pg_temp.at(5), pg_temp.at(305), 2, 0.5)).outcome
   from spend.execution_contexts where claim_id = pg_temp.claim_id(20)), 'gone', 'when it comes back it is told so'
);
select is((pg_temp.confirm('dead', 21, 'sb-new', 62, 362)).outcome, 'ready', 'the new one runs');
select is(
  (select spend_private.end_context(tenant_id, id, 'failed', 'lost_claim', pg_temp.at(5), pg_temp.at(65), p_now => pg_temp.at(70))
   from spend.execution_contexts where claim_id = pg_temp.claim_id(20)), 'failed', 'it kills what it made'
);
select is(pg_temp.booked('dead'), pg_temp.usd(60), 'and its 60 s are booked');
select is((pg_temp.claim('never', 22, 0)).outcome, 'create', 'one that never reached E2B');
select is(
  (select spend_private.resolve_context(tenant_id, id, pg_temp.at(59), pg_temp.at(59)) from spend.execution_contexts where claim_id = pg_temp.claim_id(22)),
  null, 'is left alone while its claim lasts'
);
select is(
  (select spend_private.resolve_context(tenant_id, id, pg_temp.at(90), pg_temp.at(90)) from spend.execution_contexts where claim_id = pg_temp.claim_id(22)),
  'released', 'not listed while it would still run: it never started'
);
select is(pg_temp.held('never'), null, 'and nothing is held');
select is((pg_temp.claim('maybe', 23, 0)).outcome, 'create', 'one that nobody looked for in time');
select is(
  (select spend_private.resolve_context(tenant_id, id, pg_temp.at(400), pg_temp.at(400)) from spend.execution_contexts where claim_id = pg_temp.claim_id(23)),
  'booked', 'may have run: unknown is not zero'
);
select is(pg_temp.booked('maybe'), pg_temp.usd(300), 'its estimate is booked');

-- Refusals and strangers
update spend.cost_quotas set limit_usd = 0.03 where tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001' and resource_type = 'e2b';
select is((pg_temp.claim('broke', 30, 0, p_timeout => 3000)).outcome, 'refused', 'a quota that is used up refuses');
select is((pg_temp.context('broke')).id, null, 'and nothing is made');
select is((pg_temp.claim('broke', 31, 0, p_timeout => 3000, p_enforce => false)).outcome, 'create', 'unless it is not enforced');
select throws_ok(
  $$ select spend.claim_context('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000b', 'talk', gen_random_uuid(), 'kill') $$,
  '42501', 'not_a_member', 'a stranger does not get a sandbox that is there'
);
select is(
  (spend.use_context((pg_temp.context('dead')).id, '00000000-0000-4000-8000-00000000000b', gen_random_uuid())).outcome, 'gone',
  'nor by its id'
);
select throws_ok(
  $$ select spend.claim_context('aaaaaaaa-0000-4000-8000-000000000001', null, 'talk', gen_random_uuid(), template => 'huge') $$,
  '22023', 'invalid_usage', 'a template without a size cannot be started'
);

-- Colleagues: whoever opened it, owners and admins of its tenant, and the tenant itself
insert into auth.users (id) values
  ('00000000-0000-4000-8000-0000000000a2'), ('00000000-0000-4000-8000-0000000000a3');
insert into spend.tenant_members (tenant_id, user_id, role) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-0000000000a2', 'member'),
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-0000000000a3', 'admin');
select throws_ok(
  $$ select spend_private.claim_context('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-0000000000a2', 'talk', gen_random_uuid(), 'dead', p_now => pg_temp.at(70)) $$,
  '42501', 'not_your_context', 'another member of the tenant does not get it by the conversation''s id'
);
select is(
  (spend_private.use_context((pg_temp.context('dead')).id, '00000000-0000-4000-8000-0000000000a2', gen_random_uuid(), p_now => pg_temp.at(70))).outcome,
  'gone', 'nor by its own id'
);
select is_empty(
  $$ select spend.find_context((pg_temp.context('dead')).id, '00000000-0000-4000-8000-0000000000a2') $$, 'nor finds it'
);
select is(
  (spend_private.use_context((pg_temp.context('dead')).id, '00000000-0000-4000-8000-0000000000a3', gen_random_uuid(), p_now => pg_temp.at(70))).outcome,
  'ready', 'an admin of the tenant uses it'
);
select isnt_empty(
  $$ select spend.find_context((pg_temp.context('dead')).id, '00000000-0000-4000-8000-0000000000a3') $$, 'and finds it'
);
select is(
  (spend_private.claim_context('aaaaaaaa-0000-4000-8000-000000000001', null, 'talk', gen_random_uuid(), 'dead', p_now => pg_temp.at(70))).outcome,
  'ready', 'and so does the tenant itself'
);

-- Nobody knows when it died
select is((pg_temp.claim('lost', 40, 0, p_enforce => false)).outcome, 'create', 'one that will be lost');
select is((pg_temp.confirm('lost', 40, 'sb-lost', 0, 300)).outcome, 'ready', 'runs');
select is(pg_temp.finish('lost', 'terminated', 100), 'terminated', 'it is gone at 100 s, before its time-out');
select is(
  (select is_estimated from spend.cost_events where path_id = 'lost'), true, 'what is booked then is flagged as an estimate'
);

-- No room for more of its time
update spend.cost_quotas set limit_usd = 1 where tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001' and resource_type = 'e2b';
select is((pg_temp.claim('tight', 50, 0)).outcome, 'create', 'one that will have no room for more');
select is((pg_temp.confirm('tight', 50, 'sb-tight', 0, 300)).outcome, 'ready', 'runs');
update spend.cost_quotas set limit_usd = 0.001 where tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001' and resource_type = 'e2b';
select is((pg_temp.claim('tight', 51, 240, 90)).outcome, 'refused', 'a run that would outlast it is refused');
select is((pg_temp.claim('tight', 51, 240, 30)).outcome, 'ready', 'one that ends in time is not');
select is((pg_temp.claim('tight', 51, 240, 30)).is_extended, false, 'and extends nothing');

-- Strays
select is(
  pg_temp.stray('sb-stray', 0, 10),
  pg_temp.usd(10), 'a sandbox that no context knows is booked'
);
select is(
  pg_temp.stray('sb-stray', 0, 12),
  pg_temp.usd(2), 'it ran on until it was killed: the rest is booked'
);
select is(
  pg_temp.stray('sb-stray', 0, 12),
  0::numeric, 'once'
);
select is(pg_temp.booked('stray'), pg_temp.usd(12), 'and only once');
update spend.tenants set closed_at = now() where name = 'A';
select is(
  pg_temp.stray('sb-kill', 2, 70),
  pg_temp.usd(7), 'of a closed tenant too, without the 61 s that its context has paid for'
);
select is_empty('select * from spend.verify_balances()', 'the balances equal the ledger');

select * from finish();
rollback;
