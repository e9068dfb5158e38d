// What is logged of an error that is not ours: what it is, never what it says.
import { APICallError, TypeValidationError } from "@ai-sdk/provider";
import { expect, it } from "vitest";
import { SpendgateError } from "../../functions/_shared/errors.ts";
import { describeError } from "../../functions/_shared/runtime/log.ts";

const SECRET = "the secret of patient Jane";

it("a provider's refusal: class, name, status, code of its cause and request id", () => {
  const error = new APICallError({
    message: SECRET,
    url: `https://example.com/${SECRET}`,
    requestBodyValues: { messages: SECRET },
    statusCode: 400,
    responseHeaders: { "x-request-id": "req_1" },
    responseBody: SECRET,
    cause: { code: "context_length_exceeded" },
  });
  const ours = new SpendgateError("upstream_error", SECRET, { cause: error });
  expect(describeError(ours)).toEqual({
    error: "upstream_error",
    class: "APICallError",
    name: "AI_APICallError",
    status: 400,
    code: "context_length_exceeded",
    providerRequestId: "req_1",
  });
});

it.each<[string, unknown]>([
  ["a text", SECRET],
  ["an object", { message: SECRET, code: SECRET, name: SECRET, status: SECRET }],
  ["nothing", undefined],
  [
    "an error whose name and code are sentences",
    Object.assign(new Error(SECRET), { name: SECRET, code: SECRET }),
  ],
  [
    "a value that does not fit",
    new TypeValidationError({ value: { content: SECRET }, cause: new Error(SECRET) }),
  ],
  [
    "an error within an error",
    new Error(SECRET, { cause: new SpendgateError("internal_error", SECRET) }),
  ],
])("%s: no word of it", (_, error) => {
  expect(JSON.stringify(describeError(error))).not.toMatch(/secret|Jane/);
});
