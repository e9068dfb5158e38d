// A table; below 640 px each row is a card.
import {
  createSortedRowModel,
  rowSortingFeature,
  tableFeatures,
  useTable,
} from "@tanstack/react-table";
import { ArrowDown, ArrowUp } from "lucide-react";
import { type ReactNode, useMemo } from "react";
import { useMediaQuery } from "./media.ts";
import { cx } from "./parts.tsx";
import { targetProps } from "./target.ts";

export interface Column<Row> {
  id: string;
  header: string;
  cell: (row: Row) => ReactNode;
  /** Sorts by it when its header is pressed. Only where all rows are here: a page of many cannot be sorted. */
  sortBy?: (row: Row) => number | string;
  align?: "right";
  /** Stands at the head of the card, without its name. */
  isTitle?: boolean;
  className?: string;
}

const features = tableFeatures({ rowSortingFeature, sortedRowModel: createSortedRowModel() });

export function DataTable<Row extends object>({
  label,
  columns,
  rows,
  rowKey,
  isTarget = () => false,
}: {
  /** Names the table for those who do not see it. */
  label: string;
  columns: Column<Row>[];
  rows: Row[];
  rowKey: (row: Row) => string | number;
  /** The row that the address asks for. */
  isTarget?: (row: Row) => boolean;
}) {
  const isNarrow = useMediaQuery("(max-width: 639px)");
  const definitions = useMemo(
    () =>
      columns.map(({ id, sortBy }) => ({
        id,
        accessorFn: (row: Row) => sortBy?.(row) ?? "",
        enableSorting: sortBy !== undefined,
      })),
    [columns],
  );
  const table = useTable({ features, columns: definitions, data: rows });
  const sorted = table.getRowModel().rows;
  if (isNarrow)
    return (
      <Cards
        label={label}
        columns={columns}
        rows={sorted.map((row) => row.original)}
        rowKey={rowKey}
        isTarget={isTarget}
      />
    );
  return (
    <div className="overflow-x-auto">
      <table className="w-full border-collapse text-sm" aria-label={label}>
        <thead>
          <tr className="border-b border-line text-left text-xs text-muted">
            {columns.map(({ id, header, align, sortBy }) => {
              const column = table.getColumn(id);
              const direction = sortBy ? column?.getIsSorted() : false;
              return (
                <th
                  key={id}
                  scope="col"
                  aria-sort={
                    direction === "asc"
                      ? "ascending"
                      : direction === "desc"
                        ? "descending"
                        : undefined
                  }
                  className={cx("px-4 py-2 font-medium whitespace-nowrap", align && "text-right")}
                >
                  {sortBy ? (
                    <button
                      type="button"
                      className="inline-flex items-center gap-1 hover:text-ink"
                      onClick={column?.getToggleSortingHandler()}
                    >
                      {header}
                      {direction === "asc" && <ArrowUp aria-hidden className="size-3" />}
                      {direction === "desc" && <ArrowDown aria-hidden className="size-3" />}
                    </button>
                  ) : (
                    header || <span className="sr-only">Actions</span>
                  )}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {sorted.map(({ original }) => (
            <tr
              key={rowKey(original)}
              {...targetProps(
                isTarget(original),
                "border-b border-line last:border-0 hover:bg-hover/60",
              )}
            >
              {columns.map(({ id, cell, align, className }) => (
                <td key={id} className={cx("px-4 py-2", align && "text-right", className)}>
                  {cell(original)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Cards<Row>({
  label,
  columns,
  rows,
  rowKey,
  isTarget,
}: {
  label: string;
  columns: Column<Row>[];
  rows: Row[];
  rowKey: (row: Row) => string | number;
  isTarget: (row: Row) => boolean;
}) {
  return (
    <ul aria-label={label} className="divide-y divide-line text-sm">
      {rows.map((row) => (
        <li key={rowKey(row)} {...targetProps(isTarget(row), "space-y-1.5 px-4 py-3")}>
          {columns
            .filter(({ isTitle }) => isTitle)
            .map(({ id, cell }) => (
              <div key={id} className="font-medium">
                {cell(row)}
              </div>
            ))}
          <dl className="space-y-1">
            {columns
              .filter(({ isTitle }) => !isTitle)
              .map(({ id, header, cell }) => (
                <div key={id} className="flex items-baseline justify-between gap-4">
                  <dt className={cx("shrink-0 text-xs text-muted", !header && "sr-only")}>
                    {header || "Actions"}
                  </dt>
                  <dd className="min-w-0 break-words text-right">{cell(row)}</dd>
                </div>
              ))}
          </dl>
        </li>
      ))}
    </ul>
  );
}
