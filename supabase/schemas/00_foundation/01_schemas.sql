-- Function bodies name tables that later files create.
set check_function_bodies = off;

create schema if not exists extensions;

create schema spend;
comment on schema spend is
  'Spendgate: what the Data API exposes. Tables guarded by RLS, views with security_invoker, RPC functions.';

create schema spend_private;
comment on schema spend_private is
  'Spendgate: internals. Never expose this schema through the Data API.';

grant usage on schema spend to authenticated, service_role;
