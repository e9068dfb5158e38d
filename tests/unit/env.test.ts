// Settings are refused that would end calls at once, or keep holds for ever.
import { expect, it } from "vitest";
import { readEnv } from "../../functions/_shared/runtime/env.ts";

const base = {
  SUPABASE_URL: "http://127.0.0.1:54321",
  SUPABASE_PUBLISHABLE_KEY: "sb_publishable_1",
  SUPABASE_SECRET_KEY: "sb_secret_1",
};

it.each(["0", "99", "3600001", "99999999999", "-1", "1.5", "soon", "NaN"])(
  "SPENDGATE_CALL_TIMEOUT_MS=%s is refused by name",
  (value) => {
    const set = () => readEnv({ ...base, SPENDGATE_CALL_TIMEOUT_MS: value });
    expect(set).toThrow(/SPENDGATE_CALL_TIMEOUT_MS/);
  },
);

it.each(["100", "140000", "3600000"])("SPENDGATE_CALL_TIMEOUT_MS=%s is taken", (value) => {
  const { callTimeoutMs } = readEnv({ ...base, SPENDGATE_CALL_TIMEOUT_MS: value });
  expect(callTimeoutMs).toBe(Number(value));
});
