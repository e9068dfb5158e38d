// Anthropic's endpoint with the clients that people use, and nothing but base URL and key: each with Claude and with a
// model of another provider.
import Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { anthropicClients } from "../support/anthropic_clients.ts";
import { type Client, WEATHER } from "../support/clients.ts";
import { type CountingDoor, startDoor } from "../support/door.ts";
import { type ScriptedProvider, startScriptedProvider } from "../support/provider.ts";
import { callsOf, endedCalls, verifyBalances } from "../support/spend.ts";
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
const NAMES = Object.keys(anthropicClients({ baseURL: "http://nowhere", apiKey: "none" }, CLAUDE));

let provider: ScriptedProvider;
let stack: TestStack;
let user: TestUser;
let tenant: TestTenant;
let door: CountingDoor;
/** Calls that were booked before. */
let before: number;

beforeAll(async () => {
  provider = await startScriptedProvider();
  // A machine that is busy with other tests is no failure of the gate.
  const env = { ...provider.othersEnv, SPENDGATE_GATE_TIMEOUT_MS: "20000" };
  stack = await startTestStack({ provider, env });
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user] });
  door = await startDoor(stack.url);
});
afterAll(async () => {
  await door?.stop();
  await stack?.stop();
});
beforeEach(async () => {
  before = (await callsOf(stack.sql, tenant.id)).length;
  provider.journal.length = 0;
  door.visits.length = 0;
});

const bookedCalls = async (calls: number) =>
  (await endedCalls(stack.sql, tenant.id, before + calls)).slice(before);

const address = () => ({
  baseURL: `${door.url}/functions/v1/anthropic`,
  apiKey: user.jwt,
});

const callsWeather = () =>
  tells({
    tools: [{ id: "toolu_1", name: "weather", arguments: JSON.stringify(WEATHER) }],
    finish: "tools",
  });
const prompt = "Hello";

async function expectBooked(model: string, calls = 1): Promise<void> {
  const booked = await bookedCalls(calls);
  expect(booked.map((call) => [call.cost_usd, call.is_estimated])).toEqual(
    Array.from({ length: calls }, () => [COSTS[model], false]),
  );
}

describe.each(NAMES)("%s", (name) => {
  describe.each(MODELS)("with %s", (model) => {
    const client = () => anthropicClients(address(), model)[name] as Client;

    it("gets an answer, which is booked to the cent", async () => {
      provider.plays(tells({ text: "Hi there." }));
      expect(await client().answer(prompt)).toBe("Hi there.");
      await expectBooked(model);
    });

    it("gets a stream, which is booked to the cent", async () => {
      provider.plays(tells({ text: "Hi there, friend." }));
      expect(await client().stream(prompt)).toBe("Hi there, friend.");
      await expectBooked(model);
    });

    it("has a tool called, and goes on with its answer", async () => {
      provider.plays(callsWeather(), tells({ text: "It rains." }));
      expect(await client().callTool(prompt)).toBe("It rains.");
      expect(JSON.stringify(provider.journal[1]?.body.messages)).toContain("Rain in Cork.");
      await expectBooked(model, 2);
    });

    it("gets an object that fits a schema", async () => {
      provider.plays(tells({ text: JSON.stringify(WEATHER) }));
      expect(await client().structured(prompt)).toEqual(WEATHER);
      await expectBooked(model);
    });

    it("sees a stream that breaks off as an error, which costs what came or the bound", async () => {
      provider.plays(breaksOff({ text: "Hi" }));
      await expect(client().stream(prompt)).rejects.toThrow();
      const [call] = await bookedCalls(1);
      expect(call).toMatchObject({ status: "settled", is_estimated: true });
    });
  });
});

it("The key comes as a bearer token from the official SDK, as x-api-key from the others", async () => {
  provider.plays(tells({ text: "Hi." }));
  for (const client of Object.values(anthropicClients(address(), CLAUDE))) {
    await client.answer(prompt);
  }
  expect(door.visits.map(({ headers }) => headers.authorization)).toEqual([
    ...[`Bearer ${user.jwt}`, undefined, undefined],
  ]);
  expect(door.visits.map(({ headers }) => headers["x-api-key"])).toEqual([
    ...[undefined, user.jwt, user.jwt],
  ]);
});

describe("The official SDK", () => {
  const sdk = () => new Anthropic(address());

  it("counts tokens: Claude's by Anthropic, for nothing; another model's by their bound", async () => {
    provider.plays((response, { body }) => {
      expect(Object.keys(body).sort()).toEqual(["messages", "model", "system"]);
      response.writeHead(200, { "content-type": "application/json" });
      response.end('{"input_tokens": 42}');
    });
    const messages = [{ role: "user" as const, content: prompt }];
    const body = { model: CLAUDE, messages, system: "Be kind." };
    expect(await sdk().messages.countTokens(body)).toMatchObject({ input_tokens: 42 });
    const other = await sdk().messages.countTokens({ ...body, model: "openai/gpt-4o-mini" });
    expect(other.input_tokens).toBeGreaterThan(prompt.length);
    expect(provider.journal).toHaveLength(1);
    expect(await callsOf(stack.sql, tenant.id)).toHaveLength(before);
  });

  it("lists the models in pages, and finds one by its bare name", async () => {
    const ids: string[] = [];
    for await (const { id } of sdk().models.list({ limit: 50 })) ids.push(id);
    expect(door.visits.length).toBeGreaterThan(1);
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
