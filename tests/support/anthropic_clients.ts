// The clients of Anthropic's format.
import { createAnthropic } from "@ai-sdk/anthropic";
import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { ChatAnthropic } from "@langchain/anthropic";
import { z } from "zod";
import {
  aiSdk,
  type Client,
  type Door,
  description,
  langchain,
  weatherInput,
  weatherOf,
} from "./clients.ts";

const MAX_TOKENS = 600;

const textOf = ({ content }: { content: { type: string; text?: string }[] }) =>
  content.map(({ text }) => text ?? "").join("");

function official(door: Door, model: string): Client {
  const { messages, beta } = new Anthropic(door);
  const ask = (content: string) => ({
    model,
    max_tokens: MAX_TOKENS,
    messages: [{ role: "user" as const, content }],
  });
  return {
    answer: async (prompt) => textOf(await messages.create(ask(prompt))),
    stream: async (prompt) => await messages.stream(ask(prompt)).finalText(),
    async callTool(prompt) {
      const weather = betaZodTool({
        name: "weather",
        description,
        inputSchema: weatherInput,
        run: weatherOf,
      });
      const runner = beta.messages.toolRunner({ ...ask(prompt), tools: [weather] });
      return textOf(await runner.runUntilDone());
    },
    async structured(prompt) {
      const schema = z.toJSONSchema(weatherInput) as Record<string, unknown>;
      const format = { type: "json_schema" as const, schema };
      const answer = await messages.create({ ...ask(prompt), output_config: { format } });
      return JSON.parse(textOf(answer));
    },
    isRateLimit: (error) => error instanceof Anthropic.RateLimitError,
    requests: 1,
  };
}

/** All clients by name, for one door and one model. */
export function anthropicClients(door: Door, model: string): Record<string, Client> {
  const { baseURL, apiKey } = door;
  return {
    "@anthropic-ai/sdk": official(door, model),
    "ai with @ai-sdk/anthropic": aiSdk(
      createAnthropic({ baseURL: `${baseURL}/v1`, apiKey })(model),
    ),
    "@langchain/anthropic": langchain(
      new ChatAnthropic({ model, apiKey, anthropicApiUrl: baseURL, maxTokens: MAX_TOKENS }),
      "jsonSchema",
    ),
  };
}
