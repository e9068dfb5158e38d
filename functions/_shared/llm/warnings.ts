// What a model's provider did not take of a call, told by the names that the caller's wire format has.
import type { SharedV4Warning } from "@ai-sdk/provider";

/**
 * `x-spendgate-warnings`: the fields that the model's provider does not take, or not as they were sent. `names` has
 * those that the AI SDK calls otherwise than the caller.
 */
export function headersOfWarnings(
  warnings: SharedV4Warning[],
  ignored: Set<string>,
  names: Record<string, string>,
): Record<string, string> {
  const features = warnings.flatMap((warning) =>
    warning.type === "unsupported" || warning.type === "compatibility" ? [warning.feature] : [],
  );
  const fields = new Set(ignored);
  for (const feature of features) {
    const field =
      names[feature] ?? feature.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (/^[\w.]{1,64}$/.test(field)) fields.add(field);
  }
  if (fields.size === 0) return {};
  return { "x-spendgate-warnings": [...fields].sort().join(", ") };
}
