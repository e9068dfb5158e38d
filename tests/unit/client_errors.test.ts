// The client's helper reads the functions' errors in each wrapping that client libraries give them.
import { APICallError } from "@ai-sdk/provider";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { describe, expect, it } from "vitest";
import { readSpendgateError, spendgateError } from "../../client/errors.ts";
import { SpendgateError } from "../../functions/_shared/errors.ts";
import { acceptsOnlyEvents, errorResponse } from "../../functions/_shared/http/error_response.ts";
import { anthropicErrorResponse, toAnthropicError } from "../../functions/anthropic/errors.ts";
import { openAIErrorResponse, toOpenAIError } from "../../functions/openai/errors.ts";

const quotaDetails = {
  scope: "tenant",
  scopeId: null,
  resourceType: "llm",
  limitUsd: 1,
  currentSpendUsd: 1,
  estimatedCostUsd: 0.01,
  remainingUsd: 0,
  period: "day",
  utilizationPercent: 100,
};
const refusal = new SpendgateError("quota_exceeded", "The quota is full.", {
  details: { reason: "limit_reached", quotaDetails, retryAfter: 3600 },
  retryAfter: 3600,
});
const expected = {
  code: "quota_exceeded",
  message: "The quota is full.",
  retryAfter: 3600,
  reason: "limit_reached",
  quota: quotaDetails,
};

describe("A refusal is read", () => {
  it.each([
    ["as JSON", () => errorResponse(refusal, "json")],
    ["as server-sent events", () => errorResponse(refusal, "sse")],
    ["of the OpenAI endpoint", () => openAIErrorResponse(refusal)],
    ["of Anthropic's endpoint", () => anthropicErrorResponse(refusal)],
  ])("from an answer of fetch, %s", async (_, response) => {
    expect(await readSpendgateError(response())).toMatchObject({ ...expected, status: 429 });
  });

  it.each(["json", "sse"] as const)(
    "from useChat's error, whose message is the text (%s)",
    async (format) => {
      const text = await errorResponse(refusal, format).text();
      expect(spendgateError(new Error(text))).toMatchObject(expected);
    },
  );

  it("from the AI SDK's APICallError, and the error of its retries", async () => {
    const call = new APICallError({
      message: "Too Many Requests",
      url: "https://project.example",
      requestBodyValues: {},
      statusCode: 429,
      responseHeaders: { "retry-after": "3600" },
      responseBody: await openAIErrorResponse(refusal).text(),
    });
    expect(spendgateError(call)).toMatchObject({ ...expected, status: 429 });
    const retried = Object.assign(new Error("Failed after 3 attempts."), { lastError: call });
    expect(spendgateError(retried)).toMatchObject({ ...expected, status: 429 });
  });

  it("from OpenAI's RateLimitError", () => {
    const { error } = toOpenAIError(refusal);
    const thrown = OpenAI.APIError.generate(429, { error }, undefined, new Headers());
    expect(thrown).toBeInstanceOf(OpenAI.RateLimitError);
    expect(spendgateError(thrown)).toMatchObject({ ...expected, status: 429 });
  });

  it("from the RateLimitError of Anthropic's SDK, and the event of a stream", () => {
    const body = toAnthropicError(refusal);
    const thrown = Anthropic.APIError.generate(429, body, undefined, new Headers());
    expect(thrown).toBeInstanceOf(Anthropic.RateLimitError);
    expect(spendgateError(thrown)).toMatchObject({ ...expected, status: 429 });
    expect(spendgateError(`event: error\ndata: ${JSON.stringify(body)}`)).toMatchObject(expected);
  });

  it("from a chunk of a stream, and the data of an event", () => {
    expect(spendgateError(toOpenAIError(refusal))).toMatchObject(expected);
    expect(spendgateError(JSON.stringify(refusal))).toMatchObject(expected);
    expect(spendgateError({ data: JSON.stringify(refusal) })).toMatchObject(expected);
  });
});

it("A wait that only the header names is known too", async () => {
  const response = Response.json(
    { error: "quota_unavailable", message: "Try again." },
    { status: 503, headers: { "retry-after": "5" } },
  );
  expect(await readSpendgateError(response)).toMatchObject({
    code: "quota_unavailable",
    status: 503,
    retryAfter: 5,
  });
});

it.each([
  ["a network that is down", new TypeError("Failed to fetch", { cause: { code: "ECONNREFUSED" } })],
  ["a page", "<html>502</html>"],
  ["nothing", undefined],
  [
    "an error of Anthropic's own",
    { type: "error", error: { type: "overloaded_error", message: "Overloaded" } },
  ],
  ["another's JSON", { message: "Function failed", code: "WORKER_ERROR" }],
])("%s is no error of ours", (_, error) => {
  expect(spendgateError(error)).toBeUndefined();
});

it.each([
  ["text/event-stream", true],
  ["text/event-stream; charset=utf-8", true],
  ["text/event-stream, */*", false],
  ["*/*", false],
  ["application/json", false],
  ["", false],
])("Accept: %s reads nothing but events: %s", (accept, only) => {
  expect(acceptsOnlyEvents(new Request("https://x.y", { headers: { accept } }))).toBe(only);
});
