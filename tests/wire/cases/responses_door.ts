// The same cases through the Responses API: what a provider sends costs the same, whatever the client speaks.
import { openaiChat } from "../shapes/openai_chat.ts";
import { ALL_CASES } from "./all.ts";
import type { WireCase } from "./case.ts";
import { SEARCH } from "./targets.ts";

function isForBoth({ endpoint = "openai", request = {}, target }: WireCase): boolean {
  // OpenAI itself is asked by its own Responses API, whose cases are those of gpt-5-codex.
  const isAskedOtherwise =
    target.provider === "openai" && target.wire === openaiChat && target !== SEARCH;
  const asksForTools = Object.keys(request).every((field) => field === "tools");
  return endpoint === "openai" && !isAskedOtherwise && asksForTools;
}

function asResponse(one: WireCase): WireCase {
  const tools = one.request?.tools as { function: object }[] | undefined;
  return {
    ...one,
    endpoint: "responses",
    request: {
      // Reasoning is shown where it is asked for.
      reasoning: { summary: "auto" },
      tools: tools?.map(({ function: definition }) => ({ type: "function", ...definition })),
    },
    expected: { ...one.expected, seen: one.expected.seen?.map(inEvents) },
  };
}

function inEvents(text: string): string {
  return text === "reasoning_content" ? "reasoning_summary_text" : text;
}

/** Cases of a chat that ask for nothing which only chat completions has. */
export const throughResponses = ALL_CASES.filter(isForBoth).map(asResponse);
