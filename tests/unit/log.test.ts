// The log of somebody else's error has what kind it is, and never its words.
import { APICallError, TypeValidationError } from "@ai-sdk/provider";
import { afterEach, describe, expect, it, vi } from "vitest";
import { SpendgateError } from "../../functions/_shared/errors.ts";
import {
  describeError,
  LEVELS,
  log,
  logOnce,
  setLogLevel,
} from "../../functions/_shared/runtime/log.ts";

const SECRET = "the secret of patient Jane";

it("The log of a provider's refusal has its class, name, status, code of its cause and request id", () => {
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
])("The log of %s has no word of it", (_, error) => {
  expect(JSON.stringify(describeError(error))).not.toMatch(/secret|Jane/);
});

describe("the log", () => {
  const lines: Record<string, unknown>[] = [];
  for (const level of LEVELS) {
    vi.spyOn(console, level).mockImplementation((line) => void lines.push(JSON.parse(line)));
  }
  afterEach(() => {
    lines.length = 0;
    setLogLevel("info");
  });

  it.each([
    ["debug", ["debug", "info", "warn", "error"]],
    ["info", ["info", "warn", "error"]],
    ["warn", ["warn", "error"]],
    ["error", ["error"]],
  ] as const)("at level %s has %j", (least, levels) => {
    setLogLevel(least);
    for (const level of LEVELS) log(level, "something");
    expect(lines.map(({ level }) => level)).toEqual(levels);
  });

  it("has a failure once, also when it is told again in another error's place", () => {
    const error = new SpendgateError("internal_error", SECRET);
    const again = new SpendgateError("upstream_error", SECRET, { cause: error });
    logOnce("warn", "first", error, { stage: "run" });
    logOnce("error", "second", error);
    logOnce("error", "third", again);
    expect(lines).toEqual([
      {
        time: expect.any(String),
        level: "warn",
        event: "first",
        stage: "run",
        error: "internal_error",
      },
    ]);
  });
});
