import { Button } from "./parts.tsx";

/** Back and forth through pages of a list. */
export function Pages({
  label,
  position,
  previous,
  next,
}: {
  label: string;
  position: string;
  /** Undefined on the first page. */
  previous?: () => void;
  /** Undefined on the last page. */
  next?: () => void;
}) {
  if (!previous && !next) return null;
  return (
    <nav
      aria-label={label}
      className="flex flex-wrap items-center justify-between gap-2 border-t border-line px-4 py-2 text-sm"
    >
      <span className="text-muted">{position}</span>
      <span className="flex gap-2">
        <Button disabled={!previous} onClick={previous}>
          Previous
        </Button>
        <Button disabled={!next} onClick={next}>
          Next
        </Button>
      </span>
    </nav>
  );
}

/** Of a list whose length is known. */
export function NumberedPages({
  label,
  page,
  size,
  total,
  onPage,
}: {
  label: string;
  page: number;
  size: number;
  total: number;
  onPage: (page: number) => void;
}) {
  const from = (page - 1) * size + 1;
  const to = Math.min(page * size, total);
  return (
    <Pages
      label={label}
      position={`${from.toLocaleString("en")} to ${to.toLocaleString("en")} of ${total.toLocaleString("en")}`}
      previous={page > 1 ? () => onPage(page - 1) : undefined}
      next={to < total ? () => onPage(page + 1) : undefined}
    />
  );
}
