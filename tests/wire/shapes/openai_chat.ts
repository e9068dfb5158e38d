// Chat Completions: platform.openai.com/docs/api-reference/chat, and of all who are compatible with it.
import { data } from "../provider.ts";
import { type Finish, type Told, type Wire, wordsOf } from "./wire.ts";

const FINISH: Record<Finish, string> = {
  stop: "stop",
  length: "length",
  filter: "content_filter",
  tools: "tool_calls",
};

const frame = { id: "chatcmpl-wire", created: 1_750_000_000, model: "wire" };

/** One chunk of a stream. */
export function chunk(delta: object, finish: string | null = null): string {
  return data({
    ...frame,
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
  });
}

/** The chunk with the usage alone, as `stream_options.include_usage` asks for. */
export function usageChunk(usage: object | null, more: object = {}): string {
  return data({ ...frame, object: "chat.completion.chunk", choices: [], usage, ...more });
}

export const DONE = "data: [DONE]\n\n";

const toolsOf = (told: Told) =>
  (told.tools ?? []).map(({ id, name, arguments: input }, index) => ({
    index,
    id,
    type: "function",
    function: { name, arguments: input },
  }));

export const openaiChat: Wire = {
  whole: (told) => ({
    ...frame,
    object: "chat.completion",
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          content: told.text ?? null,
          refusal: null,
          ...(told.reasoning && { reasoning_content: told.reasoning }),
          ...(told.tools && { tool_calls: toolsOf(told) }),
        },
        logprobs: null,
        finish_reason: FINISH[told.finish ?? "stop"],
      },
    ],
    ...(told.usage && { usage: told.usage }),
  }),
  begin: () => [chunk({ role: "assistant", content: "", refusal: null })],
  content: (told) => [
    ...wordsOf(told.reasoning).map((word) => chunk({ reasoning_content: word })),
    ...wordsOf(told.text).map((word) => chunk({ content: word })),
    ...toolsOf(told).map((call) => chunk({ tool_calls: [call] })),
  ],
  end: (told) => [
    chunk({}, FINISH[told.finish ?? "stop"]),
    ...(told.usage ? [usageChunk(told.usage)] : []),
    DONE,
  ],
  usage: (input, output) => ({
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
  }),
  refusal: (status, code, message) => ({
    error: {
      message,
      type: status < 500 ? "invalid_request_error" : "server_error",
      param: null,
      code,
    },
  }),
  failure: (message) =>
    data({ error: { message, type: "server_error", param: null, code: "server_error" } }),
};
