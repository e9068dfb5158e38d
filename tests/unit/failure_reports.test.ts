// Failures that the operator is alerted of: bounded, and with no word of a request in them.
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Database } from "../../functions/_shared/database/client.ts";
import { type Failure, FailureReports } from "../../functions/_shared/gate/failure_reports.ts";

const rpc = vi.fn(async (..._: unknown[]) => true);
let reports: FailureReports;

beforeEach(() => {
  vi.useRealTimers();
  rpc.mockReset();
  rpc.mockResolvedValue(true);
  vi.spyOn(console, "warn").mockImplementation(() => {});
  reports = new FailureReports({ rpc } as unknown as Database);
});

const missing = (subject: string, tenantId: string | null = "one"): Failure => ({
  kind: "price_missing",
  tenantId,
  subject,
  message: `There is no price for ${subject}.`,
});
const subjects = () => rpc.mock.calls.map(([, , args]) => (args as { subject: string }).subject);

describe("A failure", () => {
  it("is reported once in an hour, and again in the next", () => {
    vi.useFakeTimers({ now: Date.parse("2026-03-02T10:59:59Z") });
    for (let each = 0; each < 3; each++) reports.report(missing("openai/gpt-9"));
    expect(subjects()).toEqual(["openai/gpt-9"]);
    vi.setSystemTime(Date.parse("2026-03-02T11:00:00Z"));
    reports.report(missing("openai/gpt-9"));
    expect(subjects()).toHaveLength(2);
  });

  it("of a tenant that names 100 products is reported for 10, and another tenant's all the same", () => {
    for (let each = 0; each < 100; each++) reports.report(missing(`openai/gpt-${each}`));
    reports.report(missing("openai/gpt-9", "two"));
    reports.report({ ...missing("Error"), kind: "settle_failed" });
    expect(rpc).toHaveBeenCalledTimes(12);
  });

  it.each(["what is the price of oil?", "a\nb", "x".repeat(121), "", "<script>"])(
    "about %j, which is no name, is not reported: it may be somebody's words",
    (subject) => {
      reports.report(missing(subject));
      expect(rpc).not.toHaveBeenCalled();
    },
  );

  it("that could not be reported is reported at its next time", async () => {
    rpc.mockRejectedValueOnce(new Error("no answer"));
    reports.report(missing("openai/gpt-9"));
    await vi.waitFor(() => expect(console.warn).toHaveBeenCalled());
    reports.report(missing("openai/gpt-9"));
    expect(rpc).toHaveBeenCalledTimes(2);
  });
});
