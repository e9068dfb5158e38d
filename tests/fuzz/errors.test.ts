// An unexpected error reveals nothing.
import { join } from "node:path";
import { expect, it } from "vitest";
import { PROJECT } from "../../scripts/stack/paths.ts";

const FUNCTIONS = process.env.SPENDGATE_TEST_FUNCTIONS ?? join(PROJECT, "functions");

it("An error that is not ours becomes a 500 without its words, as JSON and as a stream", async () => {
  const { toSpendgateError } = await import(`${FUNCTIONS}/_shared/errors.ts`);
  const { errorResponse } = await import(`${FUNCTIONS}/_shared/http/error_response.ts`);
  for (const format of ["json", "sse"] as const) {
    const response: Response = errorResponse(toSpendgateError(new Error("the secret")), format);
    const text = await response.text();
    expect(response.status).toBe(500);
    expect(text).toContain('"error":"internal_error"');
    expect(text).not.toMatch(/the secret|\n\s*at /);
  }
});
