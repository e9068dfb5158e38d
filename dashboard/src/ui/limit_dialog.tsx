// The form of a limit, wherever it is changed: amount, warnings, and what happens when it is reached.
import { type ReactNode, useState } from "react";
import type { Quota } from "../data/feeds.ts";
import {
  compareUsd,
  formatUsd,
  parsePercents,
  parseUsd,
  percentsText,
  plainUsd,
  type Usd,
} from "../lib/money.ts";
import { ChangeDialog, type Difference } from "./dialog.tsx";
import { Field, Input, Select } from "./parts.tsx";

/** What the form changes. */
export interface Limit {
  limit_usd: Usd;
  /** Left out where they are not known: the form has no field for them. */
  warning_thresholds?: number[];
  /** Left out where a limit always refuses. */
  enforcement?: Quota["enforcement"];
}

const DEFAULT_THRESHOLDS = [0.8];

export function LimitDialog({
  title,
  description,
  name = "Limit",
  label = "Limit in USD",
  before,
  start = before,
  spent,
  noLimit = "no limit",
  choices,
  differences = [],
  action,
  change,
  onClose,
}: {
  title: string;
  description: string;
  /** Its line of before and after. */
  name?: string;
  label?: string;
  /** As it is; left out where there is none yet. */
  before?: Limit;
  /** What the form begins with. */
  start?: Limit;
  /** Of the present period, where it counts against the limit. */
  spent?: Usd;
  /** What is before, where there is no limit. */
  noLimit?: string;
  /** Fields of what is limited, above the amount. */
  choices?: ReactNode;
  /** Further lines of before and after. */
  differences?: Difference[];
  action: string | ((usd: string) => string);
  change: (limit: Limit) => Promise<void>;
  onClose: () => void;
}) {
  const [usd, setUsd] = useState(start ? plainUsd(start.limit_usd) : "");
  const [percents, setPercents] = useState(
    percentsText(start ? (start.warning_thresholds ?? []) : DEFAULT_THRESHOLDS),
  );
  const [enforcement, setEnforcement] = useState(start?.enforcement);
  const hasWarnings = start === undefined || start.warning_thresholds !== undefined;
  const amount = parseUsd(usd);
  const thresholds = hasWarnings ? parsePercents(percents) : undefined;
  const isComplete = amount !== undefined && (thresholds !== undefined || !hasWarnings);
  const amountText = amount === undefined ? "" : formatUsd(amount);
  return (
    <ChangeDialog
      title={title}
      description={description}
      isComplete={isComplete}
      form={
        <div className="grid gap-3 sm:grid-cols-2">
          {choices}
          <Field
            label={label}
            hint="0 refuses everything."
            error={usd && amount === undefined ? "An amount such as 20 or 0.50." : undefined}
          >
            {(field) => (
              <Input
                {...field}
                inputMode="decimal"
                value={usd}
                required
                onChange={({ target }) => setUsd(target.value)}
              />
            )}
          </Field>
          {hasWarnings && (
            <Field
              label="Warn at, in percent"
              hint="One or several: 50, 80, 95."
              error={
                thresholds === undefined ? "One to ten, each more than 0, at most 100." : undefined
              }
            >
              {(field) => (
                <Input
                  {...field}
                  value={percents}
                  onChange={({ target }) => setPercents(target.value)}
                />
              )}
            </Field>
          )}
          {enforcement && (
            <Field label="When it is reached">
              {(field) => (
                <Select
                  {...field}
                  value={enforcement}
                  options={[
                    ["block", "refuse"],
                    ["observe", "only observe"],
                  ]}
                  onValue={setEnforcement}
                />
              )}
            </Field>
          )}
        </div>
      }
      differences={[
        { name, before: before ? formatUsd(before.limit_usd) : noLimit, after: amountText },
        ...(hasWarnings
          ? [
              {
                name: "Warns at",
                before: before?.warning_thresholds
                  ? `${percentsText(before.warning_thresholds)}\u00a0%`
                  : "–",
                after: `${percentsText(thresholds ?? [])}\u00a0%`,
              },
            ]
          : []),
        ...(enforcement
          ? [
              {
                name: "When reached",
                before: before?.enforcement ? WORDS[before.enforcement] : "–",
                after: WORDS[enforcement],
              },
            ]
          : []),
        ...differences,
      ]}
      warning={warningAbout({ amount, spent, enforcement, before })}
      action={typeof action === "string" ? action : action(amountText)}
      change={() =>
        change({
          limit_usd: amount as Usd,
          ...(thresholds && { warning_thresholds: thresholds }),
          ...(enforcement && { enforcement }),
        })
      }
      onClose={onClose}
    />
  );
}

const WORDS = { block: "refuses", observe: "only observes" };

function warningAbout({
  amount,
  spent,
  enforcement = "block",
  before,
}: {
  amount: Usd | undefined;
  spent: Usd | undefined;
  enforcement: Quota["enforcement"] | undefined;
  before: Limit | undefined;
}): string | undefined {
  if (enforcement === "observe") {
    return before?.enforcement === "block"
      ? "Nothing is refused by this limit any more."
      : undefined;
  }
  if (amount === undefined || spent === undefined || compareUsd(amount, spent) > 0)
    return undefined;
  return `${formatUsd(spent)} is spent already: every call is refused until the period ends.`;
}
