create function spend_private.period_bounds(
  p_period text,
  p_time_zone text,
  p_now timestamptz default now()
)
returns tstzrange
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_start timestamptz;
begin
  case p_period
    when 'lifetime' then
      return tstzrange('-infinity', 'infinity');
    when 'hour' then
      v_start := date_trunc('hour', p_now, p_time_zone);
      return tstzrange(v_start, v_start + interval '1 hour');
    else
      -- Truncate in the zone, then come back: a day has 23 or 25 hours twice a year.
      v_start := date_trunc(p_period, p_now, p_time_zone);
      return tstzrange(
        v_start,
        (date_trunc(p_period, p_now at time zone p_time_zone) + ('1 ' || p_period)::interval)
          at time zone p_time_zone
      );
  end case;
end;
$$;
comment on function spend_private.period_bounds is
  'Calendar period that contains p_now, in p_time_zone. Lower bound inclusive, upper exclusive.';
grant execute on function spend_private.period_bounds to authenticated, service_role;
