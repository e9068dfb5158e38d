// What is wrong in the environment is said by name, and stops no more than it must.
import { beforeEach, describe, expect, it, vi } from "vitest";
import { expectRight, readEnv } from "../../functions/_shared/runtime/env.ts";
import {
  describeProblem,
  readSettings,
  SETTING_GROUPS,
} from "../../functions/_shared/runtime/settings.ts";
import { settingProblems } from "../../scripts/stack/settings.ts";

const base = {
  SUPABASE_URL: "http://127.0.0.1:54321",
  SUPABASE_PUBLISHABLE_KEY: "sb_publishable_1",
  SUPABASE_SECRET_KEY: "sb_secret_1",
};
const read = (values: Record<string, string>) => readEnv({ ...base, ...values });

let logged: Record<string, string>[];
beforeEach(() => {
  logged = [];
  vi.spyOn(console, "error").mockImplementation((line) => void logged.push(JSON.parse(line)));
});

describe("a call's time, which would end calls at once or leave holds for ever", () => {
  it.each(["0", "99", "3600001", "99999999999", "-1", "1.5", "soon", "NaN"])(
    "SPENDGATE_CALL_TIMEOUT_MS=%s is not taken: it is 140000",
    (value) => {
      const env = read({ SPENDGATE_CALL_TIMEOUT_MS: value });
      expect(env.callTimeoutMs).toBe(140_000);
      expect(env.problems).toMatchObject([{ variable: "SPENDGATE_CALL_TIMEOUT_MS" }]);
    },
  );

  it.each(["100", "140000", "3600000"])("SPENDGATE_CALL_TIMEOUT_MS=%s is taken", (value) => {
    const { callTimeoutMs, problems } = read({ SPENDGATE_CALL_TIMEOUT_MS: value });
    expect(callTimeoutMs).toBe(Number(value));
    expect(problems).toEqual([]);
  });
});

describe("settings of alerts", () => {
  it.each([
    [
      "ALERT_EMAIL_TO",
      "ops@example.com , cfo@example.com",
      "alertEmailTo",
      ["ops@example.com", "cfo@example.com"],
    ],
    [
      "ALERT_EMAIL_FROM",
      "Spendgate <alerts@example.com>",
      "alertEmailFrom",
      "Spendgate <alerts@example.com>",
    ],
    ["ALERT_EMAIL_FROM", "alerts@example.com", "alertEmailFrom", "alerts@example.com"],
    ["ALERT_KINDS", "quota_warning, job_failed", "alertKinds", ["quota_warning", "job_failed"]],
    [
      "ALERT_SMTP_URL",
      "smtps://a:b@mail.example.com:465",
      "smtpUrl",
      "smtps://a:b@mail.example.com:465",
    ],
    ["ALERT_ALLOW_PRIVATE_ADDRESSES", "true", "allowPrivateAddresses", true],
  ] as const)("%s=%s is taken", (variable, value, field, expected) => {
    const env = read({ [variable]: value });
    expect(env.problems).toEqual([]);
    expect(env[field]).toEqual(expected);
  });
});

describe("an optional setting that is wrong", () => {
  it.each([
    ["ENFORCE_COST_QUOTAS", "no", "enforceCostQuotas", true],
    ["ENFORCE_E2B_QUOTAS", "0", "enforceE2bQuotas", true],
    ["SPENDGATE_MAX_STEPS", "many", "maxSteps", 20],
    ["SPENDGATE_COMPACTION_SHARE", "75", "compactionShare", 0.75],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "otlpEndpoint", undefined],
    ["ALERT_WEBHOOK_URL", "ftp://example.com", "alertWebhookUrl", undefined],
    ["ALERT_WEBHOOK_SECRET", "whsec_not base64", "alertWebhookSecret", undefined],
    ["ALERT_SLACK_WEBHOOK_URL", "hooks.slack.com/services/T0", "alertSlackUrl", undefined],
    ["ALERT_PAGERDUTY_ROUTING_KEY", "R0UT1NG-KEY", "pagerDutyRoutingKey", undefined],
    ["ALERT_PAGERDUTY_URL", "events", "pagerDutyUrl", "https://events.pagerduty.com"],
    ["ALERT_EMAIL_TO", "ops@example.com, cfo", "alertEmailTo", undefined],
    ["ALERT_EMAIL_FROM", "Spendgate <alerts>", "alertEmailFrom", undefined],
    ["ALERT_EMAIL_FROM", "a <a@b.c>\r\nBcc: d@e.f", "alertEmailFrom", undefined],
    ["ALERT_SMTP_URL", "https://mail.example.com", "smtpUrl", undefined],
    ["ALERT_KINDS", "quota_warning, limit", "alertKinds", undefined],
    // What a tenant's channel may reach stays closed.
    ["ALERT_ALLOW_PRIVATE_ADDRESSES", "yes", "allowPrivateAddresses", false],
    ["DASHBOARD_URL", "/dashboard", "dashboardUrl", undefined],
    // Files that are deleted do not come back.
    ["SPENDGATE_SANDBOX_MAX_PAUSED_SECONDS", "30 days", "sandboxMaxPausedSeconds", 315_360_000],
  ] as const)("%s=%s: %s is %s", (variable, value, field, expected) => {
    const env = read({ [variable]: value });
    expect(env[field]).toBe(expected);
    expect(env.problems).toMatchObject([{ variable }]);
    expect(() => expectRight(env.problems, [variable])).toThrow(variable);
    expect(() => expectRight(env.problems, ["SPENDGATE_PROJECT"])).not.toThrow();
  });

  it("is logged once, with what is allowed and what to do, and without its value", () => {
    for (let time = 0; time < 3; time++) read({ SPENDGATE_MAX_BODY_BYTES: "secret" });
    expect(logged).toMatchObject([
      {
        event: "setting_wrong",
        variable: "SPENDGATE_MAX_BODY_BYTES",
        allowed: "bytes, from 1024",
        remedy: "Correct SPENDGATE_MAX_BODY_BYTES or remove it; until then it is 1048576.",
      },
    ]);
    expect(JSON.stringify(logged)).not.toContain("secret");
  });

  it("and empty counts as not set", () => {
    expect(read({ SPENDGATE_MAX_STEPS: "", ALERT_WEBHOOK_URL: "" }).problems).toEqual([]);
  });
});

describe("a required setting", () => {
  it.each([
    [{ SUPABASE_URL: "" }, "SUPABASE_URL"],
    [{ SUPABASE_URL: "project.supabase.co" }, "SUPABASE_URL"],
    [{ SUPABASE_PUBLISHABLE_KEY: "" }, "SUPABASE_PUBLISHABLE_KEYS"],
    [{ SUPABASE_SECRET_KEY: "" }, "SUPABASE_SECRET_KEYS"],
    [{ SUPABASE_SECRET_KEY: "", SUPABASE_SECRET_KEYS: "{}" }, "SUPABASE_SECRET_KEYS"],
  ])("%o: not_configured, which names it", (values, name) => {
    expect(() => read(values)).toThrow(
      expect.objectContaining({ code: "not_configured", message: `Missing or wrong: ${name}.` }),
    );
  });

  it("a key by its older name is one", () => {
    const older = { SUPABASE_SECRET_KEY: "", SUPABASE_SERVICE_ROLE_KEY: "sb_secret_2" };
    expect(read(older).secretKey).toBe("sb_secret_2");
  });
});

describe("the keys of a hosted project", () => {
  const legacy = { SUPABASE_ANON_KEY: "anon", SUPABASE_SERVICE_ROLE_KEY: "service" };
  const keysIn = (values: Record<string, string>) => {
    const { publishableKey, secretKey, secretKeys } = readEnv({
      SUPABASE_URL: base.SUPABASE_URL,
      ...values,
    });
    return { publishableKey, secretKey, secretKeys };
  };

  it("each named one may call, the default is for our own calls, and an older name's, perhaps revoked, is not taken", () => {
    expect(
      keysIn({
        ...base,
        ...legacy,
        SUPABASE_PUBLISHABLE_KEYS: '{"web": "sb_publishable_3", "default": "sb_publishable_2"}',
        SUPABASE_SECRET_KEYS: '{"cron": "sb_secret_3", "default": "sb_secret_2"}',
      }),
    ).toEqual({
      publishableKey: "sb_publishable_2",
      secretKey: "sb_secret_2",
      secretKeys: ["sb_secret_2", "sb_secret_3"],
    });
  });

  it.each([
    ["none is the default: the first", '{"a": "sb_secret_2", "b": "sb_secret_3"}', "sb_secret_2"],
    ["there is none: the one without a name", "{}", "sb_secret_1"],
    ["it is not set: the one without a name", "", "sb_secret_1"],
  ])("%s is for our own calls", (_, value, expected) => {
    expect(read({ SUPABASE_SECRET_KEYS: value }).secretKey).toBe(expected);
  });

  it("the legacy ones alone do", () => {
    expect(keysIn(legacy)).toEqual({
      publishableKey: "anon",
      secretKey: "service",
      secretKeys: ["service"],
    });
  });

  it.each([
    ["SUPABASE_PUBLISHABLE_KEYS", "sb_publishable_1"],
    ["SUPABASE_SECRET_KEYS", '["sb_secret_1"]'],
    ["SUPABASE_SECRET_KEYS", '{"default": ""}'],
    ["SUPABASE_SECRET_KEYS", '{"default": {"key": "sb_secret_1"}}'],
    ["SUPABASE_JWKS", "{"],
    ["SUPABASE_JWKS", '{"keys": ["x"]}'],
  ])("%s=%s: not_configured, which names it, whatever the older names say", (name, value) => {
    expect(() => read({ ...legacy, [name]: value })).toThrow(
      expect.objectContaining({
        code: "not_configured",
        message: expect.stringMatching(new RegExp(`^${name} is wrong\\. Allowed: JSON: `)),
      }),
    );
  });

  it.each(['{"keys": [{"kty": "EC", "kid": "1"}]}', '[{"kty": "EC", "kid": "1"}]'])(
    "SUPABASE_JWKS=%s is a key set",
    (value) =>
      expect(read({ SUPABASE_JWKS: value }).jwks).toEqual({ keys: [{ kty: "EC", kid: "1" }] }),
  );
});

it("every default is what its own setting allows", () => {
  for (const settings of Object.values(SETTING_GROUPS)) {
    for (const [name, { default: value }] of Object.entries(settings)) {
      if (value === undefined) continue;
      const text = typeof value === "object" ? JSON.stringify(value) : String(value);
      const { values, problems } = readSettings(settings, { [name]: text });
      expect(problems.map(describeProblem)).toEqual([]);
      expect(values[name]).toEqual(value);
    }
  }
});

describe("what npm start says", () => {
  it.each([
    [
      { SPENDGATE_API_PORT: "http" },
      /^SPENDGATE_API_PORT: .*Allowed: port\. Correct SPENDGATE_API_PORT or remove it\.$/,
    ],
    [{ SPENDGATE_DB_PORT: "99999" }, /^SPENDGATE_DB_PORT: .*or remove it\.$/],
    [{ E2B_API_URL: "e2b" }, /^E2B_API_URL: .*Allowed: URL\. Correct E2B_API_URL or remove it\.$/],
    [{ SPENDGATE_PROVIDERS: "{" }, /^SPENDGATE_PROVIDERS: is not JSON\. .*or remove it\.$/],
  ])("%o, and does not start", (values, line) => {
    expect(settingProblems(values as Record<string, string>)).toEqual({
      wrong: [expect.stringMatching(line)],
      doubtful: [],
    });
  });

  it.each([
    [
      { SPENDGATE_PROVIDERS: '{"groq": {"baseUrl": "https://x.y", "apiKeyEnv": "GROQ_KEY"}}' },
      /^SPENDGATE_PROVIDERS\.groq: GROQ_KEY is not set\./,
    ],
    [{ SPENDGATE_MAX_STEP: "3" }, /^SPENDGATE_MAX_STEP: .*Did you mean SPENDGATE_MAX_STEPS\?$/],
    [{ SPENDGATE_SANDBOX_PORT: "1" }, /Did you mean SPENDGATE_SANDBOXES_PORT\?$/],
  ])("%o, and starts", (values, line) => {
    expect(settingProblems(values as Record<string, string>)).toEqual({
      wrong: [],
      doubtful: [expect.stringMatching(line)],
    });
  });

  it("nothing of what is right, or no setting at all", () => {
    expect(
      settingProblems({ SPENDGATE_PG: "15", SPENDGATE_PGTAP: "quotas", PATH: "/bin" }),
    ).toEqual({ wrong: [], doubtful: [] });
  });
});
