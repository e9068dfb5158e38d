-- Meters that the catalogue's prices need and a released version may not have.
insert into spend.meters (resource_type, meter, part_of, provider_decides, description)
select m.resource_type, m.meter, null, true, 'Newer than this version'
from (values ('llm', 'characters'), ('llm', 'audio_seconds')) as m (resource_type, meter)
where not exists (
  select from spend.meters as o where o.resource_type = m.resource_type and o.meter = m.meter
);
