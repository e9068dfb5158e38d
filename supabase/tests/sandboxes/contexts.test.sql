begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(91);

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
select is((pg_temp.claim('kill', 1, 0)).outcome, 'create', 'The first caller of a path creates its sandbox');
select is(pg_temp.held('kill'), 0.009075::numeric, '300 s of 2 vCPU and 0.5 GiB hold (2 × 0.000014 + 0.5 × 0.0000045) × 300 = $0.009075');
select is((pg_temp.claim('kill', 1, 1)).outcome, 'create', 'The same claim again gets the same answer');
select is((pg_temp.claim('kill', 2, 1)).outcome, 'wait', 'A second caller waits');
select is((pg_temp.claim('other', 3, 1)).outcome, 'create', 'Another path is another sandbox');
select is((pg_temp.claim(null, 4, 1)).outcome, 'create', 'A conversation without a path has a sandbox of its own');
select is((pg_temp.claim(null, 5, 1)).outcome, 'wait', 'A second caller without a path waits for it');
select is((pg_temp.confirm('other', 1, 'sb-other', 2, 302)).outcome, 'gone', 'A caller without the claim confirms nothing');
select is((pg_temp.confirm('kill', 1, 'sb-kill', 2, 302)).outcome, 'ready', 'The creator confirms that the sandbox runs');
select is((pg_temp.claim('kill', 2, 3)).outcome, 'ready', 'The caller who waited gets the sandbox');
select is((pg_temp.claim('kill', 2, 3)).sandbox_id, 'sb-kill', 'The caller who waited gets the same sandbox');
select is(pg_temp.held('kill'), pg_temp.usd(300), 'Connecting again holds nothing more');
select is(pg_temp.finish('kill', 'terminated', 63), 'terminated', 'The sandbox is killed after 61 s');
select is(pg_temp.booked('kill'), 0.00184525::numeric, '61 s are booked at (2 × 0.000014 + 0.5 × 0.0000045) × 61 = $0.00184525');
select is(pg_temp.held('kill'), null, 'Nothing is held after the kill');
select is(pg_temp.finish('kill', 'terminated', 99), 'terminated', 'A second kill answers the same');
select is(pg_temp.booked('kill'), 0.00184525::numeric, 'A second kill books nothing');
select is(pg_temp.finish('kill', 'paused', 99), 'terminated', 'A late pause does not change a sandbox that has ended');
select is((pg_temp.claim('kill', 6, 100)).outcome, 'create', 'The path may have a new sandbox after the kill');

select throws_ok(
  $$ insert into spend.execution_contexts select (jsonb_populate_record(pg_temp.context('other'), '{"id": "00000000-0000-4000-8000-0000000000ff"}')).* $$,
  '23505', null, 'A path cannot have two open contexts, whoever inserts them'
);

-- Extended twice, paused, resumed, timed out
select is((pg_temp.claim('long', 10, 0)).outcome, 'create', 'A caller creates a sandbox on another path');
select is((pg_temp.confirm('long', 10, 'sb-long', 0, 300)).outcome, 'ready', 'The sandbox on that path runs');
select is((pg_temp.claim('long', 11, 80, 60)).is_extended, false, 'A run that leaves half of the time-out extends nothing');
select is((pg_temp.claim('long', 11, 250, 60)).set_timeout_seconds, 300, 'A run that leaves less than half of it extends to 300 s from now');
select is(pg_temp.held('long'), pg_temp.usd(550), '250 s that ran and 300 s to come are held');
select is((pg_temp.context('long')).expires_at, pg_temp.at(300), 'The context ends as E2B said before, until E2B says more');
select is((pg_temp.confirm('long', 0, 'sb-long', 0, 550, 251, (pg_temp.context('long')).revision)).is_extended, false, 'E2B says that the sandbox ends later');
select is((pg_temp.context('long')).expires_at, pg_temp.at(550), 'The context ends later then');
select is((pg_temp.claim('long', 12, 500, 60)).set_timeout_seconds, 300, 'A later run extends again');
select is(pg_temp.held('long'), pg_temp.usd(800), '500 s that ran and 300 s to come are held');
select is(spend_private.claim_pause((pg_temp.context('long')).tenant_id, (pg_temp.context('long')).id, 60, p_now => pg_temp.at(600)), false, 'A sandbox that is not idle for 60 s cannot be paused');
select is(spend_private.claim_pause((pg_temp.context('long')).tenant_id, (pg_temp.context('long')).id, 60, p_now => pg_temp.at(620)), true, 'A sandbox that is idle for 60 s may be paused');
select is(spend_private.claim_pause((pg_temp.context('long')).tenant_id, (pg_temp.context('long')).id, 60, p_now => pg_temp.at(620)), false, 'A second caller may not pause it');
select is((pg_temp.claim('long', 13, 621)).outcome, 'wait', 'A run waits for the pause');
select is(pg_temp.finish('long', 'paused', 622), 'paused', 'The sandbox is paused after 622 s');
select is(pg_temp.booked('long'), pg_temp.usd(622), '622 s are booked');
select is(pg_temp.held('long'), null, 'A paused sandbox holds nothing');
select is((pg_temp.claim('long', 14, 9000)).outcome, 'resume', 'The next caller resumes it');
select is((pg_temp.claim('long', 15, 9001)).outcome, 'wait', 'A second caller waits for the resume');
select is((pg_temp.claim('long', 16, 9061)).outcome, 'resume', 'A claim that died is taken over after 60 s');
select is(pg_temp.held('long'), pg_temp.usd(300), 'The next claim uses the hold that is there');
select is((pg_temp.confirm('long', 16, 'sb-long', 0, 9362, 9062)).outcome, 'ready', 'The resumed sandbox runs, even if E2B tells its first start');
select is(pg_temp.finish('long', 'paused', 9100, null, 622), 'running', 'A late report of its first pause does not end it');
select is((pg_temp.claim('long', 17, 9500)).outcome, 'create', 'After its time-out a new sandbox is created');
select is(pg_temp.booked('long'), pg_temp.usd(622 + 362), 'The resumed sandbox is booked for 362 s to its end, without the paused time');

-- Claims that die
select is((pg_temp.claim('dead', 20, 0)).outcome, 'create', 'A caller creates a sandbox, and dies');
select is((pg_temp.claim('dead', 21, 61)).outcome, 'create', 'Its claim is taken over after 60 s');
select is(
  (select (spend_private.confirm_context(tenant_id, id, claim_id, 'sb-late', pg_temp.at(5), pg_temp.at(305), 2, 0.5)).outcome
   from spend.execution_contexts where claim_id = pg_temp.claim_id(20)), 'gone', 'The first creator is told that its claim is gone'
);
select is((pg_temp.confirm('dead', 21, 'sb-new', 62, 362)).outcome, 'ready', 'The second creator''s sandbox runs');
select is(
  (select spend_private.end_context(tenant_id, id, 'failed', 'lost_claim', pg_temp.at(5), pg_temp.at(65), p_now => pg_temp.at(70))
   from spend.execution_contexts where claim_id = pg_temp.claim_id(20)), 'failed', 'The first creator ends the sandbox that it made'
);
select is(pg_temp.booked('dead'), pg_temp.usd(60), 'The 60 s of the first creator''s sandbox are booked');
select is((pg_temp.claim('never', 22, 0)).outcome, 'create', 'A caller claims a sandbox that E2B never makes');
select is(
  (select spend_private.resolve_context(tenant_id, id, pg_temp.at(59), pg_temp.at(59)) from spend.execution_contexts where claim_id = pg_temp.claim_id(22)),
  null, 'The context is left alone while its claim lasts'
);
select is(
  (select spend_private.resolve_context(tenant_id, id, pg_temp.at(90), pg_temp.at(90)) from spend.execution_contexts where claim_id = pg_temp.claim_id(22)),
  'released', 'A sandbox that is not listed while it would still run never started, and is released'
);
select is(pg_temp.held('never'), null, 'A context that never started holds nothing');
select is((pg_temp.claim('maybe', 23, 0)).outcome, 'create', 'A caller claims a sandbox that nobody looks for');
select is(
  (select spend_private.resolve_context(tenant_id, id, pg_temp.at(400), pg_temp.at(400)) from spend.execution_contexts where claim_id = pg_temp.claim_id(23)),
  'booked', 'A sandbox that may have run is booked'
);
select is(pg_temp.booked('maybe'), pg_temp.usd(300), 'A sandbox that may have run is booked at its estimate');

-- Refusals and strangers
update spend.cost_quotas set limit_usd = 0.03 where tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001' and resource_type = 'e2b';
select is((pg_temp.claim('refused path', 30, 0, p_timeout => 3000)).outcome, 'refused', 'A quota that is used up refuses a sandbox');
select is((pg_temp.context('refused path')).id, null, 'A refused sandbox makes no context');
select is((pg_temp.claim('refused path', 31, 0, p_timeout => 3000, p_enforce => false)).outcome, 'create', 'A quota that is used up admits a sandbox with enforce = false');
select throws_ok(
  $$ select spend.claim_context('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000b', 'talk', gen_random_uuid(), 'kill') $$,
  '42501', 'not_a_member', 'A user of another tenant cannot claim a sandbox that is there'
);
select is(
  (spend.use_context((pg_temp.context('dead')).id, '00000000-0000-4000-8000-00000000000b', gen_random_uuid())).outcome, 'gone',
  'A user of another tenant cannot use a sandbox by its id'
);
select throws_ok(
  $$ select spend.claim_context('aaaaaaaa-0000-4000-8000-000000000001', null, 'talk', gen_random_uuid(), template => 'huge') $$,
  '22023', 'invalid_usage', 'A template without a size is refused'
);

-- A sandbox is used by the member who opened it, by owners and admins, and by the tenant itself
insert into auth.users (id) values
  ('00000000-0000-4000-8000-0000000000a2'), ('00000000-0000-4000-8000-0000000000a3');
insert into spend.tenant_members (tenant_id, user_id, role) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-0000000000a2', 'member'),
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-0000000000a3', 'admin');
select throws_ok(
  $$ select spend_private.claim_context('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-0000000000a2', 'talk', gen_random_uuid(), 'dead', p_now => pg_temp.at(70)) $$,
  '42501', 'not_your_context', 'Another member cannot claim a colleague''s sandbox by its conversation'
);
select is(
  (spend_private.use_context((pg_temp.context('dead')).id, '00000000-0000-4000-8000-0000000000a2', gen_random_uuid(), p_now => pg_temp.at(70))).outcome,
  'gone', 'Another member cannot use a colleague''s sandbox by its id'
);
select is_empty(
  $$ select spend.find_context((pg_temp.context('dead')).id, '00000000-0000-4000-8000-0000000000a2') $$, 'Another member does not find a colleague''s sandbox'
);
select is(
  (spend_private.use_context((pg_temp.context('dead')).id, '00000000-0000-4000-8000-0000000000a3', gen_random_uuid(), p_now => pg_temp.at(70))).outcome,
  'ready', 'An admin uses a member''s sandbox'
);
select isnt_empty(
  $$ select spend.find_context((pg_temp.context('dead')).id, '00000000-0000-4000-8000-0000000000a3') $$, 'An admin finds a member''s sandbox'
);
select is(
  (spend_private.claim_context('aaaaaaaa-0000-4000-8000-000000000001', null, 'talk', gen_random_uuid(), 'dead', p_now => pg_temp.at(70))).outcome,
  'ready', 'The tenant itself uses a member''s sandbox'
);
select is(
  (spend_private.use_context((pg_temp.context('dead')).id, null, gen_random_uuid(), p_tenant_id => 'aaaaaaaa-0000-4000-8000-000000000001', p_now => pg_temp.at(70))).outcome,
  'ready', 'The tenant itself uses a member''s sandbox by its id'
);
select isnt_empty(
  $$ select spend.find_context((pg_temp.context('dead')).id, null, 'aaaaaaaa-0000-4000-8000-000000000001') $$, 'The tenant itself finds a member''s sandbox'
);
select is(
  (spend.use_context((pg_temp.context('dead')).id, null, gen_random_uuid(), tenant_id => 'bbbbbbbb-0000-4000-8000-000000000002')).outcome,
  'gone', 'Another tenant cannot use a sandbox by its id'
);
select is(
  (spend.use_context((pg_temp.context('dead')).id, null, gen_random_uuid())).outcome,
  'gone', 'Nobody, in no tenant, cannot use a sandbox by its id'
);
select is_empty(
  $$ select c.id from (values ('bbbbbbbb-0000-4000-8000-000000000002'::uuid), (null)) as t (id)
     cross join lateral spend.find_context((pg_temp.context('dead')).id, null, t.id) as c $$,
  'Another tenant, and nobody in no tenant, do not find it'
);
select is_empty(
  $$ select spend.find_context((pg_temp.context('dead')).id, '00000000-0000-4000-8000-0000000000a3', 'bbbbbbbb-0000-4000-8000-000000000002') $$,
  'An admin of its tenant does not find it in another tenant''s name'
);

-- Nobody knows when it died
select is((pg_temp.claim('lost', 40, 0, p_enforce => false)).outcome, 'create', 'A caller creates a sandbox that will be lost');
select is((pg_temp.confirm('lost', 40, 'sb-lost', 0, 300)).outcome, 'ready', 'The sandbox runs before it is lost');
select is(pg_temp.finish('lost', 'terminated', 100), 'terminated', 'A sandbox that is gone before its time-out has ended');
select is(
  (select is_estimated from spend.cost_events where path_id = 'lost'), true, 'A sandbox that ended at an unknown time is booked as an estimate'
);

-- No room for more of its time
update spend.cost_quotas set limit_usd = 1 where tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001' and resource_type = 'e2b';
select is((pg_temp.claim('no room', 50, 0)).outcome, 'create', 'A caller creates a sandbox on a quota that will have no room');
select is((pg_temp.confirm('no room', 50, 'sb-no-room', 0, 300)).outcome, 'ready', 'The sandbox runs');
update spend.cost_quotas set limit_usd = 0.001 where tenant_id = 'aaaaaaaa-0000-4000-8000-000000000001' and resource_type = 'e2b';
select is((pg_temp.claim('no room', 51, 240, 90)).outcome, 'refused', 'A run that would outlast the sandbox is refused when there is no room');
select is((pg_temp.claim('no room', 51, 240, 30)).outcome, 'ready', 'A run that ends in time is admitted');
select is((pg_temp.claim('no room', 51, 240, 30)).is_extended, false, 'A run that ends in time extends nothing');

-- Strays
select is(
  pg_temp.stray('sb-stray', 0, 10),
  pg_temp.usd(10), 'A sandbox that no context knows is booked for 10 s'
);
select is(
  pg_temp.stray('sb-stray', 0, 12),
  pg_temp.usd(2), 'The 2 s that it ran on are booked'
);
select is(
  pg_temp.stray('sb-stray', 0, 12),
  0::numeric, 'The same report again books nothing'
);
select is(pg_temp.booked('stray'), pg_temp.usd(12), 'A sandbox that no context knows is booked once in all');
update spend.tenants set closed_at = now() where name = 'A';
select is(
  pg_temp.stray('sb-kill', 2, 70),
  pg_temp.usd(7), 'A stray sandbox of a closed tenant is booked, without the 61 s that its context paid'
);
select is_empty('select * from spend.verify_balances()', 'The balances equal the ledger after all sandboxes');

select * from finish();
rollback;
