create function spend_private.period_bounds(
  p_period text,
  p_time_zone text,
  p_now timestamptz default now()
)
returns tstzrange
language plpgsql stable strict
-- Definer: readers of spend.quota_status may not use the schema of what this calls. It reads no table.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_midnight timestamp;
  v_start timestamptz;
  v_end timestamptz;
begin
  if p_period = 'lifetime' then
    return tstzrange('-infinity', 'infinity');
  elsif not isfinite(p_now) then
    return tstzrange(p_now, p_now, '[]');
  elsif p_period = 'hour' then
    return spend_private.hour_bounds(p_time_zone, p_now);
  end if;

  v_midnight := date_trunc(p_period, p_now at time zone p_time_zone);
  v_end := spend_private.clock_reaches(v_midnight, p_time_zone);
  loop
    v_start := v_end;
    v_midnight := v_midnight + ('1 ' || p_period)::interval;
    v_end := spend_private.clock_reaches(v_midnight, p_time_zone);
    -- A clock that went back over midnight shows a date that has ended: its next period has begun already.
    exit when v_end > p_now;
  end loop;
  return tstzrange(v_start, v_end);
end;
$$;
comment on function spend_private.period_bounds is
  'Calendar period that contains p_now, in p_time_zone. Lower bound inclusive, upper exclusive: every moment lies in exactly one period. Days, and with them weeks and months, begin when the clock first reaches midnight, however often it does; where the clock skips midnight, when it skips. Hours are cut where the clock is changed within them.';
grant execute on function spend_private.period_bounds to authenticated, service_role;

create function spend_private.period_start(
  p_period text,
  p_time_zone text,
  p_now timestamptz default now()
)
returns timestamptz
language plpgsql stable strict
set search_path = pg_catalog, pg_temp
as $$
declare
  v_clock timestamp;
  v_midnight timestamp;
  v_start timestamptz;
begin
  if p_period = 'lifetime' then
    return '-infinity';
  elsif p_time_zone = 'UTC' then
    return date_trunc(p_period, p_now, 'UTC');
  end if;

  v_clock := p_now at time zone p_time_zone;
  v_midnight := date_trunc(p_period, v_clock);
  if p_period = 'hour' then
    v_start := p_now - (v_clock - v_midnight);
    if v_start at time zone p_time_zone = v_midnight then
      return v_start;
    end if;
  else
    v_start := v_midnight at time zone p_time_zone;
    -- The clock was not changed in the day before p_now nor in the one before midnight: midnight came once.
    if v_start at time zone p_time_zone = v_midnight
      and (v_start - interval '25 hours') at time zone p_time_zone = v_midnight - interval '25 hours'
      and (p_now - interval '25 hours') at time zone p_time_zone = v_clock - interval '25 hours'
    then
      return v_start;
    end if;
  end if;
  return lower(spend_private.period_bounds(p_period, p_time_zone, p_now));
end;
$$;
comment on function spend_private.period_start is
  'Lower bound of period_bounds, in few steps on all but the days around a change of the clock: every call asks for it.';

create function spend_private.hour_bounds(p_time_zone text, p_now timestamptz)
returns tstzrange
language plpgsql stable strict
set search_path = pg_catalog, pg_temp
as $$
declare
  v_clock timestamp := p_now at time zone p_time_zone;
  v_start timestamptz := p_now - (v_clock - date_trunc('hour', v_clock));
  v_end timestamptz := v_start + interval '1 hour';
begin
  return tstzrange(
    coalesce(spend_private.clock_change(v_start, p_now, p_time_zone), v_start),
    coalesce(spend_private.clock_change(p_now, v_end, p_time_zone), v_end)
  );
end;
$$;
comment on function spend_private.hour_bounds is
  'Hour that contains p_now, as the clock of p_time_zone shows it; where the clock is changed within an hour, one ends and the next begins there.';

create function spend_private.clock_reaches(p_clock timestamp, p_time_zone text)
returns timestamptz
language plpgsql stable strict
set search_path = pg_catalog, pg_temp
as $$
declare
  v_at timestamptz := p_clock at time zone p_time_zone;
  v_next timestamptz;
  v_change timestamptz;
begin
  if v_at at time zone p_time_zone = p_clock
    and (v_at - interval '25 hours') at time zone p_time_zone = p_clock - interval '25 hours'
  then
    return v_at;
  end if;

  -- The clock was changed shortly before. No clock was ever changed by more than a day, nor twice within three.
  v_at := v_at - interval '28 hours';
  loop
    v_next := v_at + make_interval(secs => extract(epoch from p_clock - (v_at at time zone p_time_zone)));
    v_change := spend_private.clock_change(v_at, v_next, p_time_zone);
    if v_change is null then
      return v_next;
    elsif v_change at time zone p_time_zone >= p_clock then
      return v_change;
    end if;
    v_at := v_change;
  end loop;
end;
$$;
comment on function spend_private.clock_reaches is
  'First moment at which the clock of p_time_zone shows p_clock, or, where it skips that, a later time.';

create function spend_private.clock_change(p_after timestamptz, p_until timestamptz, p_time_zone text)
returns timestamptz
language plpgsql stable strict
set search_path = pg_catalog, pg_temp
as $$
declare
  v_before timestamptz := date_trunc('second', p_after);
  v_offset interval := (v_before at time zone p_time_zone) - (v_before at time zone 'UTC');
  v_change timestamptz := date_trunc('second', p_until);
  v_middle timestamptz;
begin
  if (v_change at time zone p_time_zone) - (v_change at time zone 'UTC') = v_offset then
    return null;
  end if;
  -- Clocks are changed at full seconds.
  while v_change - v_before > interval '1 second' loop
    v_middle := v_before + date_trunc('second', (v_change - v_before) / 2);
    if (v_middle at time zone p_time_zone) - (v_middle at time zone 'UTC') = v_offset then
      v_before := v_middle;
    else
      v_change := v_middle;
    end if;
  end loop;
  return v_change;
end;
$$;
comment on function spend_private.clock_change is
  'Moment after p_after, and until p_until, at which the clock of p_time_zone is changed; null when it is not. Not for spans in which it is changed twice.';
