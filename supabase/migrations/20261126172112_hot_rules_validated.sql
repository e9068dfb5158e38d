-- The second half of hot_rules: a transaction of its own, so that calls go on while the rows are read.
set lock_timeout = '5s';
set statement_timeout = '1h';

ALTER TABLE "spend"."cost_events" VALIDATE CONSTRAINT "event_is_possible";

ALTER TABLE "spend"."reservations" VALIDATE CONSTRAINT "reservation_is_possible";

ALTER TABLE "spend"."reservations"
  DROP CONSTRAINT "ended_has_actual_cost",
  DROP CONSTRAINT "ended_has_ended_at",
  DROP CONSTRAINT "expires_after_creation",
  DROP CONSTRAINT "idempotency_key_has_request_hash",
  DROP CONSTRAINT "released_costs_nothing",
  DROP CONSTRAINT "resource_type_is_known",
  DROP CONSTRAINT "status_is_known";

ALTER TABLE "spend"."cost_events"
  DROP CONSTRAINT "adjustments_alone_have_no_reservation",
  DROP CONSTRAINT "kind_is_known",
  DROP CONSTRAINT "resource_type_is_known";

-- What calls of 0.1.0 that had begun may still have called.
DROP FUNCTION "spend_private"."bill"(text, spend_private.usage_counts, spend_private.price_in_force[]);

DROP FUNCTION "spend_private"."has_unused_prices"(uuid, text, text, text, timestamp WITH time zone);

DROP FUNCTION "spend_private"."prices_in_force"(uuid, text, spend_private.usage_counts, text, timestamp WITH time zone, boolean, bigint);

DROP TYPE "spend_private"."price_in_force";
