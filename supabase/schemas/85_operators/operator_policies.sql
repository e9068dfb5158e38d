-- Operators read every tenant's rows, and those of the platform, which are no tenant's. One policy for each table, so
-- that a table without its line here stays closed to them.
create policy "operators read every tenant" on spend.tenants
for select to authenticated
using (id between (select spend_private.first_operated()) and (select spend_private.last_operated()));

create policy "operators read every member" on spend.tenant_members
for select to authenticated
using (tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated()));

create policy "operators read every quota" on spend.cost_quotas
for select to authenticated
using (
  tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated())
  or (tenant_id is null and (select spend_private.operator_role()) is not null)
);

-- The platform's balances have a tenant of zeros, which is in the range.
create policy "operators read every balance" on spend_private.quota_balances
for select to authenticated
using (tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated()));

create policy "operators read every price" on spend.prices
for select to authenticated
using (tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated()));

create policy "operators read every reservation" on spend.reservations
for select to authenticated
using (tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated()));

create policy "operators read every refusal" on spend.refusal_counts
for select to authenticated
using (tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated()));

create policy "operators read every event" on spend.cost_events
for select to authenticated
using (tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated()));

create policy "operators read all spend" on spend_private.cost_rollups
for select to authenticated
using (tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated()));

create policy "operators read all spend" on spend_private.conversation_rollups
for select to authenticated
using (tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated()));

create policy "operators read every context" on spend.execution_contexts
for select to authenticated
using (tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated()));

create policy "operators read every alert" on spend.alerts
for select to authenticated
using (
  tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated())
  or (tenant_id is null and (select spend_private.operator_role()) is not null)
);

create policy "operators read every change" on spend.audit_log
for select to authenticated
using (
  tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated())
  or (tenant_id is null and (select spend_private.operator_role()) is not null)
);

create policy "operators read problems" on spend.problems
for select to authenticated
using ((select spend_private.operator_role()) is not null);
grant select on spend.problems to authenticated;

-- Of tenants that the reader sees: an operator's answer to "how many follow".
grant select on spend.plan_progress to authenticated;
