// Messages: docs.claude.com/en/api/messages and messages-streaming.
import { type Finish, type Told, type Wire, wordsOf } from "./wire.ts";

const STOP: Record<Finish, string> = {
  stop: "end_turn",
  length: "max_tokens",
  filter: "refusal",
  tools: "tool_use",
};

const message = { id: "msg_wire", type: "message", role: "assistant", model: "wire" };

/** An event, named as it is typed. */
export function event(type: string, fields: object = {}): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}

/** The first event: it says what the prompt counted. */
export function messageStart(usage: object): string {
  return event("message_start", {
    message: { ...message, content: [], stop_reason: null, stop_sequence: null, usage },
  });
}

/** The event before the last: what was used in all. */
export function messageDelta(usage: object | undefined, stop = "end_turn"): string {
  return event("message_delta", {
    delta: { stop_reason: stop, stop_sequence: null },
    ...(usage && { usage }),
  });
}

function block(index: number, start: object, deltas: object[]): string[] {
  return [
    event("content_block_start", { index, content_block: start }),
    ...deltas.map((delta) => event("content_block_delta", { index, delta })),
    event("content_block_stop", { index }),
  ];
}

function blocksOf(told: Told): [object, object[]][] {
  const { reasoning, text, tools = [] } = told;
  return [
    ...(reasoning
      ? [
          [
            { type: "thinking", thinking: "", signature: "" },
            wordsOf(reasoning).map((thinking) => ({ type: "thinking_delta", thinking })),
          ] as [object, object[]],
        ]
      : []),
    ...(text
      ? [
          [
            { type: "text", text: "" },
            wordsOf(text).map((word) => ({ type: "text_delta", text: word })),
          ] as [object, object[]],
        ]
      : []),
    ...tools.map(
      ({ id, name, arguments: input }) =>
        [
          { type: "tool_use", id, name, input: {} },
          [{ type: "input_json_delta", partial_json: input }],
        ] as [object, object[]],
    ),
  ];
}

export const anthropic: Wire = {
  whole: (told) => ({
    ...message,
    content: [
      ...(told.reasoning
        ? [{ type: "thinking", thinking: told.reasoning, signature: "signed" }]
        : []),
      ...(told.text ? [{ type: "text", text: told.text }] : []),
      ...(told.tools ?? []).map(({ id, name, arguments: input }) => ({
        type: "tool_use",
        id,
        name,
        input: JSON.parse(input || "{}"),
      })),
    ],
    stop_reason: STOP[told.finish ?? "stop"],
    stop_sequence: null,
    usage: told.usage ?? { input_tokens: 0, output_tokens: 0 },
  }),
  // The prompt is counted at the beginning; one token of output stands for what is to come.
  begin: ({ usage }) => [
    messageStart({ input_tokens: 0, ...usage, output_tokens: usage ? 1 : 0 }),
    event("ping"),
  ],
  content: (told) =>
    blocksOf(told).flatMap(([start, deltas], index) => block(index, start, deltas)),
  end: ({ usage, finish = "stop" }) => [
    messageDelta(
      usage && { output_tokens: (usage as { output_tokens?: number }).output_tokens },
      STOP[finish],
    ),
    event("message_stop"),
  ],
  usage: (input, output) => ({
    input_tokens: input,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: output,
  }),
  refusal: (status, code, text) => ({
    type: "error",
    error: {
      type: status < 500 ? "invalid_request_error" : "api_error",
      message: `${code}: ${text}`,
    },
    request_id: "req_wire",
  }),
  failure: (text) => event("error", { error: { type: "overloaded_error", message: text } }),
};
