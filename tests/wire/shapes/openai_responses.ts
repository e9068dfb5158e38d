// Responses: platform.openai.com/docs/api-reference/responses and responses-streaming.
import { type Told, type Wire, wordsOf } from "./wire.ts";

const base = {
  id: "resp_wire",
  object: "response",
  created_at: 1_750_000_000,
  model: "wire",
  error: null,
  incomplete_details: null,
  instructions: null,
  output: [] as object[],
  usage: null as object | null,
};

/** An event, named as it is typed. */
export function event(type: string, fields: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: 1, ...fields })}\n\n`;
}

const message = (text: string) => ({
  id: "msg_wire",
  type: "message",
  role: "assistant",
  status: "completed",
  content: [{ type: "output_text", text, annotations: [] }],
});
const reasoning = (text: string) => ({
  id: "rs_wire",
  type: "reasoning",
  summary: [{ type: "summary_text", text }],
});
const functionCalls = (told: Told) =>
  (told.tools ?? []).map(({ id, name, arguments: input }) => ({
    id: `fc_${id}`,
    type: "function_call",
    status: "completed",
    call_id: id,
    name,
    arguments: input,
  }));

/** The response as it is at its end; `items` are what else is in its output. */
export function response(told: Told, items: object[] = []) {
  const reason = { length: "max_output_tokens", filter: "content_filter" }[told.finish as string];
  return {
    ...base,
    status: reason ? "incomplete" : "completed",
    incomplete_details: reason ? { reason } : null,
    output: [
      ...(told.reasoning ? [reasoning(told.reasoning)] : []),
      ...items,
      ...(told.text ? [message(told.text)] : []),
      ...functionCalls(told),
    ],
    usage: told.usage ?? null,
  };
}

function textEvents(text: string, at: number): string[] {
  const place = { item_id: "msg_wire", output_index: at, content_index: 0 };
  const item = { id: "msg_wire", type: "message", role: "assistant" };
  const part = { type: "output_text", annotations: [] };
  return [
    event("response.output_item.added", {
      output_index: at,
      item: { ...item, status: "in_progress", content: [] },
    }),
    event("response.content_part.added", { ...place, part: { ...part, text: "" } }),
    ...wordsOf(text).map((delta) => event("response.output_text.delta", { ...place, delta })),
    event("response.output_text.done", { ...place, text }),
    event("response.content_part.done", { ...place, part: { ...part, text } }),
    event("response.output_item.done", { output_index: at, item: message(text) }),
  ];
}

function reasoningEvents(text: string): string[] {
  const place = { item_id: "rs_wire", output_index: 0, summary_index: 0 };
  const part = { type: "summary_text", text: "" };
  return [
    event("response.output_item.added", {
      output_index: 0,
      item: { id: "rs_wire", type: "reasoning", summary: [] },
    }),
    event("response.reasoning_summary_part.added", { ...place, part }),
    ...wordsOf(text).map((delta) =>
      event("response.reasoning_summary_text.delta", { ...place, delta }),
    ),
    event("response.output_item.done", { output_index: 0, item: reasoning(text) }),
  ];
}

function toolEvents(told: Told, from: number): string[] {
  return functionCalls(told).flatMap((item, index) => {
    const place = { item_id: item.id, output_index: from + index };
    return [
      event("response.output_item.added", {
        output_index: from + index,
        item: { ...item, status: "in_progress", arguments: "" },
      }),
      event("response.function_call_arguments.delta", { ...place, delta: item.arguments }),
      event("response.function_call_arguments.done", { ...place, arguments: item.arguments }),
      event("response.output_item.done", { output_index: from + index, item }),
    ];
  });
}

export const openaiResponses: Wire = {
  whole: (told) => response(told),
  begin: () => [
    event("response.created", { response: { ...base, status: "in_progress" } }),
    event("response.in_progress", { response: { ...base, status: "in_progress" } }),
  ],
  content: (told) => {
    const first = told.reasoning ? 1 : 0;
    return [
      ...(told.reasoning ? reasoningEvents(told.reasoning) : []),
      ...(told.text ? textEvents(told.text, first) : []),
      ...toolEvents(told, told.text ? first + 1 : first),
    ];
  },
  end: (told) => {
    const ended = response(told);
    return [event(`response.${ended.status}`, { response: ended })];
  },
  usage: (input, output) => ({
    input_tokens: input,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: 0 },
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
    event("response.failed", {
      response: { ...base, status: "failed", error: { code: "server_error", message } },
    }),
};
