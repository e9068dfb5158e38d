// Names of people, where the reader may see them: for a column of a report, or a call.
import { useQuery } from "@tanstack/react-query";
import { membersQuery } from "../data/feeds.ts";
import { seesAll, useIdentity, useTenant } from "../shell/identity.ts";

/** As a person is called where there is no e-mail. */
export function shortId(id: string): string {
  return `${id.slice(0, 8)}…`;
}

/** Says who a user id is; null is work of the tenant itself. */
export function useMemberName(): (userId: string | null) => string {
  const tenant = useTenant();
  const identity = useIdentity();
  const members = useQuery({
    ...membersQuery(tenant.tenant_id, "", 500),
    enabled: seesAll(tenant, identity),
    refetchInterval: false,
    staleTime: 5 * 60_000,
  });
  return (userId) => {
    if (userId === null) return "the tenant itself";
    const found = members.data?.find((member) => member.user_id === userId);
    if (found?.email) return found.email;
    return userId === identity.user_id ? "you" : shortId(userId);
  };
}
