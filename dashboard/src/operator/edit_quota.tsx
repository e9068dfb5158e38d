// Changes any quota; the database demands an operator of the role editor.
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { changeQuota, type Quota, type QuotaEdit } from "../data/feeds.ts";
import { formatUsd, parseUsd, percentText, plainUsd } from "../lib/money.ts";
import { ChangeDialog } from "../ui/dialog.tsx";
import { Field, Input, Select } from "../ui/parts.tsx";
import { quotaName } from "../ui/quota_bar.tsx";

export function EditQuota({
  quota,
  of,
  onClose,
}: {
  quota: Pick<
    Quota,
    | "quota_id"
    | "limit_usd"
    | "spent_usd"
    | "enforcement"
    | "resource_type"
    | "period"
    | "task"
    | "product"
  > &
    Partial<Pick<Quota, "warning_threshold" | "source">>;
  /** Whose it is. */
  of?: string;
  onClose: () => void;
}) {
  const [limit, setLimit] = useState(plainUsd(quota.limit_usd));
  const [warning, setWarning] = useState(
    quota.warning_threshold === undefined ? "" : percentText(quota.warning_threshold),
  );
  const [enforcement, setEnforcement] = useState(quota.enforcement);
  const { mutateAsync } = useMutation({
    mutationFn: (edit: QuotaEdit) => changeQuota(quota.quota_id, edit),
  });
  const amount = parseUsd(limit);
  const threshold = warning === "" ? undefined : Number(warning) / 100;
  const warningIsRight = threshold === undefined || (threshold > 0 && threshold <= 1);
  return (
    <ChangeDialog
      title={`Change ${quotaName(quota)}${of ? ` of ${of}` : ""}`}
      description={
        quota.source === "plan"
          ? "It follows the plan now. Changed by hand, it does so no more."
          : "The next call is admitted by the new limit."
      }
      isComplete={amount !== undefined && warningIsRight}
      form={
        <div className="grid gap-3 sm:grid-cols-3">
          <Field
            label="Limit in USD"
            hint="0 refuses everything."
            error={amount === undefined ? "An amount such as 20 or 0.50." : undefined}
          >
            {(field) => (
              <Input
                {...field}
                inputMode="decimal"
                value={limit}
                onChange={({ target }) => setLimit(target.value)}
              />
            )}
          </Field>
          {quota.warning_threshold !== undefined && (
            <Field
              label="Warn from, in percent"
              error={warningIsRight ? undefined : "More than 0, at most 100."}
            >
              {(field) => (
                <Input
                  {...field}
                  inputMode="decimal"
                  value={warning}
                  onChange={({ target }) => setWarning(target.value)}
                />
              )}
            </Field>
          )}
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
        </div>
      }
      differences={[
        {
          name: "Limit",
          before: formatUsd(quota.limit_usd),
          after: amount === undefined ? "" : formatUsd(amount),
        },
        ...(threshold === undefined
          ? []
          : [
              {
                name: "Warns from",
                before: `${percentText(quota.warning_threshold ?? 0)} %`,
                after: `${percentText(threshold)} %`,
              },
            ]),
        { name: "When reached", before: wordFor(quota.enforcement), after: wordFor(enforcement) },
      ]}
      warning={
        amount !== undefined && enforcement === "block" && Number(amount) <= Number(quota.spent_usd)
          ? `${formatUsd(quota.spent_usd)} is spent already: every call is refused until the period ends.`
          : enforcement === "observe" && quota.enforcement === "block"
            ? "Nothing is refused by this limit any more."
            : undefined
      }
      action="Change the limit"
      change={async () => {
        await mutateAsync({
          limit_usd: amount,
          enforcement,
          ...(threshold !== undefined && { warning_threshold: threshold }),
        });
      }}
      onClose={onClose}
    />
  );
}

function wordFor(enforcement: Quota["enforcement"]): string {
  return enforcement === "block" ? "refuses" : "only observes";
}
