create function spend_private.are_thresholds(p_thresholds numeric[])
returns boolean
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return cardinality(p_thresholds) between 1 and 10
    and p_thresholds = array(select distinct t.share from unnest(p_thresholds) as t (share) order by t.share)
    and array_position(p_thresholds, null) is null
    and p_thresholds[1] > 0
    and 1 >= all (p_thresholds);
end;
$$;
comment on function spend_private.are_thresholds is
  'Whether these are 1 to 10 different shares of a limit, each above 0 and at most 1, the lowest first. For the constraints on warning_thresholds.';
grant execute on function spend_private.are_thresholds to authenticated, service_role;

create function spend_private.new_thresholds(
  p_thresholds numeric[],
  p_lowest numeric,
  p_old_thresholds numeric[] default null,
  p_old_lowest numeric default null
)
returns numeric[]
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case
    when p_thresholds is distinct from p_old_thresholds and p_thresholds is not null
      then array(select distinct round(t.share, 3) as share from unnest(p_thresholds) as t (share) order by share)
    when p_thresholds is null then array[p_lowest]
    -- The lowest moves; what it moves past is gone.
    when p_lowest is distinct from p_old_lowest
      then p_lowest || array(select t.share from unnest(p_thresholds) as t (share) where t.share > p_lowest order by t.share)
    else p_thresholds
  end;
end;
$$;
comment on function spend_private.new_thresholds is
  'Thresholds of a quota that is written with p_thresholds and p_lowest (its warning_threshold): those that are given, sorted; else the old ones with another lowest. Null for the old ones: a new quota.';
grant execute on function spend_private.new_thresholds to service_role;
