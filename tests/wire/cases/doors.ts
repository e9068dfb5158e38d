// The cases again through the other formats that a client may speak: what is billed depends on none.

import { openaiChat } from "../shapes/openai_chat.ts";
import type { WireCase } from "./case.ts";

interface ChatTool {
  function: object;
}

/** Those of chat completions that ask for nothing which only chat completions has, through the Responses API. */
export function throughResponses(cases: WireCase[]): WireCase[] {
  return cases.filter(isShared).map((one) => ({
    ...one,
    name: `responses: ${one.name}`,
    endpoint: "responses",
    request: {
      // Reasoning is shown where it is asked for.
      reasoning: { summary: "auto" },
      ...(one.request && {
        tools: (one.request.tools as ChatTool[]).map(({ function: definition }) => ({
          type: "function",
          ...definition,
        })),
      }),
    },
    expected: {
      ...one.expected,
      seen: one.expected.seen?.map((text) =>
        text === "reasoning_content" ? "reasoning_summary_text" : text,
      ),
    },
  }));
}

function isShared({ endpoint = "openai", request = {}, target, name }: WireCase): boolean {
  // OpenAI itself is asked by its own Responses API, whose cases are those of gpt-5-codex.
  const isAskedOtherwise =
    target.provider === "openai" && target.wire === openaiChat && !/search-preview/.test(name);
  const asksForTools = Object.keys(request).every((field) => field === "tools");
  return endpoint === "openai" && !isAskedOtherwise && asksForTools;
}
