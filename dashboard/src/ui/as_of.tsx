import { fromNow } from "../lib/time.ts";

/** Where there are many tenants, they are looked at in turns: says when the last of those shown was. */
export function AsOf({
  rows = [],
  what = "Found",
}: {
  rows?: { as_of: string | null }[];
  what?: string;
}) {
  const oldest = rows.flatMap(({ as_of }) => as_of ?? []).sort()[0];
  if (!oldest || Date.now() - Date.parse(oldest) < 120_000) return null;
  return (
    <p className="border-t border-line px-4 py-2 text-sm text-muted">
      {what} {fromNow(oldest)} or later: many tenants are looked at in turns.
    </p>
  );
}
