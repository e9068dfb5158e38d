// The same cases through Anthropic's endpoint: what a provider sends costs the same, whatever the client speaks.
import { ALL_CASES } from "./all.ts";
import type { Expected, WireCase } from "./case.ts";

function isForBoth({ endpoint = "openai", request = {}, expected }: WireCase): boolean {
  const fields = Object.keys(request).filter((field) => field !== "tools");
  return endpoint === "openai" && fields.length === 0 && !expected.sent && !expected.seen;
}

function throughAnthropic(one: WireCase): WireCase {
  const tools = one.request?.tools as { function: Tool }[] | undefined;
  return {
    ...one,
    endpoint: "anthropic",
    request: tools && { tools: tools.map(toTool) },
    expected: toExpected(one.expected),
  };
}

interface Tool {
  name: string;
  parameters?: object;
}

function toTool({ function: { name, parameters } }: { function: Tool }) {
  return { name, input_schema: parameters ?? { type: "object" } };
}

const FINISH: Record<string, string> = {
  stop: "end_turn",
  length: "max_tokens",
  content_filter: "refusal",
  tool_calls: "tool_use",
};

function toExpected(expected: Expected): Expected {
  const { finish, notFinish, status } = expected;
  const word = (reason: string) => FINISH[reason] ?? reason;
  return {
    ...expected,
    ...(finish && { finish: word(finish) }),
    ...(notFinish && { notFinish: word(notFinish) }),
    // Anthropic has a status of its own for a provider that is busy.
    ...(status && { status: [status].flat().map((each) => (each === 503 ? 529 : each)) }),
  };
}

/** Cases of a chat that say nothing which only OpenAI's format has. */
export const anthropicCases = ALL_CASES.filter(isForBoth).map(throughAnthropic);
