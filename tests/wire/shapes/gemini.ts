// generateContent and streamGenerateContent: ai.google.dev/api/generate-content.
import { data } from "../provider.ts";
import { type Finish, type Told, type Wire, wordsOf } from "./wire.ts";

const FINISH: Record<Finish, string> = {
  stop: "STOP",
  length: "MAX_TOKENS",
  filter: "SAFETY",
  // A function call is no reason of its own here.
  tools: "STOP",
};

interface Report {
  promptTokenCount: number;
  candidatesTokenCount?: number;
  totalTokenCount: number;
}

/** What streamGenerateContent sends again and again: some content, and the usage so far. */
export function candidates(
  parts: object[],
  { finish, usage, ...more }: { finish?: string; usage?: object; groundingMetadata?: object } = {},
) {
  return {
    candidates: [
      {
        content: { parts, role: "model" },
        ...(finish && { finishReason: finish }),
        index: 0,
        ...more,
      },
    ],
    ...(usage && { usageMetadata: usage }),
    modelVersion: "wire",
    responseId: "wire",
  };
}

const toolParts = (told: Told) =>
  (told.tools ?? []).map(({ name, arguments: input }) => ({
    functionCall: { name, args: JSON.parse(input || "{}") },
  }));

/** The usage so far: each chunk says that of the prompt, and of as many words as there were. */
function soFar(usage: object | undefined, output: number): object | undefined {
  if (!usage) return undefined;
  const { promptTokenCount } = usage as Report;
  return {
    promptTokenCount,
    candidatesTokenCount: output,
    totalTokenCount: promptTokenCount + output,
  };
}

export const gemini: Wire = {
  whole: (told) =>
    candidates(
      [
        ...(told.reasoning ? [{ text: told.reasoning, thought: true }] : []),
        ...(told.text ? [{ text: told.text }] : []),
        ...toolParts(told),
      ],
      { finish: FINISH[told.finish ?? "stop"], usage: told.usage },
    ),
  begin: () => [],
  content: (told) => [
    ...wordsOf(told.reasoning).map((text, index) =>
      data(candidates([{ text, thought: true }], { usage: soFar(told.usage, index + 1) })),
    ),
    ...wordsOf(told.text).map((text, index) =>
      data(candidates([{ text }], { usage: soFar(told.usage, index + 1) })),
    ),
    ...toolParts(told).map((part) => data(candidates([part], { usage: soFar(told.usage, 1) }))),
  ],
  end: (told) => [
    data(candidates([{ text: "" }], { finish: FINISH[told.finish ?? "stop"], usage: told.usage })),
  ],
  usage: (input, output): Report => ({
    promptTokenCount: input,
    candidatesTokenCount: output,
    totalTokenCount: input + output,
  }),
  refusal: (status, code, message) => ({
    error: {
      code: status,
      message,
      status: status < 500 ? "INVALID_ARGUMENT" : "UNAVAILABLE",
      details: [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: code }],
    },
  }),
  failure: (message) => data({ error: { code: 503, message, status: "UNAVAILABLE" } }),
};
