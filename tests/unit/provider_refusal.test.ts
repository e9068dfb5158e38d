// What providers answer when they refuse, in their own shapes, and what becomes of it.
import { APICallError } from "@ai-sdk/provider";
import { describe, expect, it } from "vitest";
import { upstreamError } from "../../functions/_shared/llm/providers/error.ts";
import { faultOf, readRefusal } from "../../functions/_shared/llm/providers/refusal.ts";

function answered(statusCode: number, body: unknown, responseHeaders = {}): APICallError {
  return new APICallError({
    message: "refused",
    url: "https://provider.example",
    requestBodyValues: {},
    statusCode,
    responseHeaders,
    responseBody: typeof body === "string" ? body : JSON.stringify(body),
  });
}
const google = (code: number, status: string, message: string, details: object[] = []) =>
  answered(code, { error: { code, status, message, details } });
const anthropic = (code: number, type: string, message: string) =>
  answered(code, { type: "error", error: { type, message }, request_id: "req_1" });
const openai = (status: number, error: object) => answered(status, { error });

describe("A refusal that the request is to blame for is a 400 with a code, and is of no use to send again", () => {
  it.each([
    [
      "OpenAI's context_length_exceeded",
      openai(400, {
        message: "This model's maximum context length is 128000 tokens.",
        type: "invalid_request_error",
        param: "messages",
        code: "context_length_exceeded",
      }),
      "context_length_exceeded",
    ],
    [
      "Anthropic's prompt that is too long",
      anthropic(400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
      "context_length_exceeded",
    ],
    [
      "Gemini's input that is too long",
      google(
        400,
        "INVALID_ARGUMENT",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
      ),
      "context_length_exceeded",
    ],
    [
      "OpenAI's model that is not there",
      openai(404, {
        message: "The model `gpt-9` does not exist or you do not have access to it.",
        type: "invalid_request_error",
        param: null,
        code: "model_not_found",
      }),
      "model_not_found",
    ],
    ["Anthropic's", anthropic(404, "not_found_error", "model: claude-9"), "model_not_found"],
    [
      "Gemini's",
      google(404, "NOT_FOUND", "models/gemini-9 is not found for API version v1beta."),
      "model_not_found",
    ],
    [
      "a field that is not known",
      answered(422, { detail: [{ loc: ["body", "seed"], msg: "Extra inputs are not permitted" }] }),
      "invalid_request",
    ],
    ["an error that is a string", answered(400, { error: "bad schema" }), "invalid_request"],
    [
      "OpenRouter's moderation",
      answered(403, { error: { code: 403, message: "Your input was flagged by moderation" } }),
      "content_policy_violation",
    ],
    [
      "an error in a stream",
      { message: "bad image", type: "invalid_request_error", code: "invalid_image" },
      "invalid_image",
    ],
  ])("for %s", (_, error, code) => {
    const told = upstreamError(error);
    expect(told).toMatchObject({ code: "invalid_request", status: 400, mayRetry: false });
    expect((told.details.upstream as { code: string | null }).code ?? "invalid_request").toBe(code);
  });

  it("and the caller reads the provider's words, without keys, and the message for logs has none of them", () => {
    const words =
      "Invalid schema for sk-proj-abcdef123456 of org-Abc123456, acct_blue_9: whispered";
    const told = upstreamError(openai(400, { message: words, type: "invalid_request_error" }));
    expect(told.toJSON().message).toBe("Invalid schema for … of …, …: whispered");
    expect(told.message).not.toContain("whispered");
  });
});

describe("A refusal that the project's account is to blame for is a 502 with the provider's code, and is of no use to try again", () => {
  it.each([
    [
      "a wrong key",
      openai(401, {
        message: "Incorrect API key provided: sk-1234567890",
        code: "invalid_api_key",
      }),
      "invalid_api_key",
    ],
    [
      "no credit, as a 429",
      openai(429, { message: "You exceeded your current quota", code: "insufficient_quota" }),
      "insufficient_quota",
    ],
    [
      "no credit, as a 400",
      anthropic(400, "invalid_request_error", "Your credit balance is too low to access the API."),
      "invalid_request_error",
    ],
    [
      "Gemini's wrong key, a 400",
      google(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", [
        { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "API_KEY_INVALID" },
      ]),
      "API_KEY_INVALID",
    ],
    ["no money", answered(402, { error: { message: "Insufficient Balance" } }), null],
  ])("for %s", (_, error, code) => {
    const told = upstreamError(error);
    expect(told).toMatchObject({ code: "upstream_error", status: 502, mayRetry: false });
    expect(told.details.upstream).toMatchObject({ code });
    expect(told.headers).not.toHaveProperty("Retry-After");
    expect(JSON.stringify(told)).not.toContain("sk-1234567890");
  });
});

describe("A provider that is overloaded is a 503 with Retry-After", () => {
  it.each([
    ["seconds", answered(429, {}, { "retry-after": "7" }), "7"],
    ["parts of a second", answered(429, {}, { "retry-after": "0.4" }), "1"],
    ["nothing said", answered(503, "<html>busy</html>"), "5"],
    ["Anthropic overloaded", anthropic(529, "overloaded_error", "Overloaded"), "5"],
    ["Anthropic overloaded, in a stream", { type: "overloaded_error", message: "Overloaded" }, "5"],
    [
      "Gemini's delay",
      google(
        429,
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan.",
        [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "34.07s" }],
      ),
      "35",
    ],
  ])("that says when to retry: %s", (_, error, wait) => {
    const told = upstreamError(error);
    expect(told).toMatchObject({ code: "upstream_error", status: 503, mayRetry: true });
    expect(told.headers["Retry-After"]).toBe(wait);
    expect(told.toJSON()).toMatchObject({ retryAfter: Number(wait) });
  });

  it("and a date counts from now", () => {
    const date = new Date(Date.now() + 90_000).toUTCString();
    const { retryAfter } = readRefusal(answered(503, {}, { "retry-after": date }));
    expect(retryAfter).toBeGreaterThanOrEqual(89);
    expect(retryAfter).toBeLessThanOrEqual(90);
  });
});

it.each([
  ["500", answered(500, { error: { message: "boom" } })],
  ["a 400 that says so", openai(400, { message: "boom", type: "server_error" })],
  ["a page that is no API's", answered(404, "<html>nginx</html>")],
  ["our own failure to parse an answer", new SyntaxError("Unexpected token: whispered")],
  ["a refusal to connect", new TypeError("fetch failed", { cause: { code: "ECONNREFUSED" } })],
])("%s is the provider's fault", (_, error) => {
  expect(faultOf(readRefusal(error))).toBe("provider");
});
