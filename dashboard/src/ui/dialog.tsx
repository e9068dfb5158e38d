// A dialog on Radix: it keeps the focus, closes with Escape, and gives the focus back.
import { X } from "lucide-react";
import { Dialog as Radix } from "radix-ui";
import { type FormEvent, type ReactNode, useState } from "react";
import { Button } from "./parts.tsx";
import { ErrorNote } from "./states.tsx";

export function Dialog({
  title,
  description,
  onClose,
  children,
}: {
  title: string;
  description?: ReactNode;
  onClose: () => void;
  children: ReactNode;
}) {
  // What opened it, which gets the focus back: Radix knows only triggers of its own.
  const [opener] = useState(() => document.activeElement);
  return (
    <Radix.Root open onOpenChange={(open) => !open && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="fixed inset-0 z-40 bg-black/45" />
        <Radix.Content
          onCloseAutoFocus={(event) => {
            event.preventDefault();
            if (opener instanceof HTMLElement) opener.focus();
          }}
          {...(!description && { "aria-describedby": undefined })}
          className="fixed inset-x-2 top-[8vh] z-50 mx-auto max-h-[84vh] max-w-xl overflow-y-auto rounded-lg border border-line bg-panel p-4 shadow-xl sm:p-5"
        >
          <div className="mb-3 flex items-start justify-between gap-4">
            <div className="min-w-0">
              <Radix.Title className="break-words text-base font-semibold">{title}</Radix.Title>
              {description && (
                <Radix.Description className="mt-0.5 text-sm text-muted">
                  {description}
                </Radix.Description>
              )}
            </div>
            <Radix.Close asChild>
              <Button kind="quiet" aria-label="Close" className="-mr-2 -mt-1 px-2">
                <X aria-hidden className="size-4" />
              </Button>
            </Radix.Close>
          </div>
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

export interface Difference {
  name: string;
  before: ReactNode;
  after: ReactNode;
}

/** What is, beside what will be. */
export function Differences({ rows }: { rows: Difference[] }) {
  return (
    <table className="w-full rounded-md border border-line text-sm" aria-label="Before and after">
      <thead>
        <tr className="border-b border-line text-left text-xs text-muted">
          <td />
          <th scope="col" className="px-3 py-1.5 font-medium">
            Before
          </th>
          <th scope="col" className="px-3 py-1.5 font-medium">
            After
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map(({ name, before, after }) => (
          <tr key={name} className="border-b border-line last:border-0">
            <th scope="row" className="px-3 py-1.5 text-left text-xs font-medium text-muted">
              {name}
            </th>
            <td className="px-3 py-1.5">{before}</td>
            <td className="px-3 py-1.5 font-semibold">{after}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/**
 * A form in two steps: what to change, then before and after. The change is made by the second; nothing is shown as
 * changed before the database has said so.
 */
export function ChangeDialog({
  title,
  description,
  form,
  isComplete,
  differences,
  warning,
  action,
  isDanger,
  review,
  change,
  onClose,
}: {
  title: string;
  description?: ReactNode;
  /** Left out where there is nothing to choose. */
  form?: ReactNode;
  isComplete?: boolean;
  differences: Difference[];
  warning?: ReactNode;
  action: string;
  isDanger?: boolean;
  /** What the second step needs to be asked for; when it fails, the form stays. */
  review?: () => Promise<void>;
  change: () => Promise<void>;
  onClose: () => void;
}) {
  const [isReviewing, setReviewing] = useState(form === undefined);
  const [isWaiting, setWaiting] = useState(false);
  const [error, setError] = useState<Error>();

  async function submit(event: FormEvent) {
    event.preventDefault();
    setWaiting(true);
    setError(undefined);
    try {
      if (isReviewing) {
        await change();
        onClose();
      } else {
        await review?.();
        setReviewing(true);
      }
    } catch (reason) {
      setError(reason as Error);
    }
    setWaiting(false);
  }

  return (
    <Dialog title={title} description={description} onClose={onClose}>
      <form onSubmit={submit} className="space-y-4">
        {isReviewing ? <Differences rows={differences} /> : form}
        {isReviewing && warning && (
          <p role="alert" className="rounded-md bg-warn-soft px-3 py-2 text-sm text-warn">
            {warning}
          </p>
        )}
        {error && (
          <div className="rounded-md border border-line">
            <ErrorNote error={error} />
          </div>
        )}
        <div className="flex flex-wrap justify-end gap-2">
          {isReviewing && form ? (
            <Button onClick={() => setReviewing(false)} disabled={isWaiting}>
              Back
            </Button>
          ) : (
            <Button onClick={onClose}>Cancel</Button>
          )}
          <Button
            type="submit"
            kind={isDanger && isReviewing ? "danger" : "primary"}
            disabled={isWaiting || (!isReviewing && !isComplete)}
          >
            {isReviewing ? (isWaiting ? "Changing …" : action) : "Review"}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
