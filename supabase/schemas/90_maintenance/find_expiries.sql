create function spend_private.find_expiries(p_at_least integer, p_now timestamptz default now())
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_found record;
  v_count bigint := 0;
begin
  for v_found in
    select e.tenant_id, e.hour, sum(e.reservations) as reservations, sum(e.usd) as usd
    from spend_private.expiries as e
    -- The hour before too: what expired after the last run of that hour.
    where e.hour >= date_trunc('hour', p_now, 'UTC') - interval '1 hour'
    group by e.tenant_id, e.hour
    having sum(e.reservations) >= p_at_least
    order by e.tenant_id, e.hour
  loop
    if spend_private.record_subject_alert(
      'reservations_expired', v_found.tenant_id, to_char(v_found.hour at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"'), v_found.hour,
      format(
        '%s calls were not settled in time within an hour. They were charged at their estimates, $%s.',
        v_found.reservations, trim_scale(v_found.usd)
      ),
      jsonb_build_object('reservations', v_found.reservations, 'usd', trim_scale(v_found.usd)::text), p_now
    ) then
      v_count := v_count + 1;
    end if;
  end loop;
  perform spend_private.delete_old_rows('spend_private.expiries', 'hour', p_now - interval '1 day', 10000);
  return v_count;
end;
$$;
comment on function spend_private.find_expiries is
  'Records an alert, reservations_expired, for each tenant of which at least p_at_least reservations expired in this hour, or in the one before; returns how many. Once for each tenant and hour.';
