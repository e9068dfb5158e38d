begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(33);

-- One row per job and subject, one alert per time that it is new.
create function pg_temp.problem(p_subject text) returns text language sql as $$
  select format('%s: %s times, %s, retried after %s', p.message, p.times, case when p.resolved_at is null then 'open' else 'resolved' end, p.retry_at - p.last_seen_at)
  from spend.problems as p where p.subject = p_subject
$$;
create function pg_temp.alerts(p_subject text) returns text language sql as $$
  select string_agg(a.kind || ': ' || (a.facts ->> 'message'), ', ' order by a.id)
  from spend.alerts as a where a.facts ->> 'subject' = p_subject
$$;
select spend_private.record_problem('expire_reservations', 'one', 'broken', '{"a": 1}');
select is(pg_temp.problem('one'), 'broken: 1 times, open, retried after 00:01:00', 'The first failure opens a problem that is retried after a minute');
select is(pg_temp.alerts('one'), 'job_failed: broken', 'A new problem records an alert');
select spend_private.record_problem('expire_reservations', 'one', 'broken again');
select is(pg_temp.problem('one'), 'broken again: 2 times, open, retried after 00:02:00', 'The second failure counts, and waits 2 minutes');
select is((select details from spend.problems where subject = 'one'), '{}', 'A problem keeps the details of its last failure');
select spend_private.record_problem('expire_reservations', 'one', 'broken') from generate_series(1, 10);
select is(pg_temp.problem('one'), 'broken: 12 times, open, retried after 01:00:00', 'After many failures the retry waits an hour and no longer');
select is(pg_temp.alerts('one'), 'job_failed: broken', 'A problem that stays open records one alert');
select spend_private.resolve_problem('expire_reservations', 'two');
select spend_private.resolve_problem('roll_up', 'one');
select is((select count(*) from spend.problems where resolved_at is not null), 0::bigint, 'Resolving another subject or another job leaves the problem open');
select spend_private.resolve_problem('expire_reservations', 'one');
select is(pg_temp.problem('one'), 'broken: 12 times, resolved, retried after 01:00:00', 'A problem is resolved by its job and subject');
select spend_private.record_problem('expire_reservations', 'one', 'back');
select is(pg_temp.problem('one'), 'back: 13 times, open, retried after 01:00:00', 'A resolved problem that fails again is open again');
select is(pg_temp.alerts('one'), 'job_failed: broken, job_failed: back', 'A problem that is open again records another alert');
select spend_private.record_problem('verify', 'balances', '3 differ');
select is(pg_temp.alerts('balances'), 'verification_failed: 3 differ', 'A problem that verification finds records an alert of kind verification_failed');
select is(
  (select facts from spend.alerts where kind = 'verification_failed'),
  (select jsonb_build_object('problem_id', p.id, 'job', 'verify', 'subject', 'balances', 'message', '3 differ', 'details', '{}'::jsonb)
   from spend.problems as p where p.job = 'verify'),
  'The facts of an alert say which problem it is about'
);
select is((select count(*) from spend.claim_deliveries('[{"name": "hook", "kind": "webhook", "quiet_minutes": 0}]')), 3::bigint, 'Alerts about problems are delivered like all others');

-- Alerts are about a quota, or have facts.
select throws_ok(c.command, '23514', null, 'An alert is refused: ' || c.why)
from (values
  ('insert into spend.alerts (kind) values (''job_failed'')', 'no facts'),
  ('insert into spend.alerts (kind, facts) values (''quota_warning'', ''{}'')', 'a warning about no quota'),
  ('insert into spend.alerts (kind, facts, quota_id) values (''job_failed'', ''{}'', 1)', 'a failure about a quota'),
  ('insert into spend.alerts (kind, facts) values (''other'', ''{}'')', 'an unknown kind')
) as c (command, why);

-- Workers outside of the database
select is(spend.report_problems('reconcile', '[{"subject": "a", "message": "gone", "details": {"status": 500}}, {"subject": "b", "message": "slow"}]'), 2, 'A worker reports two problems of one run');
select is(spend.report_problems('reconcile', '[{"subject": "b", "message": "slow"}]'), 1, 'A worker''s next report has one of the two problems');
select is(pg_temp.problem('a'), 'gone: 1 times, resolved, retried after 00:01:00', 'A problem that the next report leaves out is resolved');
select is(pg_temp.problem('b'), 'slow: 2 times, open, retried after 00:02:00', 'A problem that is reported again counts twice');
select is(spend.report_problems('reconcile', '[]'), 0, 'A worker reports an empty list');
select is((select count(*) from spend.problems where job = 'reconcile' and resolved_at is null), 0::bigint, 'An empty report resolves all problems of that worker');
select is((select count(*) from spend.problems where resolved_at is null), 2::bigint, 'An empty report leaves the problems of other jobs open');
select throws_ok('select spend.report_problems(''roll_up'', ''[]'')', '22023', 'invalid_problem', 'A worker cannot report problems of a job of the database');
select throws_ok('select spend.report_problems(''reconcile'', ''{}'')', '22023', 'invalid_problem', 'A report that is no list is refused');

-- Who may
select ok(has_table_privilege('service_role', 'spend.problems', 'select'), 'service_role reads problems');
select is(
  (select string_agg(r.role || ' ' || p.privilege, ', ')
   from unnest(array['anon', 'authenticated', 'service_role']) as r (role), unnest(array['select', 'insert', 'update', 'delete']) as p (privilege)
   where has_table_privilege(r.role, 'spend.problems', p.privilege)),
  'authenticated select, service_role select', 'Users, by a policy for operators, and service_role read problems, and nobody writes them'
);
select ok(has_function_privilege('service_role', 'spend.report_problems(text, jsonb)', 'execute'), 'service_role may report problems');
select ok(not has_function_privilege('authenticated', 'spend.report_problems(text, jsonb)', 'execute'), 'Users may not report problems');

-- Retention
update spend.problems set resolved_at = now() - interval '91 days' where job = 'reconcile';
select is(spend_private.do_job('delete_problems', now(), 1), 1::bigint, 'Problems resolved 91 days ago are deleted, as many as a batch holds');
select is(spend_private.do_job('delete_problems', now(), null), 1::bigint, 'The next batch deletes the rest of them');
select is((select count(*) from spend.problems), 2::bigint, 'Open problems are kept');

select * from finish();
rollback;
