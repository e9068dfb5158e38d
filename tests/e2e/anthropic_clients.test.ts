// Anthropic's endpoint with the clients that people use, and nothing but base URL and key: each with Claude and with a
// model of another provider.
import { createAnthropic } from "@ai-sdk/anthropic";
import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { ChatAnthropic } from "@langchain/anthropic";
import { tool as langchainTool } from "@langchain/core/tools";
import { generateText, Output, streamText, tool } from "ai";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { type ScriptedProvider, startScriptedProvider } from "../support/provider.ts";
import { callsOf, endedCalls, limitTo, verifyBalances } from "../support/spend.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";
import { breaksOff, tells } from "../support/told.ts";

const CLAUDE = "claude-haiku-4-5";
/** What 1,000 tokens of input and 500 of output cost. */
const COSTS: Record<string, string> = {
  [CLAUDE]: "0.003500000000",
  "openai/gpt-4o-mini": "0.000450000000",
};
const MODELS = Object.keys(COSTS);

Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });

let provider: ScriptedProvider;
let stack: TestStack;
let user: TestUser;
let tenant: TestTenant;
/** Requests that a client made. */
let requests: Request[];
/** Calls that were booked before. */
let before: number;

beforeAll(async () => {
  provider = await startScriptedProvider();
  // A machine that is busy with other tests is no failure of the gate.
  const env = { ...provider.othersEnv, SPENDGATE_GATE_TIMEOUT_MS: "20000" };
  stack = await startTestStack({ provider, env });
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user] });
});
afterAll(() => stack?.stop());
beforeEach(async () => {
  before = (await callsOf(stack.sql, tenant.id)).length;
  provider.journal.length = 0;
  requests = [];
});

const bookedCalls = async (calls: number) =>
  (await endedCalls(stack.sql, tenant.id, before + calls)).slice(before);

/** Does what a tenant may do whose quota is used up. */
async function usedUp<T>(work: () => Promise<T>): Promise<T> {
  await limitTo(stack.sql, tenant.id, 0);
  return work().finally(() => limitTo(stack.sql, tenant.id, 100));
}

const baseURL = () => `${stack.url}/functions/v1/anthropic`;
const counted: typeof fetch = (input, init) => {
  requests.push(new Request(input, init));
  return fetch(input, init);
};

const city = z.object({ city: z.string() });
const input = { city: "Cork" };
const callsWeather = () =>
  tells({
    tools: [{ id: "toolu_1", name: "weather", arguments: JSON.stringify(input) }],
    finish: "tools",
  });
const prompt = "Hello";

/** What each client does, by its own words. */
interface Client {
  answer(model: string): Promise<string>;
  stream(model: string): Promise<string>;
  /** Calls the tool `weather`, answers it, and goes on to the text. */
  useTool(model: string, seen: unknown[]): Promise<string>;
  object(model: string): Promise<unknown>;
  /** What it throws is its own error of a rate limit. */
  isRateLimit(error: unknown): boolean;
}

const sdk = () => new Anthropic({ baseURL: baseURL(), apiKey: user.jwt, fetch: counted });
const ask = (model: string) => ({
  model,
  max_tokens: 600,
  messages: [{ role: "user" as const, content: prompt }],
});
const textOf = ({ content }: { content: { type: string; text?: string }[] }) =>
  content.map(({ text }) => text ?? "").join("");

const official: Client = {
  answer: async (model) => textOf(await sdk().messages.create(ask(model))),
  stream: async (model) => await sdk().messages.stream(ask(model)).finalText(),
  useTool: async (model, seen) => {
    const weather = betaZodTool({
      name: "weather",
      inputSchema: city,
      description: "The weather",
      run: (args) => {
        seen.push(args);
        return "Rain.";
      },
    });
    const runner = sdk().beta.messages.toolRunner({ ...ask(model), tools: [weather] });
    return textOf(await runner.runUntilDone());
  },
  object: async (model) => {
    const format = {
      type: "json_schema" as const,
      schema: {
        type: "object",
        properties: { city: { type: "string" } },
        required: ["city"],
        additionalProperties: false,
      },
    };
    const answer = await sdk().messages.create({ ...ask(model), output_config: { format } });
    return JSON.parse(textOf(answer));
  },
  isRateLimit: (error) => error instanceof Anthropic.RateLimitError,
};

const aiModel = (model: string) =>
  createAnthropic({ baseURL: `${baseURL()}/v1`, apiKey: user.jwt, fetch: counted })(model);

const aiSdk: Client = {
  answer: async (model) =>
    (await generateText({ model: aiModel(model), prompt, maxRetries: 0 })).text,
  stream: async (model) => {
    let failure: unknown;
    const onError = ({ error }: { error: unknown }) => {
      failure = error;
    };
    const { text } = streamText({ model: aiModel(model), prompt, onError });
    const whole = await text;
    if (failure) throw failure;
    return whole;
  },
  useTool: async (model, seen) => {
    const weather = tool({
      inputSchema: city,
      execute: async (args) => {
        seen.push(args);
        return "Rain.";
      },
    });
    const { text } = await generateText({
      ...{ model: aiModel(model), prompt, tools: { weather } },
      stopWhen: ({ steps }) => steps.length === 2,
    });
    return text;
  },
  object: async (model) => {
    const output = Output.object({ schema: city });
    return (await generateText({ model: aiModel(model), prompt, output })).output;
  },
  isRateLimit: (error) => (error as { statusCode?: number }).statusCode === 429,
};

const langchainModel = (model: string) =>
  new ChatAnthropic({
    ...{ model, apiKey: user.jwt, anthropicApiUrl: baseURL(), maxTokens: 600, maxRetries: 0 },
    clientOptions: { fetch: counted },
  });

const langchain: Client = {
  answer: async (model) => (await langchainModel(model).invoke(prompt)).text,
  stream: async (model) => {
    let text = "";
    for await (const chunk of await langchainModel(model).stream(prompt)) text += chunk.text;
    return text;
  },
  useTool: async (model, seen) => {
    const weather = langchainTool(() => "Rain.", {
      name: "weather",
      schema: city,
      description: "The weather",
    });
    const bound = langchainModel(model).bindTools([weather]);
    const call = await bound.invoke(prompt);
    const answers = [];
    for (const made of call.tool_calls ?? []) {
      seen.push(made.args);
      answers.push(await weather.invoke({ ...made, type: "tool_call" }));
    }
    return (await bound.invoke([{ role: "user", content: prompt }, call, ...answers])).text;
  },
  object: (model) =>
    langchainModel(model).withStructuredOutput(city, { method: "jsonSchema" }).invoke(prompt),
  isRateLimit: (error) =>
    (error as { status?: number }).status === 429 ||
    (error as { lc_error_code?: string }).lc_error_code === "MODEL_RATE_LIMIT",
};

const CLIENTS: Record<string, Client> = {
  "@anthropic-ai/sdk": official,
  "@ai-sdk/anthropic": aiSdk,
  "@langchain/anthropic": langchain,
};

async function expectBooked(model: string, calls = 1): Promise<void> {
  const booked = await bookedCalls(calls);
  expect(booked.map((call) => [call.cost_usd, call.is_estimated])).toEqual(
    Array.from({ length: calls }, () => [COSTS[model], false]),
  );
}

describe.each(Object.entries(CLIENTS))("%s", (_, client) => {
  describe.each(MODELS)("with %s", (model) => {
    it("gets an answer, which is booked to the cent", async () => {
      provider.plays(tells({ text: "Hi there." }));
      expect(await client.answer(model)).toBe("Hi there.");
      await expectBooked(model);
    });

    it("gets a stream, which is booked to the cent", async () => {
      provider.plays(tells({ text: "Hi there, friend." }));
      expect(await client.stream(model)).toBe("Hi there, friend.");
      await expectBooked(model);
    });

    it("has a tool called, and goes on with its answer", async () => {
      provider.plays(callsWeather(), tells({ text: "It rains." }));
      const seen: unknown[] = [];
      expect(await client.useTool(model, seen)).toBe("It rains.");
      expect(seen).toEqual([input]);
      expect(JSON.stringify(provider.journal[1]?.body.messages)).toContain("Rain.");
      await expectBooked(model, 2);
    });

    it("gets an object that fits a schema", async () => {
      provider.plays(tells({ text: JSON.stringify(input) }));
      expect(await client.object(model)).toEqual(input);
      await expectBooked(model);
    });

    it("sees a stream that breaks off as an error, which costs what came or the bound", async () => {
      provider.plays(breaksOff({ text: "Hi" }));
      await expect(client.stream(model)).rejects.toThrow();
      const [call] = await bookedCalls(1);
      expect(call).toMatchObject({ status: "settled", is_estimated: true });
    });
  });

  it("throws its own error of a rate limit where the quota is used up, and nothing is sent", async () => {
    const error = await usedUp(() => client.answer(CLAUDE)).then(
      () => undefined,
      (thrown) => (thrown as { lastError?: unknown }).lastError ?? thrown,
    );
    expect(error).toSatisfy(client.isRateLimit);
    expect(provider.journal).toEqual([]);
  });
});

it("The key comes as a bearer token from the official SDK, as x-api-key from the others", async () => {
  provider.plays(tells({ text: "Hi." }));
  for (const client of Object.values(CLIENTS)) await client.answer(CLAUDE);
  expect(requests.map(({ headers }) => headers.get("authorization") ?? "none")).toEqual([
    ...[`Bearer ${user.jwt}`, "none", "none"],
  ]);
  expect(requests.map(({ headers }) => headers.get("x-api-key"))).toEqual([
    ...[null, user.jwt, user.jwt],
  ]);
});

describe("The official SDK", () => {
  it("does not try again where a quota is used up until the month ends", async () => {
    await expect(usedUp(async () => sdk().messages.create(ask(CLAUDE)))).rejects.toThrow(/quota/i);
    expect(requests).toHaveLength(1);
  });

  it("counts tokens: Claude's by Anthropic, for nothing; another model's by their bound", async () => {
    provider.plays((response, { body }) => {
      expect(Object.keys(body).sort()).toEqual(["messages", "model", "system"]);
      response.writeHead(200, { "content-type": "application/json" });
      response.end('{"input_tokens": 42}');
    });
    const { max_tokens: _, ...body } = { ...ask(CLAUDE), system: "Be kind." };
    expect(await sdk().messages.countTokens(body)).toMatchObject({ input_tokens: 42 });
    const other = await sdk().messages.countTokens({ ...body, model: "openai/gpt-4o-mini" });
    expect(other.input_tokens).toBeGreaterThan(prompt.length);
    expect(provider.journal).toHaveLength(1);
    expect(await callsOf(stack.sql, tenant.id)).toHaveLength(before);
  });

  it("lists the models in pages, and finds one by its bare name", async () => {
    const ids: string[] = [];
    for await (const { id } of sdk().models.list({ limit: 50 })) ids.push(id);
    expect(requests.length).toBeGreaterThan(1);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toContain(`anthropic/${CLAUDE}`);
    expect((await sdk().models.retrieve(CLAUDE)).id).toBe(`anthropic/${CLAUDE}`);
    await expect(sdk().models.retrieve("nothing")).rejects.toBeInstanceOf(Anthropic.NotFoundError);
  });

  it("is told what is served where it asks for what is not", async () => {
    const error = await sdk()
      .messages.batches.list()
      .then(
        () => undefined,
        (thrown) => thrown,
      );
    expect(error).toBeInstanceOf(Anthropic.NotFoundError);
    expect(error.message).toContain("/v1/messages/count_tokens");
  });
});

it("After all of this the balances equal the ledger", async () => {
  expect(await verifyBalances(stack.sql)).toEqual([]);
});
