-- Checks of numbers in tables that every call writes: Postgres plans a domain's check once per connection, a table's
-- check in every statement. Rules about texts, and about two columns, are one function per table
-- (spend_private.is_possible_reservation): a text that becomes a domain would rebuild partial indexes and drop views.
create domain spend.usd as numeric(24, 12)
constraint usd_is_not_negative check (value >= 0);
comment on domain spend.usd is 'USD to 12 decimals, not negative.';

create domain spend.call_count as integer
constraint an_event_counts_one_call_at_most check (value between -1 and 1);
comment on domain spend.call_count is 'What an event adds to a number of calls: 1, 0 or -1.';

create domain spend_private.reserved_usd as numeric(24, 12)
constraint reserved_is_not_negative check (value >= 0);
comment on domain spend_private.reserved_usd is 'USD that a balance holds for open calls, to 12 decimals, not negative.';

create domain spend_private.refusal_number as bigint
constraint refusals_are_positive check (value > 0);
comment on domain spend_private.refusal_number is 'How many calls were refused, 1 at least.';

create domain spend_private.part_number as integer
constraint part_is_not_negative check (value >= 0);
comment on domain spend_private.part_number is 'Place of a part of a count; the first is 0.';

create domain spend_private.slot_number as integer
constraint slot_is_not_negative check (value >= 0);
comment on domain spend_private.slot_number is 'Place of a balance among those of its quota; the first is 0.';
