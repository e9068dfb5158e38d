// Which of OpenAI's two APIs serves a call. A prompt is all that either is sent: nothing of it is kept.

export type OpenAIApi = "chat" | "responses";

const RESPONSES_ONLY = /codex|-pro\b|deep-research|computer-use/;
const CHAT_ONLY = /search-preview|audio-preview/;

/** The API that serves `model`: the preferred one, unless the model has only the other. */
export function openaiApi(model: string, preferred: OpenAIApi): OpenAIApi {
  if (RESPONSES_ONLY.test(model)) return "responses";
  return CHAT_ONLY.test(model) ? "chat" : preferred;
}
