create function spend_private.new_reservation_id(p_tenant_id uuid)
returns uuid
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_random text := gen_random_uuid()::text;
begin
  return (
    lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0')
    -- A random UUID's third and fourth group are a version, 12 random bits, a variant and 14 random bits.
    || '8' || substr(v_random, 16, 9) || left(p_tenant_id::text, 8) || right(v_random, 4)
  )::uuid;
end;
$$;
comment on function spend_private.new_reservation_id is
  'UUIDv8: 48 bits of Unix time in ms, 26 random bits around the variant, the tenant''s key (tenant_key), 16 random bits. Close in time is close in the index.';

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
