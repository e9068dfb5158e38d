// Says when what is on the screen is no longer kept up to date.
import { useQueryClient } from "@tanstack/react-query";
import { CloudOff } from "lucide-react";
import { useCallback, useSyncExternalStore } from "react";
import { formatTime } from "../lib/time.ts";
import { Button } from "../ui/parts.tsx";

/** Since when the oldest data on the screen has not been brought up to date, as ms; 0 when it has been. */
function useStaleSince(): number {
  const queries = useQueryClient();
  const subscribe = useCallback(
    (listener: () => void) => queries.getQueryCache().subscribe(listener),
    [queries],
  );
  return useSyncExternalStore(subscribe, () => {
    const failing = queries
      .getQueryCache()
      .findAll({ type: "active" })
      .map(({ state }) => state)
      .filter((state) => state.data !== undefined && (state.error || state.fetchFailureCount > 0));
    return failing.length === 0 ? 0 : Math.min(...failing.map((state) => state.dataUpdatedAt));
  });
}

export function StaleBadge() {
  const queries = useQueryClient();
  const since = useStaleSince();
  return (
    <div role="status">
      {since > 0 && (
        <span className="flex flex-wrap items-center gap-2 rounded-md bg-warn-soft px-2.5 py-1 text-sm text-warn">
          <CloudOff aria-hidden className="size-4" />
          As of {formatTime(since)}; updating fails
          <Button
            kind="quiet"
            className="min-h-0 px-1.5 py-0 text-warn underline"
            onClick={() => queries.refetchQueries({ type: "active" })}
          >
            Try again
          </Button>
        </span>
      )}
    </div>
  );
}
