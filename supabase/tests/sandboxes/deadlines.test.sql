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

-- Two use one sandbox: whoever comes second with less shortens nothing
select is(pg_temp.start('two', 100), 'create', 'a time-out of 100 s');
select is((pg_temp.confirm('two', 0, 100, 0)).outcome, 'ready', 'it runs');
select is((pg_temp.claim('two', 20, 120)).set_timeout_seconds, 120, 'B runs for 120 s at 20 s: to 140 s');
select is((pg_temp.confirm('two', 0, 140, 20, (pg_temp.context('two')).revision)).expires_at, pg_temp.at(140), 'E2B says so');
select is((pg_temp.claim('two', 31, 80)).set_timeout_seconds, 109, 'A runs for 80 s at 31 s: E2B is told 109 s, not 100');
select is(pg_temp.second((pg_temp.context('two')).held_until), 140::numeric, 'and no end moves back');
select is(pg_temp.held('two'), pg_temp.usd(140), '140 s are held');

-- An extension that E2B did not take
select is(pg_temp.start('deaf', 20), 'create', 'a time-out of 20 s');
select is((pg_temp.confirm('deaf', 0, 20, 0)).outcome, 'ready', 'it runs');
select is((pg_temp.claim('deaf', 17, 5)).is_extended, true, 'a run at 17 s has it extended, which fails');
select is(pg_temp.second((pg_temp.context('deaf')).expires_at), 20::numeric, 'the database does not believe that it was');
select is((pg_temp.claim('deaf', 18, 1)).is_extended, true, 'the next run has it extended, however short');
select is((pg_temp.confirm('deaf', 0, 20, 18, (pg_temp.context('deaf')).revision)).is_extended, true, 'E2B has not: it is to be told again');
select is((pg_temp.confirm('deaf', 0, 20, 18, (pg_temp.context('deaf')).revision)).set_timeout_seconds, 20, 'what is held, to 38 s');
select is((pg_temp.confirm('deaf', 0, 38, 19, (pg_temp.context('deaf')).revision)).is_extended, false, 'now it has');

-- Whoever extended it died before E2B''s word: nobody knows whether it lives
select is(pg_temp.start('open', 20), 'create', 'a time-out of 20 s');
select is((pg_temp.confirm('open', 0, 20, 0)).outcome, 'ready', 'it runs');
select is((pg_temp.claim('open', 17, 5)).is_extended, true, 'it is extended to 37 s, and nobody hears what E2B says');
select is((pg_temp.claim('open', 30, 1)).outcome, 'ready', 'at 30 s it is not given up unasked');
select is(pg_temp.finish('open', 'terminated', 'lost', 31), 'terminated', 'E2B does not have it');
select is(pg_temp.booked('open'), pg_temp.usd(31), 'it is booked to then');
select is(pg_temp.is_estimated('open'), true, 'and flagged: it ended at some time since 20 s');

-- A late confirmation
select is(pg_temp.start('late', 100), 'create', 'a time-out of 100 s');
select is((pg_temp.confirm('late', 0, 100, 0)).outcome, 'ready', 'it runs');
create temporary table seen as select (pg_temp.claim('late', 90, 10)).revision;
select is((pg_temp.claim('late', 95, 100)).is_extended, true, 'A looks at 90 s, B extends at 95 s to 195 s');
select is((pg_temp.confirm('late', 0, 195, 96, (pg_temp.context('late')).revision)).is_extended, false, 'E2B tells B so');
select is((pg_temp.confirm('late', 0, 100, 97, (select revision from seen))).outcome, 'again', 'A comes with the end that it saw before: it looks again');
select is(pg_temp.second((pg_temp.context('late')).expires_at), 195::numeric, 'nothing moves back');
select is((pg_temp.confirm('late', 0, 195, 98, (select revision from seen))).outcome, 'ready', 'what is no earlier is taken from anybody');
select is((pg_temp.confirm('late', 0, 150, 99, (pg_temp.context('late')).revision)).is_extended, true, 'E2B cut it since: who saw that last is believed, and is to put it off');
select is(pg_temp.second((pg_temp.context('late')).expires_at), 150::numeric, 'to 150 s');
select is((pg_temp.claim('late', 160, 1)).outcome, 'ready', 'at 160 s B may still be at it: it is not given up unasked');
select is((pg_temp.claim('late', 401, 1)).outcome, 'create', 'after all that was held it is');

-- Clocks
select is(pg_temp.start('ahead'), 'create', 'E2B''s clock is 30 s ahead');
select is(pg_temp.second((pg_temp.confirm('ahead', 30.2, 330.2, 0.5)).expires_at), 300::numeric, 'its end is told by our clock');
select is(pg_temp.second((pg_temp.context('ahead')).started_at), 0::numeric, 'it began when it was claimed, at the earliest');
select matches(pg_temp.problem('clock'), '30 s', 'which is on record');
select is(pg_temp.finish('ahead', 'terminated', 'killed', 2.1, p_seconds_ago => 0), 'terminated', 'it ran for 2.1 s');
select is(pg_temp.booked('ahead'), pg_temp.usd(3), '3 s are booked');
select is(pg_temp.is_estimated('ahead'), true, 'and flagged');
select is(pg_temp.start('behind'), 'create', 'E2B''s clock is an hour behind');
select is(pg_temp.second((pg_temp.confirm('behind', -3599.8, -3299.8, 0.5)).expires_at), 300::numeric, 'its end is told by our clock');
select is((pg_temp.claim('behind', 10, 5)).outcome, 'ready', 'it is used');
select is(pg_temp.finish('behind', 'paused', 'idle', 20.5, p_ended => -3584), 'paused', 'E2B paused it at 16 s');
select is(pg_temp.booked('behind'), pg_temp.usd(16), '16 s are booked');
select is(pg_temp.start('true'), 'create', 'a clock that agrees');
select is((pg_temp.confirm('true', 0.3, 300.3, 0.5)).outcome, 'ready', 'runs');
select is(pg_temp.problem('clock'), null, 'and the problem is resolved');
select is((pg_temp.confirm('true', 0.3, -100, 1, (pg_temp.context('true')).revision)).expires_at, pg_temp.at(300.3), 'an end of the past is no end of what runs');
select is(pg_temp.finish('true', 'terminated', 'killed', 10, p_ended => 5000), 'terminated', 'an end that is still to come');
select is(pg_temp.booked('true'), pg_temp.usd(10), 'is booked as now');
select is(pg_temp.is_estimated('true'), true, 'and flagged');

-- Sizes
select is(pg_temp.start('large'), 'create', '2 vCPU and 0.5 GiB are held');
select is((pg_temp.confirm('large', 0, 300, 0, null, 8, 16)).outcome, 'ready', 'E2B gives 8 and 16');
select is(pg_temp.held('large'), (8 * 0.000014 + 16 * 0.0000045) * 300, 'which are held');
select matches(pg_temp.problem('template small'), '8 vCPU and 16 GiB', 'and on record');
select is(pg_temp.finish('large', 'terminated', 'killed', 1, p_seconds_ago => 0), 'terminated', 'it ends');
update spend.cost_quotas set limit_usd = 0.05 where resource_type = 'e2b';
select is(pg_temp.start('huge'), 'create', 'where a quota has no room for that');
select is((pg_temp.confirm('huge', 0, 300, 0, null, 8, 16)).outcome, 'refused', 'it is refused');
select is(pg_temp.finish('huge', 'failed', 'too_large', 2, p_seconds_ago => 0), 'failed', 'and ended');
select is(pg_temp.booked('huge'), (8 * 0.000014 + 16 * 0.0000045) * 2, 'at its real size');
update spend.cost_quotas set limit_usd = 1 where resource_type = 'e2b';

-- Resuming
select is(pg_temp.start('again', 10), 'create', 'a time-out of 10 s');
select is((pg_temp.confirm('again', 0, 10, 0)).outcome, 'ready', 'runs');
select is(pg_temp.finish('again', 'paused', 'idle', 5, p_seconds_ago => 0), 'paused', 'is paused');
select is((pg_temp.claim('again', 100, 5)).outcome, 'resume', 'and resumed, but E2B gives no answer');
select is(
  (select spend_private.fail_context(c.tenant_id, c.id, c.claim_id, 'unknown', 'test', pg_temp.at(101)) from pg_temp.context('again') as c),
  'creating', 'nobody knows whether it runs'
);
select is((pg_temp.claim('again', 102, 9)).outcome, 'resume', 'whoever comes next resumes it at once');
select is((pg_temp.confirm('again', 0, 112, 103)).is_extended, false, 'it runs until 112 s, for both');
select is(pg_temp.held('again'), pg_temp.usd(12), '12 s are held, from the first claim on');
select is(pg_temp.finish('again', 'paused', 'idle', 105, p_revision => 0), 'running', 'who knows an earlier state pauses nothing');
select is(pg_temp.finish('again', 'terminated', 'lost', 200), 'terminated', 'lost, which is noticed after its time-out');
select is(pg_temp.is_estimated('again'), true, 'is flagged');

-- Paused for too long, and whose turn it is
select is(pg_temp.start('old'), 'create', 'one that will be paused for long');
select is((pg_temp.confirm('old', 0, 300, 0)).outcome, 'ready', 'runs');
select is(pg_temp.finish('old', 'paused', 'idle', 5, p_seconds_ago => 0), 'paused', 'is paused at 5 s');
select is((select count(*) from spend_private.end_long_paused(60, 10, pg_temp.at(64))), 0::bigint, 'is left alone for 60 s');
select is((select count(distinct path_id) from (select * from spend.look_at_paused(1) union all select * from spend.look_at_paused(1)) as l), 2::bigint, 'is looked for, in turn with the other');
select is((select array_agg(path_id) from spend_private.end_long_paused(60, 10, pg_temp.at(66))), array['old'], 'and ends then');

select * from finish();
rollback;
