// Who a user id is, where the reader may know it: for calls, refusals, holds, sandboxes, alerts and changes.
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { userEmailsQuery } from "../data/feeds.ts";
import { useIdentity } from "../shell/identity.ts";

/** Ids that spend.user_emails takes at once: more than any page of a list has. */
const MOST = 500;

/** As a person is called where there is no e-mail. */
export function shortId(id: string): string {
  return `${id.slice(0, 8)}…`;
}

export type NameOf = (userId: string | null) => string;

/** Says who the users of a screen are; null is work of the tenant itself. */
export function useNames(userIds: Iterable<string | null | undefined>): NameOf {
  const { user_id } = useIdentity();
  const ids = [...new Set(userIds)].filter((id) => typeof id === "string").sort();
  const emails = useQuery({
    ...userEmailsQuery(ids.slice(0, MOST)),
    // Names that are known stay while those of the next page are asked for.
    placeholderData: keepPreviousData,
  });
  return (userId) => {
    if (userId === null) return "the tenant itself";
    return emails.data?.get(userId) ?? (userId === user_id ? "you" : shortId(userId));
  };
}
