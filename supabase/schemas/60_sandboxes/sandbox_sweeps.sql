create table spend_private.sandbox_sweeps (
  project text primary key,
  next_token text,
  swept_at timestamptz not null,
  constraint next_token_is_short check (length(next_token) <= 2000)
);
comment on table spend_private.sandbox_sweeps is
  'How far reconciliation has come through E2B''s list of paused sandboxes: some pages in each run, and from the beginning again. Written by spend.sweep_to alone.';
comment on column spend_private.sandbox_sweeps.project is 'SPENDGATE_PROJECT, whose sandboxes they are.';
comment on column spend_private.sandbox_sweeps.next_token is 'E2B''s token of the next page; null: the first one.';
comment on column spend_private.sandbox_sweeps.swept_at is 'When the last page was read.';

alter table spend_private.sandbox_sweeps enable row level security;

create function spend.sweep_from(project text)
returns text
language plpgsql stable
-- Definer: spend_private is nobody's to read.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select s.next_token from spend_private.sandbox_sweeps as s where s.project = sweep_from.project
  );
end;
$$;
comment on function spend.sweep_from is
  'Token of the page of E2B''s paused sandboxes that is to be read next; null: the first one. For service_role.';
grant execute on function spend.sweep_from to service_role;

create function spend.sweep_to(project text, next_token text default null)
returns void
language plpgsql volatile
-- Definer: see spend.sweep_from.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if sweep_to.project is null then
    perform spend_private.fail_usage('project', 'is missing');
  elsif length(sweep_to.next_token) > 2000 then
    perform spend_private.fail_usage('next_token', 'is longer than 2000 characters');
  end if;
  insert into spend_private.sandbox_sweeps as s (project, next_token, swept_at)
  values (sweep_to.project, sweep_to.next_token, now())
  on conflict on constraint sandbox_sweeps_pkey do update set
    next_token = excluded.next_token, swept_at = excluded.swept_at;
end;
$$;
comment on function spend.sweep_to is
  'Remembers where the look through E2B''s paused sandboxes stopped; next_token null: at their end. Errors: 22023 invalid_usage. For service_role.';
grant execute on function spend.sweep_to to service_role;
