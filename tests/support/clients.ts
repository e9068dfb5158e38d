// The clients that people use, each set up as its own documentation says: with a base URL and a key, and every other
// setting as it comes. Here is what those of OpenAI's and of Anthropic's format have in common.
import type { BaseChatModel } from "@langchain/core/language_models/chat_models";
import {
  APICallError,
  generateText,
  type LanguageModel,
  Output,
  RetryError,
  stepCountIs,
  streamText,
  tool,
} from "ai";
import { z } from "zod";

Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });

/** What each client is to do. A failure is thrown as the client's users get it. */
export interface Client {
  answer(prompt: string): Promise<string>;
  stream(prompt: string): Promise<string>;
  /** Answers after the model has called `weather`, which says what `weatherOf` says. */
  callTool(prompt: string): Promise<string>;
  structured(prompt: string): Promise<unknown>;
  /** Whether it is the client's own error for a rate limit. */
  isRateLimit(error: unknown): boolean;
  /** How many requests it makes, all in all, where it is refused and waiting is not worth it. */
  requests: number;
  /** It does not ask again where waiting is worth it, unless it is told to. */
  givesUp?: true;
}

export interface Door {
  baseURL: string;
  apiKey: string;
}

export const WEATHER = { city: "Cork" };
export const weatherOf = ({ city }: { city: string }) => `Rain in ${city}.`;
export const weatherInput = z.object({ city: z.string() });
export const description = "The weather of a city";

export async function joined<T>(
  parts: AsyncIterable<T>,
  textOf: (part: T) => string,
): Promise<string> {
  let text = "";
  for await (const part of parts) text += textOf(part);
  return text;
}

export function aiSdk(model: LanguageModel): Client {
  return {
    answer: async (prompt) => (await generateText({ model, prompt })).text,
    async stream(prompt) {
      let failure: unknown;
      const result = streamText({
        model,
        prompt,
        onError: ({ error }) => {
          failure = error;
        },
      });
      const text = await joined(result.textStream, (part) => part);
      if (failure !== undefined) throw failure;
      return text;
    },
    async callTool(prompt) {
      const weather = tool({
        description,
        inputSchema: weatherInput,
        execute: async (input) => weatherOf(input),
      });
      return (await generateText({ model, prompt, tools: { weather }, stopWhen: stepCountIs(3) }))
        .text;
    },
    async structured(prompt) {
      const output = Output.object({ schema: weatherInput });
      return (await generateText({ model, prompt, output })).output;
    },
    isRateLimit(thrown) {
      const error = RetryError.isInstance(thrown) ? thrown.lastError : thrown;
      return APICallError.isInstance(error) && error.statusCode === 429;
    },
    // It does not read `x-should-retry`, and where `Retry-After` is long it waits as if there were none.
    requests: 3,
  };
}

/** What LangChain's chat models have in common. */
export function langchain(llm: BaseChatModel, method?: "jsonSchema"): Client {
  return {
    answer: async (prompt) => (await llm.invoke(prompt)).text,
    stream: async (prompt) => joined(await llm.stream(prompt), ({ text }) => text),
    async callTool(prompt) {
      const weather = { name: "weather", description, schema: weatherInput };
      const withTool = llm.bindTools?.([weather]) as typeof llm;
      const first = await withTool.invoke(prompt);
      const answers = (first.tool_calls ?? []).map(({ id, args }) => ({
        role: "tool" as const,
        tool_call_id: String(id),
        content: weatherOf(weatherInput.parse(args)),
      }));
      return (await withTool.invoke([{ role: "user", content: prompt }, first, ...answers])).text;
    },
    structured: (prompt) => llm.withStructuredOutput(weatherInput, { method }).invoke(prompt),
    isRateLimit: (error) =>
      (error as { lc_error_code?: string }).lc_error_code === "MODEL_RATE_LIMIT",
    requests: 1,
  };
}
