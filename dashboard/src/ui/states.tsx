// What a screen shows when it has nothing to show yet, nothing at all, or an error.
import type { UseQueryResult } from "@tanstack/react-query";
import { Check, Copy, RotateCw, TriangleAlert } from "lucide-react";
import { type ReactNode, useState } from "react";
import { DataError, projectConfig } from "../data/client.ts";
import { Button, cx } from "./parts.tsx";

export function Skeleton({ rows = 3, className }: { rows?: number; className?: string }) {
  return (
    <div role="status" aria-label="Loading" className={cx("space-y-3 p-4", className)}>
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the rows are alike.
        <div key={row} className="skeleton h-5 rounded bg-hover" />
      ))}
    </div>
  );
}

export function ErrorNote({ error, retry }: { error: Error; retry?: () => void }) {
  const { code, hint } = error instanceof DataError ? error : { code: undefined, hint: undefined };
  return (
    <div role="alert" className="flex flex-wrap items-start gap-3 p-4 text-sm">
      <TriangleAlert aria-hidden className="mt-0.5 size-4 shrink-0 text-bad" />
      <div className="min-w-0 flex-1 break-words">
        <p className="font-medium">
          {error.message} {code && <code className="text-xs text-muted">{code}</code>}
        </p>
        {hint && <p className="mt-0.5 text-muted">{hint}</p>}
      </div>
      {retry && (
        <Button onClick={retry}>
          <RotateCw aria-hidden className="size-3.5" /> Try again
        </Button>
      )}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="px-4 py-8 text-center text-sm">
      <p className="font-medium">{title}</p>
      {children && <div className="mx-auto mt-1 max-w-xl text-muted">{children}</div>}
    </div>
  );
}

/** Shows a query's data, or why there is none. Data that has become old stays: the shell says so. */
export function Loaded<T>({
  query,
  skeleton = 3,
  children,
}: {
  query: UseQueryResult<T>;
  skeleton?: number;
  children: (data: T) => ReactNode;
}) {
  if (query.data !== undefined) return children(query.data);
  if (query.error) return <ErrorNote error={query.error} retry={() => query.refetch()} />;
  return <Skeleton rows={skeleton} />;
}

/** The first call to make, to copy. */
export function FirstCall({ tenantId }: { tenantId: string }) {
  const { url, publishableKey } = projectConfig();
  const command = [
    `curl -N ${url}/functions/v1/chat \\`,
    `  -H "Authorization: Bearer $JWT" -H "apikey: ${publishableKey}" \\`,
    `  -H "Content-Type: application/json" \\`,
    `  -d '{"model": "openai/gpt-4o-mini", "tenantId": "${tenantId}",`,
    `       "messages": [{"role": "user", "content": "Hello"}]}'`,
  ].join("\n");
  const [isCopied, setCopied] = useState(false);
  return (
    <div className="mt-3 text-left">
      <p className="mb-2">
        Make the first one, with the access token of a member in <code>JWT</code>:
      </p>
      <div className="relative">
        <pre
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard.
          tabIndex={0}
          className="overflow-x-auto rounded-md border border-line bg-page p-3 pr-12 text-xs text-ink"
        >
          {command}
        </pre>
        <Button
          kind="quiet"
          className="absolute right-1 top-1 px-2"
          aria-label={isCopied ? "Copied" : "Copy the command"}
          onClick={() => navigator.clipboard?.writeText(command).then(() => setCopied(true))}
        >
          {isCopied ? (
            <Check aria-hidden className="size-4" />
          ) : (
            <Copy aria-hidden className="size-4" />
          )}
        </Button>
      </div>
    </div>
  );
}
