begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(78);

insert into auth.users (id) values ('00000000-0000-4000-8000-00000000000a');
insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
insert into spend.tenant_members (tenant_id, user_id) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a');
insert into spend.sandbox_templates (template, vcpus, memory_gib) values ('small', 2, 0.5);

-- Noon yesterday, and seconds after it.
create function pg_temp.at(p_seconds numeric) returns timestamptz language sql as $$
  select date_trunc('day', now()) - interval '12 hours' + make_interval(secs => p_seconds::double precision)
$$;
create function pg_temp.second(p_moment timestamptz) returns numeric language sql as $$
  select extract(epoch from p_moment - pg_temp.at(0))::numeric
$$;
create function pg_temp.claim(
  p_path text, p_second numeric, p_run_seconds integer default 0, p_timeout integer default 300,
  p_template text default 'small', p_enforce boolean default true
)
returns spend.context_claim language sql as $$
  select spend_private.claim_context(
    'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'talk', gen_random_uuid(),
    p_path, p_template, p_timeout_seconds => p_timeout, p_run_seconds => p_run_seconds, p_enforce => p_enforce,
    p_now => pg_temp.at(p_second)
  )
$$;
create function pg_temp.context(p_path text) returns spend.execution_contexts language sql as $$
  select c from spend.execution_contexts as c where c.path_id = p_path order by c.created_at desc limit 1
$$;
-- What E2B says, by its own clock, heard at p_second.
create function pg_temp.confirm(
  p_path text, p_start numeric, p_end numeric, p_second numeric, p_revision integer default null,
  p_vcpus integer default 2, p_memory_gib numeric default 0.5
)
returns spend.context_claim language sql as $$
  select spend_private.confirm_context(
    c.tenant_id, c.id, c.claim_id, 'sb-' || p_path, pg_temp.at(p_start), pg_temp.at(p_end), p_vcpus, p_memory_gib,
    p_revision, true, pg_temp.at(p_second)
  )
  from pg_temp.context(p_path) as c
$$;
create function pg_temp.start(p_path text, p_timeout integer default 300) returns text language sql as $$
  select (pg_temp.claim(p_path, 0, p_timeout => p_timeout)).outcome
$$;
create function pg_temp.finish(
  p_path text, p_status text, p_reason text, p_second numeric, p_ended numeric default null,
  p_seconds_ago numeric default null, p_revision integer default null
)
returns text language sql as $$
  select spend_private.end_context(
    c.tenant_id, c.id, p_status, p_reason, null, pg_temp.at(p_ended), p_seconds_ago, p_revision, pg_temp.at(p_second)
  )
  from pg_temp.context(p_path) as c
$$;
create function pg_temp.usd(p_seconds numeric) returns numeric language sql as $$
  select (2 * 0.000014 + 0.5 * 0.0000045) * p_seconds
$$;
create function pg_temp.held(p_path text) returns numeric language sql as $$
  select sum(estimated_cost_usd) from spend.reservations where path_id = p_path and status = 'held'
$$;
create function pg_temp.booked(p_path text) returns numeric language sql as $$
  select sum(cost_usd) from spend.cost_events where path_id = p_path
$$;
create function pg_temp.is_estimated(p_path text) returns boolean language sql as $$
  select bool_or(is_estimated) from spend.cost_events where path_id = p_path
$$;
create function pg_temp.problem(p_subject text) returns text language sql as $$
  select message from spend.problems where job = 'sandboxes' and subject = p_subject and resolved_at is null
$$;

-- Two users share a sandbox: a shorter run does not shorten its time
select is(pg_temp.start('two', 100), 'create', 'A sandbox with a time-out of 100 s is created');
select is((pg_temp.confirm('two', 0, 100, 0)).outcome, 'ready', 'The sandbox runs');
select is((pg_temp.claim('two', 20, 120)).set_timeout_seconds, 120, 'A second user''s run of 120 s at 20 s extends it to 140 s');
select is((pg_temp.confirm('two', 0, 140, 20, (pg_temp.context('two')).revision)).expires_at, pg_temp.at(140), 'E2B says that it ends at 140 s');
select is((pg_temp.claim('two', 31, 80)).set_timeout_seconds, 109, 'A first user''s run of 80 s at 31 s asks E2B for 109 s, and not for 100');
select is(pg_temp.second((pg_temp.context('two')).held_until), 140::numeric, 'A shorter run does not move the end back');
select is(pg_temp.held('two'), pg_temp.usd(140), '140 s are held for both runs');

-- An extension that E2B did not take
select is(pg_temp.start('unconfirmed', 20), 'create', 'A sandbox with a time-out of 20 s is created');
select is((pg_temp.confirm('unconfirmed', 0, 20, 0)).outcome, 'ready', 'The sandbox with 20 s runs');
select is((pg_temp.claim('unconfirmed', 17, 5)).is_extended, true, 'A run at 17 s asks for an extension, which fails');
select is(pg_temp.second((pg_temp.context('unconfirmed')).expires_at), 20::numeric, 'The context keeps its end while E2B has not confirmed');
select is((pg_temp.claim('unconfirmed', 18, 1)).is_extended, true, 'The next run, however short, asks for the extension again');
select is((pg_temp.confirm('unconfirmed', 0, 20, 18, (pg_temp.context('unconfirmed')).revision)).is_extended, true, 'A report of the old end asks for the extension again');
select is((pg_temp.confirm('unconfirmed', 0, 20, 18, (pg_temp.context('unconfirmed')).revision)).set_timeout_seconds, 20, 'The report asks for what is held, up to 38 s');
select is((pg_temp.confirm('unconfirmed', 0, 38, 19, (pg_temp.context('unconfirmed')).revision)).is_extended, false, 'A report of the new end confirms the extension');

-- The caller who extended a sandbox died before E2B answered: nobody knows whether it lives
select is(pg_temp.start('open', 20), 'create', 'A sandbox whose extension nobody will confirm is created');
select is((pg_temp.confirm('open', 0, 20, 0)).outcome, 'ready', 'The sandbox runs before its extension');
select is((pg_temp.claim('open', 17, 5)).is_extended, true, 'A run asks for an extension to 37 s, and nobody hears what E2B says');
select is((pg_temp.claim('open', 30, 1)).outcome, 'ready', 'At 30 s the context is not given up without asking E2B');
select is(pg_temp.finish('open', 'terminated', 'lost', 31), 'terminated', 'E2B does not have the sandbox any more');
select is(pg_temp.booked('open'), pg_temp.usd(31), 'The sandbox is booked up to that moment');
select is(pg_temp.is_estimated('open'), true, 'The booking is marked as estimated, because the sandbox ended at some time after 20 s');

-- A late confirmation
select is(pg_temp.start('late', 100), 'create', 'A sandbox that two users will confirm is created');
select is((pg_temp.confirm('late', 0, 100, 0)).outcome, 'ready', 'The sandbox of two users runs');
create temporary table seen as select (pg_temp.claim('late', 90, 10)).revision;
select is((pg_temp.claim('late', 95, 100)).is_extended, true, 'A second user extends it to 195 s, after the first has looked at it');
select is((pg_temp.confirm('late', 0, 195, 96, (pg_temp.context('late')).revision)).is_extended, false, 'E2B confirms the second user''s extension');
select is((pg_temp.confirm('late', 0, 100, 97, (select revision from seen))).outcome, 'again', 'The first user''s old end is not taken, and he is told to look again');
select is(pg_temp.second((pg_temp.context('late')).expires_at), 195::numeric, 'An old end does not move the end back');
select is((pg_temp.confirm('late', 0, 195, 98, (select revision from seen))).outcome, 'ready', 'An end that is no earlier is taken from anybody');
select is((pg_temp.confirm('late', 0, 150, 99, (pg_temp.context('late')).revision)).is_extended, true, 'An earlier end is taken from who saw the last state, and the extension is asked for again');
select is(pg_temp.second((pg_temp.context('late')).expires_at), 150::numeric, 'The context ends at 150 s after it');
select is((pg_temp.claim('late', 160, 1)).outcome, 'ready', 'At 160 s the context is not given up while the second user may run');
select is((pg_temp.claim('late', 401, 1)).outcome, 'create', 'After all that was held, a new sandbox is created');

-- Clocks
select is(pg_temp.start('ahead'), 'create', 'A sandbox is created while E2B''s clock is 30 s ahead');
select is(pg_temp.second((pg_temp.confirm('ahead', 30.2, 330.2, 0.5)).expires_at), 300::numeric, 'Its end is told by the database''s clock');
select is(pg_temp.second((pg_temp.context('ahead')).started_at), 0::numeric, 'Its start is the claim, at the earliest');
select matches(pg_temp.problem('clock'), '30 s', 'A clock that is 30 s off is a problem');
select is(pg_temp.finish('ahead', 'terminated', 'killed', 2.1, p_seconds_ago => 0), 'terminated', 'The sandbox ends after 2.1 s');
select is(pg_temp.booked('ahead'), pg_temp.usd(3), '3 s are booked');
select is(pg_temp.is_estimated('ahead'), true, 'The booking is marked as estimated while the clocks disagree');
select is(pg_temp.start('behind'), 'create', 'A sandbox is created while E2B''s clock is an hour behind');
select is(pg_temp.second((pg_temp.confirm('behind', -3599.8, -3299.8, 0.5)).expires_at), 300::numeric, 'The end of that sandbox is told by the database''s clock');
select is((pg_temp.claim('behind', 10, 5)).outcome, 'ready', 'A run uses that sandbox');
select is(pg_temp.finish('behind', 'paused', 'idle', 20.5, p_ended => -3584), 'paused', 'E2B pauses it at 16 s of its life');
select is(pg_temp.booked('behind'), pg_temp.usd(16), '16 s are booked for it');
select is(pg_temp.start('true'), 'create', 'A sandbox is created while the clocks agree');
select is((pg_temp.confirm('true', 0.3, 300.3, 0.5)).outcome, 'ready', 'The sandbox runs while the clocks agree');
select is(pg_temp.problem('clock'), null, 'The problem of the clock is resolved when the clocks agree');
select is((pg_temp.confirm('true', 0.3, -100, 1, (pg_temp.context('true')).revision)).expires_at, pg_temp.at(300.3), 'An end in the past does not end a sandbox that runs');
select is(pg_temp.finish('true', 'terminated', 'killed', 10, p_ended => 5000), 'terminated', 'A report of an end in the future ends the sandbox');
select is(pg_temp.booked('true'), pg_temp.usd(10), 'An end in the future is booked as now');
select is(pg_temp.is_estimated('true'), true, 'A booking of an end in the future is marked as estimated');

-- Sizes
select is(pg_temp.start('large'), 'create', 'A sandbox that E2B makes larger is created for 2 vCPU and 0.5 GiB');
select is((pg_temp.confirm('large', 0, 300, 0, null, 8, 16)).outcome, 'ready', 'E2B makes it with 8 vCPU and 16 GiB');
select is(pg_temp.held('large'), (8 * 0.000014 + 16 * 0.0000045) * 300, 'The real size is held');
select matches(pg_temp.problem('template small'), '8 vCPU and 16 GiB', 'The wrong size of the template is a problem');
select is(pg_temp.finish('large', 'terminated', 'killed', 1, p_seconds_ago => 0), 'terminated', 'The large sandbox ends');
update spend.cost_quotas set limit_usd = 0.05 where resource_type = 'e2b';
select is(pg_temp.start('huge'), 'create', 'A sandbox is created on a quota that has no room for its real size');
select is((pg_temp.confirm('huge', 0, 300, 0, null, 8, 16)).outcome, 'refused', 'The real size is refused');
select is(pg_temp.finish('huge', 'failed', 'too_large', 2, p_seconds_ago => 0), 'failed', 'The refused sandbox ends');
select is(pg_temp.booked('huge'), (8 * 0.000014 + 16 * 0.0000045) * 2, 'The refused sandbox is booked at its real size');
update spend.cost_quotas set limit_usd = 1 where resource_type = 'e2b';

-- Resuming
select is(pg_temp.start('again', 10), 'create', 'A sandbox with a time-out of 10 s is created');
select is((pg_temp.confirm('again', 0, 10, 0)).outcome, 'ready', 'The sandbox with 10 s runs');
select is(pg_temp.finish('again', 'paused', 'idle', 5, p_seconds_ago => 0), 'paused', 'The sandbox with 10 s is paused');
select is((pg_temp.claim('again', 100, 5)).outcome, 'resume', 'It is resumed, and E2B gives no answer');
select is(
  (select spend_private.fail_context(c.tenant_id, c.id, c.claim_id, 'unknown', 'test', pg_temp.at(101)) from pg_temp.context('again') as c),
  'creating', 'After no answer nobody knows whether it runs'
);
select is((pg_temp.claim('again', 102, 9)).outcome, 'resume', 'The next caller resumes it at once');
select is((pg_temp.confirm('again', 0, 112, 103)).is_extended, false, 'It runs until 112 s for both callers');
select is(pg_temp.held('again'), pg_temp.usd(12), '12 s are held, from the first claim on');
select is(pg_temp.finish('again', 'paused', 'idle', 105, p_revision => 0), 'running', 'A caller who knows an earlier state cannot pause it');
select is(pg_temp.finish('again', 'terminated', 'lost', 200), 'terminated', 'The sandbox is lost, which is noticed after its time-out');
select is(pg_temp.is_estimated('again'), true, 'The booking of a lost sandbox is marked as estimated');

-- Paused for too long, and whose turn it is
select is(pg_temp.start('old'), 'create', 'A sandbox that will be paused for long is created');
select is((pg_temp.confirm('old', 0, 300, 0)).outcome, 'ready', 'The sandbox runs before its long pause');
select is(pg_temp.finish('old', 'paused', 'idle', 5, p_seconds_ago => 0), 'paused', 'The sandbox is paused at 5 s');
select is((select count(*) from spend_private.end_long_paused(60, 10, pg_temp.at(64))), 0::bigint, 'A sandbox that is paused for less than 60 s is left alone');
select is((select count(distinct path_id) from (select * from spend.look_at_paused(1) union all select * from spend.look_at_paused(1)) as l), 2::bigint, 'Paused sandboxes are looked at in turn');
select is((select array_agg(path_id) from spend_private.end_long_paused(60, 10, pg_temp.at(66))), array['old'], 'A sandbox that is paused for more than 60 s ends');

select * from finish();
rollback;
