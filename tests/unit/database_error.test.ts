// What the database's errors become.
import { PostgrestError } from "@supabase/supabase-js";
import { expect, it } from "vitest";
import { databaseError } from "../../functions/_shared/database/errors.ts";

const said = (code: string, message = "said", details = "") =>
  databaseError(new PostgrestError({ code, message, details, hint: "" }));

it.each([
  ["22P05", "a text with NUL in it"],
  ["22P02", "a text that is no uuid"],
  ["22003", "a number that is too large"],
])("%s, %s, is a 400, which no retry mends", (code) => {
  expect(said(code)).toMatchObject({ status: 400, code: "invalid_request", mayRetry: false });
});

it.each(["40001", "57014", "08006", "XX000", ""])(
  "The SQLSTATE %j is a 503, to be tried again",
  (code) => {
    expect(said(code)).toMatchObject({ status: 503, code: "quota_unavailable", retryAfter: 5 });
  },
);

it("An idempotency key that was used is a 409 that says by whom it may have been", () => {
  const error = said("PT409", "idempotency_conflict");
  expect(error).toMatchObject({ status: 409, code: "idempotency_conflict" });
  expect(error.message).toContain("by another member");
});
