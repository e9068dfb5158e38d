// A model of each provider, its name in the catalogue, and the format that it speaks.
import type { COMPATIBLE } from "../provider.ts";
import { anthropic } from "../shapes/anthropic.ts";
import { gemini } from "../shapes/gemini.ts";
import { openaiChat } from "../shapes/openai_chat.ts";
import { openaiResponses } from "../shapes/openai_responses.ts";
import type { Target } from "./case.ts";

const target = (name: string, wire: Target["wire"], product?: string): Target => {
  const slash = name.indexOf("/");
  const model = name.slice(slash + 1);
  return { provider: name.slice(0, slash), model, product: product ?? model, wire };
};

export const GPT = target("openai/gpt-4o-mini", openaiChat);
/** It reasons, and shows nothing of it. */
export const O3 = target("openai/o3", openaiChat);
/** Served by the Responses API alone. */
export const CODEX = target("openai/gpt-5-codex", openaiResponses, "gpt-5");
export const DEEP_RESEARCH = target("openai/o3-deep-research", openaiResponses);
export const SEARCH = target("openai/gpt-4o-mini-search-preview", openaiChat, "gpt-4o-mini");
export const CLAUDE = target("anthropic/claude-sonnet-4-5", anthropic);
export const HAIKU = target("anthropic/claude-haiku-4-5", anthropic);
export const GEMINI = target("google/gemini-2.5-flash", gemini);
export const GEMINI_PRO = target("google/gemini-2.5-pro", gemini);
export const GEMINI_IMAGE = target("google/gemini-2.5-flash-image", gemini);
export const GROK = target("x-ai/grok-4", openaiChat, "grok-4-0709");
export const DEEP_SONAR = target("perplexity/sonar-deep-research", openaiChat);

export const COMPATIBLE_TARGETS: Record<(typeof COMPATIBLE)[number], Target> = {
  cerebras: target("cerebras/gpt-oss-120b", openaiChat),
  deepseek: target("deepseek/deepseek-chat", openaiChat),
  fireworks: target("fireworks/deepseek-v3p2", openaiChat),
  groq: target("groq/llama-3.3-70b-versatile", openaiChat),
  minimax: target("minimax/MiniMax-M2", openaiChat),
  mistral: target("mistral/devstral-2512", openaiChat),
  moonshotai: target("moonshotai/kimi-k2-0905-preview", openaiChat),
  novita: target("novita/deepseek/deepseek-r1", openaiChat),
  openrouter: target("openrouter/anthropic/claude-sonnet-4.5", openaiChat),
  perplexity: target("perplexity/sonar", openaiChat),
  together: target("together/Qwen/Qwen1.5-14B", openaiChat, "Qwen/Qwen1.5-14B"),
  "x-ai": target("x-ai/grok-3", openaiChat),
  zai: target("zai/GLM-5.3", openaiChat),
};

/** One of every format. */
export const FORMATS: Record<string, Target> = {
  "OpenAI's chat completions": GPT,
  "OpenAI's responses": CODEX,
  "Anthropic's messages": CLAUDE,
  "Gemini's generateContent": GEMINI,
  "a compatible provider's chat completions": COMPATIBLE_TARGETS.groq,
};
