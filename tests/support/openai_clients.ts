// The clients of OpenAI's formats.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { ChatOpenAI } from "@langchain/openai";
import { OpenAI as LlamaOpenAI, OpenAIResponses as LlamaResponses } from "@llamaindex/openai";
import {
  Agent,
  type AgentOutputType,
  tool as agentTool,
  OpenAIProvider,
  Runner,
} from "@openai/agents";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import {
  aiSdk,
  type Client,
  type Door,
  description,
  joined,
  langchain,
  weatherInput,
  weatherOf,
} from "./clients.ts";

const isOpenAIRateLimit = (error: unknown) =>
  error instanceof OpenAI.RateLimitError && error.status === 429;

function openaiChat(door: Door, model: string): Client {
  const openai = new OpenAI(door);
  const messages = (content: string) => [{ role: "user" as const, content }];
  return {
    async answer(prompt) {
      const body = { model, messages: messages(prompt) };
      return (await openai.chat.completions.create(body)).choices[0]?.message.content ?? "";
    },
    async stream(prompt) {
      const body = { model, messages: messages(prompt), stream: true as const };
      const chunks = await openai.chat.completions.create(body);
      return joined(chunks, ({ choices }) => choices[0]?.delta.content ?? "");
    },
    async callTool(prompt) {
      const runner = openai.chat.completions.runTools({
        model,
        messages: messages(prompt),
        tools: [
          {
            type: "function",
            function: {
              name: "weather",
              description,
              parse: (json) => weatherInput.parse(JSON.parse(json)),
              function: weatherOf,
              parameters: z.toJSONSchema(weatherInput) as Record<string, unknown>,
            },
          },
        ],
      });
      return (await runner.finalContent()) ?? "";
    },
    async structured(prompt) {
      const completion = await openai.chat.completions.parse({
        model,
        messages: messages(prompt),
        response_format: zodResponseFormat(weatherInput, "place"),
      });
      return completion.choices[0]?.message.parsed;
    },
    isRateLimit: isOpenAIRateLimit,
    requests: 1,
  };
}

function openaiResponses(door: Door, model: string): Client {
  const { responses } = new OpenAI(door);
  return {
    answer: async (input) => (await responses.create({ model, input })).output_text,
    async stream(input) {
      const stream = responses.stream({ model, input });
      const text = await joined(stream, (event) =>
        event.type === "response.output_text.delta" ? event.delta : "",
      );
      const { output_text } = await stream.finalResponse();
      if (output_text !== text) throw new Error(`${output_text} is not ${text}`);
      return text;
    },
    async callTool(prompt) {
      const tools = [
        {
          type: "function" as const,
          name: "weather",
          description,
          strict: true,
          parameters: z.toJSONSchema(weatherInput) as Record<string, unknown>,
        },
      ];
      const input: OpenAI.Responses.ResponseInput = [{ role: "user", content: prompt }];
      for (;;) {
        const { output, output_text } = await responses.create({ model, input, tools });
        const calls = output.filter((item) => item.type === "function_call");
        if (calls.length === 0) return output_text;
        input.push(...(output as OpenAI.Responses.ResponseInputItem[]));
        for (const { call_id, arguments: json } of calls) {
          const said = weatherOf(weatherInput.parse(JSON.parse(json)));
          input.push({ type: "function_call_output", call_id, output: said });
        }
      }
    },
    async structured(input) {
      const text = { format: zodTextFormat(weatherInput, "place") };
      return (await responses.parse({ model, input, text })).output_parsed;
    },
    isRateLimit: isOpenAIRateLimit,
    requests: 1,
  };
}

function agents(door: Door, model: string, useResponses: boolean): Client {
  const modelProvider = new OpenAIProvider({ ...door, useResponses });
  const runner = new Runner({ modelProvider, tracingDisabled: true });
  const agentOf = (options: { outputType?: AgentOutputType } = {}) =>
    new Agent({
      name: "Guide",
      instructions: "Be short.",
      model,
      tools: [
        agentTool({
          name: "weather",
          description,
          parameters: weatherInput,
          execute: async (input) => weatherOf(input),
        }),
      ],
      ...options,
    });
  const answer = async (prompt: string) =>
    String((await runner.run(agentOf(), prompt)).finalOutput);
  return {
    answer,
    async stream(prompt) {
      const result = await runner.run(agentOf(), prompt, { stream: true });
      const text = await joined(
        result.toTextStream() as unknown as AsyncIterable<string>,
        (part) => part,
      );
      await result.completed;
      return text;
    },
    callTool: answer,
    structured: async (prompt) =>
      (await runner.run(agentOf({ outputType: weatherInput }), prompt)).finalOutput,
    isRateLimit: isOpenAIRateLimit,
    requests: 1,
  };
}

function langchainOpenAI(
  { baseURL, apiKey }: Door,
  model: string,
  useResponsesApi: boolean,
): Client {
  return langchain(new ChatOpenAI({ model, apiKey, useResponsesApi, configuration: { baseURL } }));
}

interface Delta {
  delta: string;
  /** The event that it came with. */
  raw: { type?: string };
}

/** What its two classes have in common, whose types no call fits both of. */
interface Llama {
  chat(params: object): Promise<{ message: { content: unknown } } & AsyncIterable<Delta>>;
  exec(params: object): Promise<{ newMessages: { content: unknown }[]; toolCalls: unknown[] }>;
}

function llamaindex(llm: Llama): Client {
  const messages = (content: string): object[] => [{ role: "user", content }];
  const answer = async (params: object) => String((await llm.chat(params)).message.content);
  return {
    answer: (prompt) => answer({ messages: messages(prompt) }),
    stream: async (prompt) =>
      // It gives the last piece of text again with every event that has none.
      joined(await llm.chat({ messages: messages(prompt), stream: true }), ({ delta, raw }) =>
        raw.type === undefined || raw.type === "response.output_text.delta" ? delta : "",
      ),
    async callTool(prompt) {
      const parameters = z.toJSONSchema(weatherInput);
      const weather = { metadata: { name: "weather", description, parameters }, call: weatherOf };
      const history = messages(prompt);
      for (;;) {
        const { newMessages, toolCalls } = await llm.exec({ messages: history, tools: [weather] });
        history.push(...newMessages);
        if (toolCalls.length === 0) return String(newMessages.at(-1)?.content);
      }
    },
    async structured(prompt) {
      const responseFormat = zodResponseFormat(weatherInput, "place");
      return JSON.parse(await answer({ messages: messages(prompt), responseFormat }));
    },
    isRateLimit: (error) => (error as { status?: number }).status === 429,
    requests: 1,
  };
}

/** All clients by name, for one door and one model. */
export function openaiClients(door: Door, model: string): Record<string, Client> {
  const llama = { ...door, model };
  return {
    "openai, chat.completions": openaiChat(door, model),
    "openai, responses": openaiResponses(door, model),
    "@openai/agents": agents(door, model, true),
    "@openai/agents, chat completions": agents(door, model, false),
    "ai with @ai-sdk/openai": aiSdk(createOpenAI(door)(model)),
    "ai with @ai-sdk/openai, chat": aiSdk(createOpenAI(door).chat(model)),
    "ai with @ai-sdk/openai-compatible": aiSdk(
      createOpenAICompatible({ ...door, name: "spendgate", supportsStructuredOutputs: true })(
        model,
      ),
    ),
    "@langchain/openai": langchainOpenAI(door, model, false),
    "@langchain/openai, responses": langchainOpenAI(door, model, true),
    "@llamaindex/openai": llamaindex(new LlamaOpenAI(llama) as unknown as Llama),
    "@llamaindex/openai, responses": llamaindex(new LlamaResponses(llama) as unknown as Llama),
  };
}
