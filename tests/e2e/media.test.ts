// Images, speech, transcription and moderation, by the official SDK with nothing but `baseURL` and the user's JWT; the provider
// answers with the bytes that a test says.
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { endedCall, endedCalls, limitTo, verifyBalances } from "../support/spend.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";
import { data, events, json, type RawProvider, startRawProvider } from "../wire/provider.ts";

let provider: RawProvider;
let stack: TestStack;
let user: TestUser;
let tenant: TestTenant;
let openai: OpenAI;
let marker: string;

beforeAll(async () => {
  provider = await startRawProvider();
  stack = await startTestStack({
    env: {
      ...provider.env,
      // A machine that is busy with other tests is no failure of the gate.
      ...{ SPENDGATE_CALL_TIMEOUT_MS: "20000", SPENDGATE_GATE_TIMEOUT_MS: "20000" },
      SPENDGATE_COST_WAIT_MS: "20000",
      SPENDGATE_MAX_RETRIES: "1",
    },
  });
});
afterAll(async () => {
  await stack.stop();
  await provider.stop();
});
beforeEach(async () => {
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user] });
  marker = `case-${randomBytes(6).toString("hex")}`;
  const baseURL = `${stack.url}/functions/v1/openai`;
  // Each of the SDK's own tries would be a call more.
  openai = new OpenAI({ baseURL, apiKey: user.jwt, maxRetries: 0 });
});

const failure = (promise: Promise<unknown>) =>
  promise.then(
    (value) => expect.fail(`it answered ${JSON.stringify(value)}`),
    (error) => error,
  );
const sent = () => provider.requests(marker).map(({ text }) => JSON.parse(text));
const ended = () => endedCall(stack.sql, tenant.id);

/** Requests of each endpoint, with what the provider answers to them and what that costs. */
interface Case {
  call(model?: string): Promise<unknown>;
  answer: ReturnType<typeof json>;
  /** USD that is booked; that is held; the same where the answer does not tell. */
  cost: string;
  bound: string;
}

const text = (): string => `Say it. ${marker}`;
const speech = (model = "gpt-4o-mini-tts") =>
  openai.audio.speech.create({ model, voice: "alloy", input: text() });
const moderation = (model?: string) => openai.moderations.create({ model, input: text() });

const recording = readFileSync(new URL("../unit/audio/pcm.wav", import.meta.url));
const transcription = async (model = "gpt-4o-transcribe", file: Uint8Array = recording) =>
  openai.audio.transcriptions.create({
    ...{ model, prompt: text(), file: await toFile(file, "speech.wav") },
  });

const drawing = (model = "gpt-image-1.5") =>
  openai.images.generate({ model, prompt: text(), size: "1024x1024", quality: "low" });
const drawn = {
  created: 1,
  data: [{ b64_json: "iVBORw0KGgo=" }],
  usage: {
    ...{ input_tokens: 14, output_tokens: 272, total_tokens: 286 },
    input_tokens_details: { text_tokens: 14, image_tokens: 0 },
  },
};

const AUDIO = [Buffer.from([0xff, 0xf3, 0x00]), Buffer.from([0x01, 0xfe])];
const spoken = [
  ...AUDIO.map((piece) => data({ type: "speech.audio.delta", audio: piece.toString("base64") })),
  data({
    type: "speech.audio.done",
    usage: { input_tokens: 14, output_tokens: 101, total_tokens: 115 },
  }),
];
const bytes = { headers: { "content-type": "audio/mpeg" }, pieces: AUDIO };
const flagged = {
  id: "modr-1",
  model: "omni-moderation-latest",
  results: [{ flagged: true, categories: { violence: true }, category_scores: { violence: 0.9 } }],
};

const CASES: Record<string, Case> = {
  // 14 tokens of text at $0.60, 101 of audio at $12 per million; at most 12 for each of 25 bytes, and 500.
  "speech by tokens": {
    call: speech,
    answer: events(spoken),
    cost: "0.001220400000",
    bound: "0.009653400000",
  },
  // 25 characters at $15 per million.
  "speech by characters": {
    call: (model = "tts-1") => speech(model),
    answer: bytes,
    cost: "0.000375000000",
    bound: "0.000375000000",
  },
  // 10 tokens of audio at $6, 4 of text at $2.50, 8 out at $10 per million; at most 20, 89 and 2,000.
  "transcription by tokens": {
    call: transcription,
    answer: json({
      text: "Beep.",
      usage: {
        ...{ type: "tokens", input_tokens: 14, output_tokens: 8, total_tokens: 22 },
        input_token_details: { text_tokens: 4, audio_tokens: 10 },
      },
    }),
    cost: "0.000150000000",
    bound: "0.020342500000",
  },
  // 0.97 s at $0.36 an hour; at most 2 s.
  "transcription by seconds": {
    call: (model = "whisper-1") => transcription(model),
    answer: json({ text: "Beep.", usage: { type: "duration", seconds: 0.97 } }),
    cost: "0.000097000000",
    bound: "0.000200000000",
  },
  // 14 tokens of text at $5, 272 of an image at $32 per million; at most 89, and 272 and 500.
  images: {
    call: drawing,
    answer: json(drawn),
    cost: "0.008774000000",
    bound: "0.025149000000",
  },
  moderation: {
    call: moderation,
    answer: json(flagged),
    cost: "0.000000000000",
    bound: "0.000000000000",
  },
};

describe.each(Object.entries(CASES))("A call for %s", (_, { call, answer, cost, bound }) => {
  it("books to the last digit what the answer tells", async () => {
    provider.answer(marker, answer);
    await call();
    expect(await ended()).toMatchObject({
      ...{ status: "settled", cost_usd: cost, estimated_cost_usd: bound, is_estimated: false },
      ...{ provider: "openai", user_id: user.id },
    });
    expect(await verifyBalances(stack.sql)).toEqual([]);
  });

  it("that the provider refuses gives back what it held, and tells the caller why", async () => {
    const refusal = { message: "No such voice.", code: "invalid_value", param: "voice" };
    provider.answer(marker, json({ error: refusal }, 400));
    const error = await failure(call());
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error).toMatchObject({ code: "invalid_value", param: "voice" });
    expect(error.message).toContain("No such voice.");
    expect(await ended()).toMatchObject({ status: "released", cost_usd: null });
  });

  it("that meets a busy provider is tried again, each try with a reservation of its own", async () => {
    const busy = json({ error: { message: "Busy." } }, 429, { "retry-after": "0" });
    provider.answer(marker, busy, answer);
    await call();
    const calls = await endedCalls(stack.sql, tenant.id, 2);
    expect(calls.map(({ status }) => status)).toEqual(["released", "settled"]);
  });

  it("tells the SDK when the provider stays busy, and gives back every hold", async () => {
    provider.answer(marker, json({ error: { message: "Busy." } }, 503, { "retry-after": "1" }));
    const error = await failure(call());
    expect(error).toMatchObject({ status: 503, code: "upstream_error" });
    expect(error.headers.get("retry-after")).toBe("1");
    const calls = await endedCalls(stack.sql, tenant.id, 2);
    expect(calls.map(({ status }) => status)).toEqual(["released", "released"]);
  });

  it("whose answer is cut is charged the bound, flagged", async () => {
    const { headers, pieces = [] } = answer;
    const [first] = pieces as [string | Buffer];
    provider.answer(marker, { headers, pieces: [first.slice(0, 2)], ending: "cut" });
    expect(await failure(call())).toMatchObject({ status: 502, code: "upstream_error" });
    expect(await ended()).toMatchObject({ status: "settled", cost_usd: bound, is_estimated: true });
  });

  it("of a model without a price is refused with 422, and nothing is sent", async () => {
    const error = await failure(call("openai/unheard-of"));
    expect(error).toBeInstanceOf(OpenAI.UnprocessableEntityError);
    expect(error).toMatchObject({ code: "unpriced_product", error: { product: "unheard-of" } });
    expect(provider.requests(marker)).toEqual([]);
  });

  it("of a provider that speaks another format is refused with 400", async () => {
    const error = await failure(call("anthropic/claude-haiku-4-5"));
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error.param).toBe("model");
  });
});

const odd = (usage: object | null | unknown[]) => {
  const done = data({ type: "speech.audio.done", usage });
  return {
    "speech by tokens": events([...spoken.slice(0, -1), done]),
    "transcription by tokens": json({ text: "Beep.", usage }),
    "transcription by seconds": json({ text: "Beep.", usage }),
    images: json({ ...drawn, usage }),
  };
};
const counts = { input_tokens: 14, output_tokens: 101, total_tokens: 115 };

describe.each([
  ["of -101 tokens and -1 s", { ...counts, output_tokens: -101, seconds: -1 }],
  ["of texts", { input_tokens: "14", output_tokens: "101", seconds: "1" }],
  [
    "of 1.5 tokens, and of more seconds than a file can have",
    { ...counts, output_tokens: 1.5, seconds: 1e12 },
  ],
  ["of lists", { input_tokens: [14], output_tokens: [101], seconds: [1] }],
  ["that is a list", [counts]],
  ["of null", null],
])("A report %s", (_, usage) => {
  it.each(Object.entries(odd(usage)))(
    "of %s is none: the bound is charged, flagged",
    async (name, answer) => {
      const { call, bound } = CASES[name] as Case;
      provider.answer(marker, answer);
      await call();
      expect(await ended()).toMatchObject({
        status: "settled",
        cost_usd: bound,
        is_estimated: true,
      });
    },
  );
});

describe("Speech", () => {
  it("comes as the provider's bytes, with its cost in the headers, for the task and tenant that the headers name", async () => {
    const other = await stack.createTenant({ members: [user] });
    provider.answer(marker, events(spoken));
    const audio = await openai.audio.speech.create(
      {
        model: "openai/gpt-4o-mini-tts",
        voice: { id: "voice_1" },
        input: text(),
        instructions: "Slowly.",
      },
      { headers: { "x-spendgate-tenant": other.id, "x-spendgate-task": "greeting" } },
    );
    expect(Buffer.from(await audio.arrayBuffer())).toEqual(Buffer.concat(AUDIO));
    expect(audio.headers.get("content-type")).toBe("audio/mpeg");
    expect(audio.headers.get("x-spendgate-cost-usd")).toBe("0.0012204");
    expect(await endedCall(stack.sql, other.id)).toMatchObject({ task: "greeting" });
    expect(sent()).toEqual([
      {
        ...{ model: "gpt-4o-mini-tts", voice: { id: "voice_1" }, input: text() },
        ...{ instructions: "Slowly.", stream_format: "sse" },
      },
    ]);
  });

  it("comes as events to who asks for them", async () => {
    provider.answer(marker, events(spoken));
    const answer = await openai.audio.speech.create({
      ...{ model: "gpt-4o-mini-tts", voice: "alloy", input: text(), stream_format: "sse" },
    });
    expect(answer.headers.get("content-type")).toBe("text/event-stream");
    expect(await answer.text()).toBe(spoken.join(""));
  });

  it("by characters is sent as it is asked for: an emoji is one character", async () => {
    provider.answer(marker, bytes);
    await openai.audio.speech.create({
      ...{ model: "tts-1-hd", voice: "alloy", input: `🙂${text()}` },
      ...{ response_format: "mp3", speed: 1.5 },
    });
    expect(sent()[0]).not.toHaveProperty("stream_format");
    // 27 characters at $30 per million.
    expect(await ended()).toMatchObject({ cost_usd: "0.000780000000", task: "speech" });
  });

  it("whose events break off after audio is charged the bound, though the provider says that it failed", async () => {
    const broken = data({ type: "error", error: { message: "Overloaded.", code: 503 } });
    provider.answer(marker, events([spoken[0] as string, broken]));
    expect(await failure(speech())).toMatchObject({ status: 502 });
    expect(await ended()).toMatchObject({ cost_usd: "0.009653400000", is_estimated: true });
  });

  it("that takes too long is charged the bound, flagged, and its connection closed", async () => {
    provider.answer(marker, { ending: "hang" });
    expect(await failure(speech())).toMatchObject({ status: 502, code: "upstream_error" });
    expect(await ended()).toMatchObject({ cost_usd: "0.009653400000", is_estimated: true });
    expect(provider.requests(marker)).toMatchObject([{ aborted: true }]);
  });

  it("that fails before any audio is given back", async () => {
    provider.answer(marker, events([data({ error: { message: "Wrong.", code: 400 } })]));
    expect(await failure(speech())).toMatchObject({ status: 400 });
    expect(await ended()).toMatchObject({ status: "released" });
  });
});

describe("Transcription", () => {
  it("sends the file and the fields as they are, and answers as the provider does", async () => {
    const said = { text: "Beep.", duration: 1, usage: { type: "duration", seconds: 1 } };
    provider.answer(marker, json(said));
    const answer = await openai.audio.transcriptions.create(
      {
        ...{ model: "openai/whisper-1", prompt: text(), language: "en", temperature: 0.5 },
        file: await toFile(recording, "speech.wav"),
        ...{ response_format: "verbose_json", timestamp_granularities: ["word", "segment"] },
      },
      { headers: { "x-spendgate-task": "notes" } },
    );
    expect(answer).toEqual(said);
    expect(await ended()).toMatchObject({ task: "notes", cost_usd: "0.000100000000" });
    const [{ text: form = "", path } = {}] = provider.requests(marker);
    expect(path).toBe("v1/audio/transcriptions");
    const fields = [
      ...form.matchAll(/name="([^"]+)"(?:; filename="([^"]+)")?.*?\r\n\r\n([^\r]{0,9})/gs),
    ];
    expect(fields.map(([, ...field]) => field)).toEqual([
      ["file", "speech.wav", "RIFF"].map((part) => expect.stringContaining(part)),
      ["model", undefined, "whisper-1"],
      ["language", undefined, "en"],
      ["prompt", undefined, "Say it. c"],
      ["response_format", undefined, "verbose_j"],
      ["temperature", undefined, "0.5"],
      ["timestamp_granularities[]", undefined, "word"],
      ["timestamp_granularities[]", undefined, "segment"],
    ]);
  });

  it("as a text, which tells no usage, is charged the bound, flagged", async () => {
    provider.answer(marker, { headers: { "content-type": "text/plain" }, pieces: ["Beep.\n"] });
    const answer = await openai.audio.transcriptions.create({
      ...{ model: "whisper-1", prompt: text(), response_format: "text" },
      file: await toFile(recording, "speech.wav"),
    });
    expect(answer).toBe("Beep.\n");
    expect(await ended()).toMatchObject({ cost_usd: "0.000200000000", is_estimated: true });
  });

  it("of a file above 25 MB is refused with 413, of one that cannot be bounded with 400, and nothing is sent", async () => {
    const large = await failure(transcription("whisper-1", new Uint8Array(25 * 1024 * 1024 + 1)));
    expect(large).toMatchObject({ status: 413, code: "request_too_large" });
    const odd = await failure(transcription("whisper-1", Buffer.from("not audio at all")));
    expect(odd).toBeInstanceOf(OpenAI.BadRequestError);
    expect(odd).toMatchObject({ code: "invalid_request", param: "file" });
    expect(odd.message).toContain("none of WAV, MP3");
    expect(provider.requests(marker)).toEqual([]);
  });

  it.each([
    ["without a file", {}, "file"],
    ["with a text for the file", { file: "text" }, "file"],
    ["that is to stream", { file: new File([recording], "a.wav"), stream: "true" }, "stream"],
    [
      "with a temperature of 2",
      { file: new File([recording], "a.wav"), temperature: "2" },
      "temperature",
    ],
    ["with other voices", { "known_speaker_names[]": "A" }, "known_speaker_names"],
  ])("of a form %s is a BadRequestError that names the field", async (_, fields, field) => {
    const form = new FormData();
    form.append("model", "whisper-1");
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    const error = await failure(openai.post("/audio/transcriptions", { body: form }));
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error.error.issues.map(({ path }: { path: string }) => path)).toContain(field);
  });

  it("of what is no form is a BadRequestError", async () => {
    const error = await failure(openai.post("/audio/transcriptions", { body: { file: "x" } }));
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error.message).toContain("multipart/form-data");
  });
});

describe("Images", () => {
  it("are asked for as they are, and answered as the provider does", async () => {
    provider.answer(marker, json(drawn));
    const image = { n: 2, size: "1536x864", output_format: "webp", background: "opaque" } as const;
    const { data: images, response } = await openai.images
      .generate({ model: "openai/gpt-image-2", prompt: text(), ...image, quality: "auto" })
      .withResponse();
    expect(images).toEqual(drawn);
    expect(sent()).toEqual([{ model: "gpt-image-2", prompt: text(), ...image, quality: "auto" }]);
    // 14 tokens at $5, 272 at $30 per million.
    expect(response.headers.get("x-spendgate-cost-usd")).toBe("0.00823");
    expect(await ended()).toMatchObject({ task: "images", product: "gpt-image-2" });
  });

  it("with a text besides are charged each by its own price", async () => {
    const output_tokens_details = { image_tokens: 272, text_tokens: 100 };
    const usage = { ...drawn.usage, output_tokens: 372, total_tokens: 386, output_tokens_details };
    provider.answer(marker, json({ ...drawn, usage }));
    await drawing();
    // As above, and 100 tokens of text at $10 per million.
    expect(await ended()).toMatchObject({ cost_usd: "0.009774000000", is_estimated: false });
  });

  it("of which the answer tells no usage are charged the bound, flagged", async () => {
    provider.answer(marker, json({ ...drawn, usage: undefined }));
    await drawing();
    expect(await ended()).toMatchObject({ cost_usd: "0.025149000000", is_estimated: true });
  });

  it("of DALL·E have no price any more", async () => {
    const error = await failure(drawing("dall-e-3"));
    expect(error).toMatchObject({ status: 422, code: "unpriced_product" });
  });
});

it("Moderation takes OpenAI's default model, and passes on what it is asked and answered", async () => {
  provider.answer(marker, json(flagged));
  const input = [
    { type: "text" as const, text: text() },
    { type: "image_url" as const, image_url: { url: "https://example.com/a.png" } },
  ];
  expect(await openai.moderations.create({ input })).toEqual(flagged);
  expect(sent()).toEqual([{ model: "omni-moderation-latest", input }]);
  expect(await ended()).toMatchObject({ task: "moderations", product: "omni-moderation-latest" });
});

it("A quota that is used up refuses speech by the SDK's RateLimitError, which says when, and nothing is sent", async () => {
  await limitTo(stack.sql, tenant.id, 0.0001);
  const error = await failure(speech());
  expect(error).toBeInstanceOf(OpenAI.RateLimitError);
  expect(error).toMatchObject({ code: "quota_exceeded" });
  expect(error.headers.get("x-should-retry")).toBe("false");
  expect(provider.requests(marker)).toEqual([]);
});

it.each([
  ["audio/speech", "without a text", { model: "tts-1", voice: "alloy" }, "input"],
  ["audio/speech", "with 4,097 characters", { voice: "a", input: "x".repeat(4097) }, "input"],
  ["audio/speech", "without a voice", { model: "tts-1", input: "x" }, "voice"],
  ["audio/speech", "with a seed", { model: "tts-1", voice: "a", input: "x", seed: 1 }, "seed"],
  ["images/generations", "without a prompt", {}, "prompt"],
  ["images/generations", "with 11 images", { prompt: "x", n: 11 }, "n"],
  ["images/generations", "with 3 large images", { prompt: "x", n: 3, size: "3840x2160" }, "n"],
  ["images/generations", "with an odd size", { prompt: "x", size: "large" }, "size"],
  ["images/generations", "that is to stream", { prompt: "x", stream: true }, "stream"],
  ["moderations", "with a number", { input: 7 }, "input"],
  ["moderations", "with a list of nothing", { input: [], model: null }, "input"],
  ["moderations", "with metadata", { input: "x", metadata: {} }, "metadata"],
])("A body of %s %s is a BadRequestError that names the field", async (path, _, body, field) => {
  const error = await failure(openai.post(`/${path}`, { body: { model: "tts-1", ...body } }));
  expect(error).toBeInstanceOf(OpenAI.BadRequestError);
  expect(error).toMatchObject({ code: "invalid_request", param: field });
});

it("The list of models has those that draw, speak, hear and moderate, by their own meters; Anthropic's has none of them", async () => {
  const ids: string[] = [];
  for await (const { id } of openai.models.list()) ids.push(id);
  expect(ids).toEqual(
    expect.arrayContaining([
      "openai/tts-1",
      "openai/gpt-image-1",
      "openai/whisper-1",
      "openai/gpt-4o-mini-transcribe",
      "openai/gpt-4o-mini-tts",
      "openai/omni-moderation-latest",
    ]),
  );
  expect(new Set(ids).size).toBe(ids.length);
  expect((await openai.models.retrieve("tts-1")).id).toBe("openai/tts-1");
  const headers = { authorization: `Bearer ${user.jwt}` };
  const response = await stack.call("/anthropic/v1/models?limit=1000", { headers });
  expect(await response.text()).not.toMatch(/tts|whisper|transcribe|moderation|gpt-image/);
});
