// Settings that are wrong, over HTTP: each stops what needs it, and nothing else.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestStack, type TestStack, type TestUser } from "../support/stack.ts";

describe("optional ones", () => {
  const WRONG = {
    ENFORCE_COST_QUOTAS: "no",
    SPENDGATE_MAX_STEPS: "many",
    SPENDGATE_CALL_TIMEOUT_MS: "1 minute",
    OTEL_EXPORTER_OTLP_ENDPOINT: "nowhere",
    ALERT_WEBHOOK_URL: "nowhere",
    ANTHROPIC_BASE_URL: "nowhere",
    SPENDGATE_PROVIDERS: "{",
    E2B_API_URL: "nowhere",
  };
  let stack: TestStack;
  let user: TestUser;

  beforeAll(async () => {
    stack = await startTestStack({ env: WRONG });
    user = await stack.signUp();
    await stack.createTenant({ members: [user] });
  });
  afterAll(() => stack.stop());

  const chat = (model?: string) =>
    stack.call("/chat", {
      user,
      json: { stream: false, model, messages: [{ role: "user", content: "Hello" }] },
    });

  it("chat answers 200, and enforces", async () => {
    const response = await chat();
    expect([response.status, await response.text()]).toEqual([200, expect.any(String)]);
    await stack.sql`update spend.cost_quotas set limit_usd = 0`;
    expect((await chat()).status).toBe(429);
    await stack.sql`update spend.cost_quotas set limit_usd = 100`;
  });

  it("sandboxes, alerts and models of providers that are set up wrongly answer 503", async () => {
    const sandbox = await stack.call("/sandbox", { user, json: { conversationId: "one" } });
    expect(sandbox.status).toBe(503);
    expect(await sandbox.json()).toEqual({
      error: "not_configured",
      message: "E2B_API_URL is wrong. Allowed: URL.",
    });
    const alerts = await stack.call("/alerts", {
      method: "POST",
      headers: { apikey: stack.keys.secret },
    });
    expect([alerts.status, await alerts.json()]).toEqual([
      503,
      {
        error: "not_configured",
        message: "ALERT_WEBHOOK_URL is wrong. Allowed: http or https URL.",
      },
    ]);
    for (const model of ["anthropic/claude-sonnet-4-5", "groq/llama-3.3-70b-versatile"]) {
      const answer = await chat(model);
      expect([answer.status, await answer.json()], model).toMatchObject([
        503,
        { error: "not_configured" },
      ]);
    }
  });

  it("the log says each once, with what is allowed and what to do", () => {
    const said = stack.logs
      .filter((line) => line.includes('"setting_wrong"'))
      .map((line) => JSON.parse(line));
    const { ANTHROPIC_BASE_URL: _, SPENDGATE_PROVIDERS: __, ...others } = WRONG;
    expect(said.map(({ variable }) => variable).sort()).toEqual(Object.keys(others).sort());
    for (const line of said)
      expect(line).toMatchObject({
        allowed: expect.stringMatching(/./),
        remedy: expect.stringContaining("until then"),
      });
    const provider = stack.logs.filter((line) => line.includes('"provider_not_usable"'));
    expect(provider).toEqual([
      expect.stringContaining("ANTHROPIC_BASE_URL: "),
      expect.stringContaining("SPENDGATE_PROVIDERS: is not JSON"),
    ]);
  });
});

it("a required one: every function answers 503 and names it, to a browser too", async () => {
  const stack = await startTestStack({ env: { SUPABASE_URL: "nowhere" } });
  try {
    for (const path of ["/chat", "/openai/v1/models", "/sandbox", "/maintenance", "/chat/health"]) {
      const response = await stack.call(path, { headers: { origin: "https://app.example.com" } });
      expect(response.status, path).toBe(503);
      expect(await response.text(), path).toContain("Missing or wrong: SUPABASE_URL.");
      expect(response.headers.get("access-control-allow-origin"), path).toBe("*");
    }
    expect(stack.logs.join("\n")).toContain('"message":"Missing or wrong: SUPABASE_URL."');
  } finally {
    await stack.stop();
  }
});
