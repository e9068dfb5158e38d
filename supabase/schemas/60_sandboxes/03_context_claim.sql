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
  'Answer of claim_context, use_context and confirm_context. outcome: create or resume (the caller does it now, with timeout_seconds, and confirms), ready (it runs: connect with set_timeout_seconds; when is_extended, confirm E2B''s report before use), wait (another caller starts, resumes or pauses it: ask again), again (from confirm_context: the report is older than the last change: ask E2B again, and confirm with this revision), refused (refusal says why), gone (the context has ended, or does not exist).';
comment on column spend.context_claim.outcome is 'What to do: create, resume, ready, wait, again, refused or gone.';
comment on column spend.context_claim.tenant_id is 'Its tenant. Null when a new context was refused, and with gone for one that the user may not use.';
comment on column spend.context_claim.context_id is 'Its id, of spend.execution_contexts. Null when a new context was refused.';
comment on column spend.context_claim.conversation_id is 'Its conversation. Null where tenant_id is.';
comment on column spend.context_claim.path_id is 'Branch of the conversation; null is a branch of its own.';
comment on column spend.context_claim.template is 'Template to start, or that was started.';
comment on column spend.context_claim.sandbox_id is 'E2B''s id; null until the first start is confirmed.';
comment on column spend.context_claim.timeout_seconds is 'Seconds to start or resume it with.';
comment on column spend.context_claim.set_timeout_seconds is 'Only with ready: seconds from now that are held. Connect with them, so that E2B does not end it earlier.';
comment on column spend.context_claim.started_at is 'Start of the running interval; null with create and resume.';
comment on column spend.context_claim.expires_at is 'When E2B ends it by itself; null with create and resume.';
comment on column spend.context_claim.refusal is 'With refused: the answer of reserve or extend. Null with all others.';
comment on column spend.context_claim.in_use_until is 'With ready: when the caller''s run ends at the latest; from confirm_context, when any run does.';
comment on column spend.context_claim.is_extended is 'With ready: E2B has not confirmed the held end yet. Null with all others.';
comment on column spend.context_claim.revision is 'Revision of the context, for confirm_context. Null where there is no context.';
comment on column spend.context_claim.runs is 'Runs that were admitted so far; from claim_context and use_context including the caller''s own. Null where there is no context.';
