// Changes any quota; the database demands an operator of the role editor.
import { useMutation } from "@tanstack/react-query";
import { changeQuota, type Quota } from "../data/feeds.ts";
import { type Limit, LimitDialog } from "../ui/limit_dialog.tsx";
import { quotaName } from "../ui/quota_bar.tsx";

type Edited = Pick<
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
  Partial<Pick<Quota, "warning_thresholds" | "source">>;

export function EditQuota({
  quota,
  of,
  onClose,
}: {
  quota: Edited;
  /** Whose it is. */
  of?: string;
  onClose: () => void;
}) {
  const { mutateAsync } = useMutation({
    mutationFn: (edit: Limit) => changeQuota(quota.quota_id, edit),
  });
  return (
    <LimitDialog
      title={`Change ${quotaName(quota)}${of ? ` of ${of}` : ""}`}
      description={
        quota.source === "plan"
          ? "It follows the plan now. Changed by hand, it does so no more."
          : "The next call is admitted by the new limit."
      }
      before={quota}
      spent={quota.spent_usd}
      action="Change the limit"
      change={async (limit) => {
        await mutateAsync(limit);
      }}
      onClose={onClose}
    />
  );
}
