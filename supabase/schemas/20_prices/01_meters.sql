create table spend.meters (
  resource_type text not null,
  meter text not null,
  part_of text,
  provider_decides boolean not null default true,
  description text not null,
  primary key (resource_type, meter),
  foreign key (resource_type, part_of) references spend.meters (resource_type, meter) on delete restrict,
  constraint resource_type_is_known check (resource_type in ('llm', 'e2b'))
);
comment on table spend.meters is
  'What usage is counted in. A meter that is part of another is billed apart where a price for it exists, else as the other. LLM usage names its meters as keys; a new row is a new key, without a schema change.';
comment on column spend.meters.resource_type is 'llm or e2b.';
comment on column spend.meters.meter is 'Name in spend.prices and, for llm, key of usage. Those of e2b are computed: vcpus and memory_gib, each × seconds.';
comment on column spend.meters.part_of is
  'The meter whose count includes this one: input_tokens includes cache_read_tokens.';
comment on column spend.meters.provider_decides is
  'Of a part: true when the provider decides how much of the whole it is (caching, reasoning): a bound that does not state it must cover it. False when a request asks for it (audio, images sent, a cache for an hour): the caller knows and states it.';
comment on column spend.meters.description is 'What is counted, for people.';

alter table spend.meters enable row level security;
create policy "signed-in users read the meters" on spend.meters
for select to authenticated using (true);
grant select on spend.meters to authenticated;
grant select, insert, update, delete on spend.meters to service_role;

insert into spend.meters (resource_type, meter, part_of, provider_decides, description)
values
  ('llm', 'input_tokens', null, true, 'All input tokens, cached ones included'),
  ('llm', 'output_tokens', null, true, 'All output tokens, reasoning included'),
  ('llm', 'cache_read_tokens', 'input_tokens', true, 'Input tokens read from the provider''s cache'),
  ('llm', 'cache_write_tokens', 'input_tokens', true, 'Input tokens written to the cache for 5 minutes'),
  ('llm', 'cache_write_1h_tokens', 'input_tokens', false, 'Input tokens written to the cache for an hour'),
  ('llm', 'audio_input_tokens', 'input_tokens', false, 'Input tokens of audio'),
  ('llm', 'image_input_tokens', 'input_tokens', false, 'Input tokens of images'),
  ('llm', 'reasoning_tokens', 'output_tokens', true, 'Output tokens of reasoning'),
  ('llm', 'audio_output_tokens', 'output_tokens', false, 'Output tokens of audio'),
  ('llm', 'image_output_tokens', 'output_tokens', true, 'Output tokens of images'),
  ('llm', 'web_searches', null, true, 'Web searches made by the provider'),
  ('llm', 'requests', null, true, 'Calls, where a provider charges per call'),
  ('llm', 'characters', null, true, 'Characters of a text that is spoken'),
  ('llm', 'audio_seconds', null, true, 'Seconds of audio that is transcribed; may be fractional'),
  ('e2b', 'vcpu_seconds', null, true, 'vCPUs × seconds that the sandbox ran'),
  ('e2b', 'gib_seconds', null, true, 'GiB of memory × seconds that the sandbox ran');

comment on constraint meters_pkey on spend.meters is
  'meter: there is a meter of this name and resource_type. Update that row.';
comment on constraint meters_resource_type_part_of_fkey on spend.meters is
  'part_of: a meter of the same resource_type in spend.meters, or null. Insert the whole before its part.';
comment on constraint resource_type_is_known on spend.meters is
  'resource_type: llm or e2b.';

create trigger explain_mistakes before insert or update on spend.meters
for each row execute function spend_private.explain_mistakes('meter');
create trigger "Explain_references" after insert or update on spend.meters
for each row execute function spend_private.explain_references();
create trigger "Explain_uses" after delete on spend.meters
for each row execute function spend_private.explain_uses('meter', 'meter');
create trigger "Explain_new_key" after update on spend.meters
for each row when ((old.resource_type, old.meter) <> (new.resource_type, new.meter))
execute function spend_private.explain_uses('meter', 'meter');
