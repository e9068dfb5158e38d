create table spend.sandbox_templates (
  template text primary key,
  vcpus integer not null,
  memory_gib numeric not null,
  constraint template_is_not_empty check (template <> ''),
  constraint vcpus_is_positive check (vcpus > 0),
  constraint memory_is_positive check (memory_gib > 0 and memory_gib <> 'NaN' and memory_gib <> 'Infinity')
);
comment on table spend.sandbox_templates is
  'Size of a template''s sandboxes, and so the cost of a second. Only these templates can be started: insert a row for each of your own.';
comment on column spend.sandbox_templates.template is 'E2B''s name or id of it.';
comment on column spend.sandbox_templates.vcpus is 'vCPUs of one sandbox.';
comment on column spend.sandbox_templates.memory_gib is 'GiB of memory of one sandbox.';

-- E2B's defaults: https://e2b.dev/pricing
insert into spend.sandbox_templates (template, vcpus, memory_gib) values
  ('base', 2, 0.5),
  ('code-interpreter-v1', 2, 0.5);

alter table spend.sandbox_templates enable row level security;
create policy "signed-in users read templates" on spend.sandbox_templates
for select to authenticated using (true);
grant select on spend.sandbox_templates to authenticated;
grant select, insert, update, delete on spend.sandbox_templates to service_role;

comment on constraint sandbox_templates_pkey on spend.sandbox_templates is
  'template: there is a row of this template. Update that row.';
comment on constraint template_is_not_empty on spend.sandbox_templates is
  'template: the name or id of an E2B template, not empty.';
comment on constraint vcpus_is_positive on spend.sandbox_templates is
  'vcpus: a whole number of vCPUs, 1 or more.';
comment on constraint memory_is_positive on spend.sandbox_templates is
  'memory_gib: GiB of memory, more than 0: 0.5 for 512 MiB.';

create trigger explain_mistakes before insert or update on spend.sandbox_templates
for each row execute function spend_private.explain_mistakes('template');
