// What users write, what models answer, and keys: in no line of a log, no span and no metric, however a call ends.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readBody, startServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import type { Target, WireCase } from "./cases/case.ts";
import { COMPATIBLE_TARGETS, FORMATS } from "./cases/targets.ts";
import { data, events, json, type Piece, PROVIDER_KEY, type RawAnswer } from "./provider.ts";
import { streamOf, type Told } from "./shapes/wire.ts";
import { startWireWorld, type WireWorld } from "./world.ts";

/** Whatever stands for private text has this in it. */
const CANARY = "CANARY";
const PROMPT = `${CANARY}-prompt my number is 123-45-6789`;
const TOLD: Told = {
  text: `${CANARY}-answer of a patient`,
  reasoning: `${CANARY}-thoughts of a model`,
  tools: [{ id: "call_1", name: "lookup", arguments: `{"name":"${CANARY}-tool-input"}` }],
  finish: "tools",
};
/** A provider that says what it was sent, the key among it. */
const ECHO = `Invalid input: ${PROMPT}; key ${PROVIDER_KEY}`;

let collector: TestServer;
let world: WireWorld;
let exported = "";

beforeAll(async () => {
  collector = await startServer(async (request, response) => {
    exported += await readBody(request);
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
  world = await startWireWorld({
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    SPENDGATE_CALL_TIMEOUT_MS: "2000",
    SPENDGATE_DISCONNECT_GRACE_MS: "100",
  });
});
afterAll(async () => {
  await world?.stop();
  await collector.stop();
});

/** Ways in which a provider answers, by name; what is private is in all of them. */
function answersOf({ wire }: Target): Record<string, [stream: boolean, RawAnswer]> {
  const told = { ...TOLD, usage: wire.usage(100, 50) };
  const begun: Piece[] = [...wire.begin(told), ...wire.content(told)];
  const refused = (status: number): [boolean, RawAnswer] => [
    status % 2 === 0,
    json(wire.refusal(status, "some_code", ECHO), status),
  ];
  return {
    finished: [true, events(streamOf(wire, told))],
    "finished, whole": [false, json(wire.whole(told))],
    "without usage": [true, events(streamOf(wire, { ...told, usage: undefined }))],
    "cut off": [true, events(begun, "cut")],
    "cut off in a line": [true, events([...begun, `data: {"text":"${CANARY}-line`], "cut")],
    "not JSON": [true, events([`data: {"choices":[{"delta":{"content":"${CANARY}-chunk\n\n`])],
    "not JSON after some words": [true, events([...begun, `data: {"x":"${CANARY}-chunk\n\n`])],
    "another shape": [true, events([data({ choices: `${CANARY}-shape`, candidates: 7 })])],
    "another shape, whole": [false, json({ choices: [{ message: `${CANARY}-shape` }] })],
    "another type": [false, json({ ...wire.whole(told), usage: `${CANARY}-usage` })],
    "a page, whole": [false, { pieces: [`<html>${CANARY}-page</html>`] }],
    "a page, streamed": [true, { pieces: [`<html>${CANARY}-page</html>`] }],
    "an error in the stream": [true, events([...wire.begin(told), wire.failure(ECHO)])],
    "an error after some words": [true, events([...begun, wire.failure(ECHO)])],
    "an error with status 200": [false, json({ error: { message: ECHO, code: 500 } })],
    "cut before the answer": [false, { ending: "cut" }],
    "no answer in time": [false, { ending: "hang" }],
    "no end in time": [true, events(begun, "hang")],
    ...Object.fromEntries(
      [400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529].map((status) => [
        `refused with ${status}`,
        refused(status),
      ]),
    ),
    "refused with 400 and a text": [false, { status: 400, pieces: [ECHO] }],
    "refused with 500 and a text": [true, { status: 500, pieces: [ECHO] }],
  };
}

const TOOLS = [{ type: "function", function: { name: "lookup", parameters: { type: "object" } } }];

function casesOf([format, target]: [string, Target]): WireCase[] {
  const question = [{ role: "user", content: `${PROMPT} MARKER` }];
  const requests = {
    openai: { messages: question, tools: TOOLS },
    responses: {
      input: question,
      reasoning: { summary: "auto" },
      tools: TOOLS.map(({ function: definition }) => ({ type: "function", ...definition })),
    },
    chat: { messages: question },
  };
  return Object.entries(answersOf(target)).flatMap(([name, [stream, answer]]) =>
    (["openai", "responses", "chat"] as const).map((endpoint) => ({
      name: `${format} in ${endpoint}: ${name}`,
      target,
      endpoint,
      stream,
      request: requests[endpoint],
      answers: [answer],
      expected: { booked: "bound" },
    })),
  );
}

/** What is private in a text, if there is anything. The number whole: a part of it may stand in a UUID. */
function told(text: string): string | undefined {
  const at = text.search(new RegExp(`${CANARY}|123-45-6789|${PROVIDER_KEY}`));
  return at < 0 ? undefined : text.slice(Math.max(0, at - 300), at + 100);
}

async function nothingIsTold(): Promise<void> {
  // What is exported in the background: no more of it comes.
  let seen = -1;
  await until("the telemetry has been sent", async () => {
    const isQuiet = seen === exported.length;
    seen = exported.length;
    await sleep(300);
    return isQuiet;
  });
  expect(world.stack.logs.map(told).filter(Boolean)).toEqual([]);
  expect(told(exported)).toBeUndefined();
  expect(told(JSON.stringify(world.stack.logs) + exported)).toBeUndefined();
}

for (const [format, target] of Object.entries(FORMATS)) {
  const cases = casesOf([format, target]);
  it(`${format}: ${cases.length} calls, finished and failed in every way, leave no private text in a log, a span or an error`, {
    timeout: 120_000,
  }, async () => {
    const lines = world.stack.logs.length;
    const failed: string[] = [];
    await Promise.all(
      [0, 1, 2, 3].map(async (lane) => {
        for (const one of cases.filter((_, at) => at % 4 === lane)) {
          await world.play(one).catch((error) => failed.push(`${one.name}: ${error}`));
        }
      }),
    );
    expect(failed).toEqual([]);
    // Each call is a line at least, and a span: that there was something to look into.
    expect(world.stack.logs.length - lines).toBeGreaterThanOrEqual(cases.length);
    expect(exported).toContain(target.model);
    await nothingIsTold();
  });
}

it("Requests that are refused before a call, histories with reasoning and tools, and embeddings leave no private text in a log, a span or an error", async () => {
  const { stack, user } = world;
  const bad = [
    ["/chat", { messages: `${CANARY}-wrong` }],
    ["/chat", { messages: [{ role: "user", content: PROMPT }], [`${CANARY}-field`]: 1 }],
    [
      "/openai/chat/completions",
      { model: `${CANARY}-model`, messages: [{ role: "user", content: PROMPT }] },
    ],
    [
      "/openai/chat/completions",
      { model: "openai/no-such-model", messages: [{ role: "user", content: PROMPT }] },
    ],
    ["/openai/responses", { model: "openai/no-such-model", input: PROMPT }],
    ["/openai/responses", { model: "gpt-4o-mini", input: [{ type: `${CANARY}-item` }] }],
    ["/openai/embeddings", { model: "text-embedding-3-small", input: { [CANARY]: PROMPT } }],
    ["/openai/embeddings", { model: "text-embedding-3-small", input: PROMPT }],
  ] as const;
  for (const [path, body] of bad) {
    expect((await stack.call(path, { user, json: body })).status).toBeGreaterThanOrEqual(400);
  }
  const malformed = await stack.call("/chat", {
    user,
    method: "POST",
    body: `{"messages": "${PROMPT}`,
  });
  expect(malformed.status).toBe(400);
  const history = (provider: Target): WireCase => ({
    name: "a history",
    target: provider,
    endpoint: "chat",
    stream: true,
    request: {
      messages: [
        {
          id: "1",
          role: "assistant",
          parts: [
            { type: "reasoning", text: `${CANARY}-private chain of thought` },
            { type: "text", text: `${CANARY}-said` },
          ],
        },
        { id: "2", role: "user", parts: [{ type: "text", text: `${PROMPT} MARKER` }] },
      ],
    },
    answers: [events(streamOf(provider.wire, { text: CANARY, usage: provider.wire.usage(9, 1) }))],
    expected: { booked: "bound" },
  });
  for (const target of [...Object.values(FORMATS), COMPATIBLE_TARGETS.deepseek]) {
    await world.play(history(target));
  }
  await nothingIsTold();
});

it("Code that runs in a sandbox, what it prints and how it fails leave no private text in a log, a span or an error", async () => {
  const { stack, user } = world;
  const opened = await stack.call("/sandbox", { user, json: { conversationId: "talk" } });
  const { id } = (await opened.json()) as { id: string };
  for (const code of [
    `console.log("${CANARY}-printed")`,
    `throw new Error("${CANARY}-thrown")`,
    `${CANARY} is no code`,
  ]) {
    await stack.call(`/sandbox/${id}/run`, { user, json: { code, language: "javascript" } });
  }
  stack.sandboxes.fault({ operation: "create", status: 400 });
  await stack.call("/sandbox", { user, json: { conversationId: "other" } });
  await stack.call(`/sandbox/${id}`, { user, method: "DELETE" });
  await nothingIsTold();
});
