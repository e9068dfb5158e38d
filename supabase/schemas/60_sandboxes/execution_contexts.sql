create table spend.execution_contexts (
  tenant_id uuid not null,
  id uuid not null default gen_random_uuid(),
  user_id uuid,
  conversation_id text not null,
  path_id text,
  task text not null,
  template text not null,
  vcpus integer not null,
  memory_gib numeric not null,
  timeout_seconds integer not null,
  status text not null default 'creating',
  sandbox_id text,
  reservation_id uuid not null,
  booked_at timestamptz,
  claim_id uuid not null,
  claimed_at timestamptz not null,
  claim_expires_at timestamptz not null,
  started_at timestamptz,
  expires_at timestamptz,
  held_until timestamptz,
  extension_is_open boolean not null default false,
  revision integer not null default 0,
  runs integer not null default 0,
  clock_skew_seconds numeric not null default 0,
  in_use_until timestamptz,
  pause_claimed_until timestamptz,
  paused_at timestamptz,
  looked_at timestamptz,
  ended_at timestamptz,
  end_reason text,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  constraint status_is_known check (status in ('creating', 'running', 'paused', 'terminated', 'failed')),
  constraint vcpus_is_positive check (vcpus > 0),
  constraint memory_is_positive check (memory_gib > 0 and memory_gib <> 'NaN' and memory_gib <> 'Infinity'),
  constraint timeout_is_positive check (timeout_seconds > 0),
  constraint claim_ends_after_it_began check (claim_expires_at > claimed_at),
  constraint creating_does_not_run check (
    status <> 'creating' or (started_at is null and expires_at is null and held_until is null)
  ),
  constraint running_has_its_times check (
    status <> 'running' or (started_at is not null and expires_at is not null and held_until is not null)
  ),
  constraint expires_at_is_held check (expires_at <= held_until),
  constraint extension_has_its_hold check (not extension_is_open or held_until is not null),
  constraint clock_skew_is_finite check (clock_skew_seconds not in ('NaN', 'Infinity', '-Infinity')),
  constraint running_and_paused_have_a_sandbox check (status not in ('running', 'paused') or sandbox_id is not null),
  constraint paused_has_paused_at check ((status = 'paused') = (paused_at is not null)),
  constraint ended_has_ended_at check ((status in ('terminated', 'failed')) = (ended_at is not null)),
  -- Creating and running hold money; what ended well has paid. Of a failed one it may not be known yet.
  constraint open_is_not_booked check (status not in ('creating', 'running') or booked_at is null),
  constraint paused_and_terminated_are_booked check (status not in ('paused', 'terminated') or booked_at is not null)
);
comment on table spend.execution_contexts is
  'The sandbox of a conversation''s path. creating (somebody holds the claim to start or resume it) -> running -> paused -> creating …; ended: terminated, or failed. A running interval is one reservation, settled by the seconds that ran. Written by claim_context, use_context, confirm_context, end_context, fail_context, resolve_context and claim_pause alone.';
comment on column spend.execution_contexts.tenant_id is 'Tenant that pays.';
comment on column spend.execution_contexts.id is 'What use_context and the HTTP API take; stays when it is paused and resumed.';
comment on column spend.execution_contexts.user_id is 'Who asked for it first; null for work of the tenant itself.';
comment on column spend.execution_contexts.conversation_id is 'The caller''s. A conversation''s path has one live context at most.';
comment on column spend.execution_contexts.path_id is 'Branch of the conversation; null is a branch of its own.';
comment on column spend.execution_contexts.task is 'What it is for, in the caller''s words: sandbox where it said none. Quotas and reports can go by it.';
comment on column spend.execution_contexts.template is 'Of spend.sandbox_templates, when it was made.';
comment on column spend.execution_contexts.vcpus is 'vCPUs that its seconds are priced by: the template''s, then what E2B says.';
comment on column spend.execution_contexts.memory_gib is 'GiB of memory that its seconds are priced by: the template''s, then what E2B says.';
comment on column spend.execution_contexts.timeout_seconds is 'Seconds that it may run until it is used again.';
comment on column spend.execution_contexts.status is 'creating, running, paused, terminated or failed. The last two are its end.';
comment on column spend.execution_contexts.sandbox_id is 'E2B''s id. In creating: null while it is made, not null while it is resumed.';
comment on column spend.execution_contexts.reservation_id is 'Hold of the current running interval, or of the last one.';
comment on column spend.execution_contexts.booked_at is 'When that hold was settled or released; null while it is open.';
comment on column spend.execution_contexts.claim_id is 'Who may start or resume it: asking again with the same id gets the same answer.';
comment on column spend.execution_contexts.claimed_at is 'When the present interval was claimed; taking over an expired claim leaves it. The interval cannot have begun earlier.';
comment on column spend.execution_contexts.claim_expires_at is 'From then on a claim in creating is taken over.';
comment on column spend.execution_contexts.started_at is 'Begin of the running interval, by our clock: as E2B says where that can be, else the claim''s begin.';
comment on column spend.execution_contexts.expires_at is 'When E2B ends it by itself, as far as E2B has said so; never after held_until.';
comment on column spend.execution_contexts.held_until is 'Until when its seconds are held: what E2B is told. Only moves forward while an interval runs.';
comment on column spend.execution_contexts.extension_is_open is 'E2B was to be told of held_until, and has not confirmed: it may run until then.';
comment on column spend.execution_contexts.revision is 'Grows when the interval or its end changes. Who read E2B''s words before a change moves nothing back.';
comment on column spend.execution_contexts.runs is 'Runs that were admitted so far: whoever has the latest number knows that no other one has come since.';
comment on column spend.execution_contexts.clock_skew_seconds is 'Seconds that E2B''s clock is ahead of ours, where its times cannot be; else 0. What is booked then is flagged.';
comment on column spend.execution_contexts.in_use_until is 'A run that was admitted may last until then: it is not idle before.';
comment on column spend.execution_contexts.pause_claimed_until is 'Somebody is pausing it: runs wait.';
comment on column spend.execution_contexts.paused_at is 'Since when it is paused; null in every other status.';
comment on column spend.execution_contexts.looked_at is 'When reconciliation last asked E2B whether a paused one is still there.';
comment on column spend.execution_contexts.ended_at is 'When it ended, or was given up; null while it lives.';
comment on column spend.execution_contexts.end_reason is 'Why it ended: killed, timed_out, lost, claim_expired, paused_too_long, or what the caller said. Null while it lives.';
comment on column spend.execution_contexts.created_at is 'When it was first asked for.';

create unique index execution_contexts_live_idx
on spend.execution_contexts (tenant_id, conversation_id, path_id) nulls not distinct
where status in ('creating', 'running', 'paused');
-- Not the paused ones: of those there may be any number, for which there is nothing to do.
create index execution_contexts_open_idx on spend.execution_contexts (id) where booked_at is null;
create index execution_contexts_paused_at_idx on spend.execution_contexts (paused_at) where status = 'paused';
create index execution_contexts_looked_at_idx on spend.execution_contexts (looked_at nulls first)
where status = 'paused';
create index execution_contexts_ended_at_idx on spend.execution_contexts (ended_at) where ended_at is not null;
create index execution_contexts_tenant_id_sandbox_id_idx on spend.execution_contexts (tenant_id, sandbox_id);

alter table spend.execution_contexts enable row level security;
create policy "members read own contexts, owners and admins the tenant's" on spend.execution_contexts
for select to authenticated
using (
  (user_id = (select auth.uid()) and tenant_id = any (array(select spend_private.member_tenant_ids())))
  or tenant_id = any (array(select spend_private.managed_tenant_ids()))
);
grant select on spend.execution_contexts to authenticated, service_role;

create type spend.context_claim as (
  outcome text,
  tenant_id uuid,
  context_id uuid,
  conversation_id text,
  path_id text,
  template text,
  sandbox_id text,
  timeout_seconds integer,
  set_timeout_seconds integer,
  started_at timestamptz,
  expires_at timestamptz,
  refusal spend.reserve_result,
  in_use_until timestamptz,
  is_extended boolean,
  revision integer,
  runs integer
);
comment on type spend.context_claim is
  'Answer of claim_context, use_context and confirm_context. outcome: create or resume (the caller does it now, with timeout_seconds, and confirms), ready (it runs: connect with set_timeout_seconds; when is_extended, confirm what E2B says then, before it is used), wait (somebody else is at it: ask again), again (of confirm_context: what was told is older than what is known: ask E2B once more, and confirm with this revision), refused (refusal says why), gone (there is no such sandbox any more).';
comment on column spend.context_claim.outcome is 'What to do: create, resume, ready, wait, again, refused or gone.';
comment on column spend.context_claim.tenant_id is 'Its tenant. Null when creating was refused, and with gone for one that the user may not use.';
comment on column spend.context_claim.context_id is 'Its id, of spend.execution_contexts. Null when creating was refused.';
comment on column spend.context_claim.conversation_id is 'Conversation that it is of. Null where tenant_id is.';
comment on column spend.context_claim.path_id is 'Branch of the conversation; null is a branch of its own.';
comment on column spend.context_claim.template is 'Template to start, or that was started.';
comment on column spend.context_claim.sandbox_id is 'E2B''s id; null until the first start is confirmed.';
comment on column spend.context_claim.timeout_seconds is 'Seconds to start or resume it with.';
comment on column spend.context_claim.set_timeout_seconds is 'Only with ready: seconds from now that are held: what to connect with, so that E2B never ends it before.';
comment on column spend.context_claim.started_at is 'Start of the running interval; null with create and resume.';
comment on column spend.context_claim.expires_at is 'When E2B ends it by itself; null with create and resume.';
comment on column spend.context_claim.refusal is 'With refused: the answer of reserve or extend. Null with all others.';
comment on column spend.context_claim.in_use_until is 'With ready: of claim_context and use_context when the caller''s use ends at the latest, of confirm_context anybody''s.';
comment on column spend.context_claim.is_extended is 'With ready: E2B is to end it later than it has said so far. Null with all others.';
comment on column spend.context_claim.revision is 'For confirm_context: of what the answer knows. Null where there is no context.';
comment on column spend.context_claim.runs is 'Runs that were admitted so far; of claim_context and use_context with the caller''s own. Null where there is no context.';

create function spend_private.lock_context(p_tenant_id uuid, p_context_id uuid)
returns spend.execution_contexts
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_context spend.execution_contexts;
begin
  perform spend_private.join_calls(spend_private.tenant_key(p_tenant_id));
  select c.* into v_context
  from spend.execution_contexts as c
  where c.tenant_id = p_tenant_id and c.id = p_context_id
  for no key update;
  if not found then
    perform spend_private.fail(
      'PT404', 'unknown_context', jsonb_build_object('context_id', p_context_id),
      'Pass the context_id that claim_context returned.'
    );
  end if;
  return v_context;
end;
$$;
comment on function spend_private.lock_context is
  'Finds a context and locks it. Order of locks: context, then its reservation, then balances. Raises PT404 unknown_context.';

create function spend_private.context_usage(p_context spend.execution_contexts, p_seconds numeric)
returns jsonb
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return jsonb_build_object(
    'provider', 'e2b', 'template', p_context.template,
    'vcpus', p_context.vcpus, 'memory_gib', p_context.memory_gib,
    -- A second that began is paid for; a clock that goes backwards gives nothing back.
    'seconds', greatest(ceil(p_seconds), 0)
  );
end;
$$;
comment on function spend_private.context_usage is
  'Usage of a context that runs p_seconds, for reserve, extend and settle.';

create function spend_private.seconds_between(p_from timestamptz, p_until timestamptz)
returns numeric
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return extract(epoch from p_until) - extract(epoch from p_from);
end;
$$;
comment on function spend_private.seconds_between is
  'Seconds from p_from to p_until, exact to the microsecond.';

create function spend_private.ready_answer(
  p_context spend.execution_contexts,
  p_in_use_until timestamptz,
  p_is_extended boolean,
  p_now timestamptz
)
returns spend.context_claim
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_answer spend.context_claim := spend_private.context_answer(p_context, 'ready');
begin
  v_answer.set_timeout_seconds := greatest(ceil(spend_private.seconds_between(p_now, p_context.held_until)), 1);
  v_answer.in_use_until := p_in_use_until;
  v_answer.is_extended := p_is_extended;
  return v_answer;
end;
$$;
comment on function spend_private.ready_answer is
  'context_claim of a context that runs.';

create function spend_private.context_answer(p_context spend.execution_contexts, p_outcome text)
returns spend.context_claim
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return row(
    p_outcome, p_context.tenant_id, p_context.id, p_context.conversation_id, p_context.path_id,
    p_context.template, p_context.sandbox_id, p_context.timeout_seconds, null::integer,
    p_context.started_at, p_context.expires_at, null::spend.reserve_result,
    null::timestamptz, null::boolean, p_context.revision, p_context.runs
  );
end;
$$;
comment on function spend_private.context_answer is
  'context_claim of a context.';

create function spend_private.told_end(p_context spend.execution_contexts)
returns timestamptz
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case when p_context.extension_is_open then p_context.held_until else p_context.expires_at end;
end;
$$;
comment on function spend_private.told_end is
  'When E2B ends a running context by itself, as far as E2B was told: an extension that it has not confirmed counts.';

create function spend_private.may_live_until(p_context spend.execution_contexts)
returns timestamptz
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- A run that was admitted is not given up on E2B's word alone.
  return greatest(
    spend_private.told_end(p_context), least(p_context.in_use_until, p_context.held_until)
  );
end;
$$;
comment on function spend_private.may_live_until is
  'Until when a running context is not to be ended without asking E2B.';

create function spend_private.in_our_time(p_context spend.execution_contexts, p_told timestamptz)
returns timestamptz
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return p_told - make_interval(secs => p_context.clock_skew_seconds::double precision);
end;
$$;
comment on function spend_private.in_our_time is
  'A moment that E2B tells of a context''s sandbox, by our clock.';

create function spend_private.may_use_context(p_context spend.execution_contexts, p_user_id uuid)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- The rule by which they are read, too: what a conversation's code left in its sandbox is part of it.
  return p_user_id is null or coalesce(p_context.user_id = p_user_id, false) or exists (
    select from spend.tenant_members as m
    where m.tenant_id = p_context.tenant_id and m.user_id = p_user_id and m.role in ('owner', 'admin')
  );
end;
$$;
comment on function spend_private.may_use_context is
  'A context is used by the user who opened it, by owners and admins of its tenant, and by the tenant itself (p_user_id null). Membership of the opener is the caller''s to check.';
