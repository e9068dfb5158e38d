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
  -- Creating and running hold money; paused and terminated are charged. The cost of a failed one may not be known yet.
  constraint open_is_not_booked check (status not in ('creating', 'running') or booked_at is null),
  constraint paused_and_terminated_are_booked check (status not in ('paused', 'terminated') or booked_at is not null)
);
comment on table spend.execution_contexts is
  'Contexts: one row is the sandbox of a conversation''s path, through pauses and resumes. creating (a caller has the claim to start or resume it) -> running -> paused -> creating …; ended: terminated, or failed. A running interval is one reservation, settled by the seconds that ran. Written only by claim_context, use_context, confirm_context, end_context, fail_context, resolve_context and claim_pause.';
comment on column spend.execution_contexts.tenant_id is 'Tenant that pays.';
comment on column spend.execution_contexts.id is 'What use_context and the HTTP API take; stays the same through pauses.';
comment on column spend.execution_contexts.user_id is 'User who opened it; null for work of the tenant itself.';
comment on column spend.execution_contexts.conversation_id is 'The caller''s name of the conversation. A conversation''s path has one live context at most.';
comment on column spend.execution_contexts.path_id is 'Branch of the conversation; null is a branch of its own.';
comment on column spend.execution_contexts.task is 'What it is for, named by the caller; sandbox by default. Quotas and reports can go by it.';
comment on column spend.execution_contexts.template is 'Of spend.sandbox_templates, when it was made.';
comment on column spend.execution_contexts.vcpus is 'vCPUs that its seconds are priced by: the template''s, then as E2B reports.';
comment on column spend.execution_contexts.memory_gib is 'GiB of memory that its seconds are priced by: the template''s, then as E2B reports.';
comment on column spend.execution_contexts.timeout_seconds is 'Seconds that it may run after its last use.';
comment on column spend.execution_contexts.status is 'creating, running, paused, terminated or failed. The last two are final.';
comment on column spend.execution_contexts.sandbox_id is 'E2B''s id. In creating: null while it is made, not null while it is resumed.';
comment on column spend.execution_contexts.reservation_id is 'Hold of the current running interval, or of the last one.';
comment on column spend.execution_contexts.booked_at is 'When that hold was settled or released; null while it is open.';
comment on column spend.execution_contexts.claim_id is 'Claim to start or resume it: a retry with the same id gets the same answer.';
comment on column spend.execution_contexts.claimed_at is 'When the present interval was claimed; taking over an expired claim does not change it. The interval cannot have begun earlier.';
comment on column spend.execution_contexts.claim_expires_at is 'When another caller may take over a claim in creating.';
comment on column spend.execution_contexts.started_at is 'Start of the running interval, by our clock: as E2B reports where that is possible, else when it was claimed.';
comment on column spend.execution_contexts.expires_at is 'When E2B ends it by itself, as E2B last confirmed; never after held_until.';
comment on column spend.execution_contexts.held_until is 'Until when its seconds are held, which is the end that E2B is asked for. Only moves forward while an interval runs.';
comment on column spend.execution_contexts.extension_is_open is 'E2B was asked to extend it to held_until, and has not confirmed: it may run until then.';
comment on column spend.execution_contexts.revision is 'Grows when the interval or its end changes. A report of E2B from before a change moves nothing back.';
comment on column spend.execution_contexts.runs is 'Runs that were admitted so far. A caller whose number is still the latest knows that no other run has come.';
comment on column spend.execution_contexts.clock_skew_seconds is 'Seconds that E2B''s clock is ahead of ours, where its times are impossible; else 0. Charges are flagged then.';
comment on column spend.execution_contexts.in_use_until is 'When the last admitted run ends at the latest: it is not idle before.';
comment on column spend.execution_contexts.pause_claimed_until is 'A caller is pausing it until then: runs wait.';
comment on column spend.execution_contexts.paused_at is 'Since when it is paused; null in every other status.';
comment on column spend.execution_contexts.looked_at is 'When reconciliation last asked E2B whether a paused one is still there.';
comment on column spend.execution_contexts.ended_at is 'When it ended, or was given up; null before.';
comment on column spend.execution_contexts.end_reason is 'Why it ended: killed, timed_out, lost, claim_expired, paused_too_long, or the caller''s reason. Null before.';
comment on column spend.execution_contexts.created_at is 'When it was claimed first.';

create unique index execution_contexts_live_idx
on spend.execution_contexts (tenant_id, conversation_id, path_id) nulls not distinct
where status in ('creating', 'running', 'paused');
-- Without paused ones: there may be many, with nothing to do.
create index execution_contexts_open_idx on spend.execution_contexts (id) where booked_at is null;
create index execution_contexts_paused_at_idx on spend.execution_contexts (paused_at) where status = 'paused';
create index execution_contexts_looked_at_idx on spend.execution_contexts (looked_at nulls first)
where status = 'paused';
create index execution_contexts_ended_at_idx on spend.execution_contexts (ended_at) where ended_at is not null;
create index execution_contexts_tenant_id_sandbox_id_idx on spend.execution_contexts (tenant_id, sandbox_id);

alter table spend.execution_contexts enable row level security;
create policy "members read their own, admins the tenant's, operators all" on spend.execution_contexts
for select to authenticated
using (
  (user_id = (select auth.uid()) and tenant_id = any (array(select spend_private.member_tenant_ids())))
  or tenant_id = any (array(select spend_private.managed_tenant_ids()))
  or tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated())
);
grant select on spend.execution_contexts to authenticated, service_role;
