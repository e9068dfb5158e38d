create function spend_private.new_reservation_id(p_tenant_id uuid)
returns uuid
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  -- Nobody is kept out by an id that is hard to guess: cheap chance will do.
  v_random text := lpad(to_hex((random() * 1099511627775)::bigint), 10, '0');
begin
  return (
    lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0')
    || '8' || substr(v_random, 1, 3)
    || 'a' || substr(v_random, 4, 3)
    || left(p_tenant_id::text, 8) || substr(v_random, 7, 4)
  )::uuid;
end;
$$;
comment on function spend_private.new_reservation_id is
  'UUIDv8: 48 bits of Unix time in ms, 24 random bits, the tenant''s key (tenant_key), 16 random bits. Close in time is close in the index.';

create function spend_private.reservation_tenant_key(p_reservation_id uuid)
returns integer
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  return ('x' || substr(p_reservation_id::text, 25, 8))::bit(32)::integer;
end;
$$;
comment on function spend_private.reservation_tenant_key is
  'The tenant_key in a reservation''s id.';
