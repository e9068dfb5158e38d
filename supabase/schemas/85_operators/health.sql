create function spend.health()
returns jsonb
language plpgsql stable
-- Definer: who may is decided here; it reads spend_private.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform spend_private.demand_operator();
  return jsonb_build_object(
    'contract_version', spend.contract_version(),
    'maintenance', to_jsonb(spend_private.maintenance_status()),
    'open_problems', (select count(*) from spend.problems as p where p.resolved_at is null),
    'undelivered_alerts', spend_private.undelivered_alerts(),
    'oldest_undelivered_at', (
      select min(d.created_at) from spend.alert_deliveries as d where d.delivered_at is null and d.ended_at is null
    ),
    'given_up_alerts', spend_private.given_up_alerts(),
    'unrouted_alerts', (
      select count(*) from spend.alerts as a where a.routed_at is null and a.created_at < now() - interval '5 minutes'
    ),
    'newest_price_from', spend.newest_price_from(),
    'open_reservations', (select count(*) from spend.reservations as r where r.status = 'held'),
    'overdue_reservations', (select count(*) from spend.reservations as r where r.status = 'held' and r.expires_at < now())
  );
end;
$$;
comment on function spend.health is
  'How Spendgate is: {"contract_version", "maintenance" (spend.maintenance_status), "open_problems", "undelivered_alerts" (deliveries that wait for more than five minutes), "oldest_undelivered_at", "given_up_alerts" (in the last day), "unrouted_alerts" (nobody has called claim_deliveries for five minutes), "newest_price_from", "open_reservations", "overdue_reservations" (their time is over, and nobody has booked them)}. For operators and service_role. Errors: PT403 not_an_operator.';
grant execute on function spend.health to authenticated, service_role;
