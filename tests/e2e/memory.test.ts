// What the largest requests take of the function's memory: the platform ends a worker that has 256 MB.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Functions, startFunctions } from "../../scripts/stack/functions.ts";
import { endedCall } from "../support/spend.ts";
import { startTestStack, type TestStack } from "../support/stack.ts";
import {
  data,
  events,
  json,
  type RawAnswer,
  type RawProvider,
  startRawProvider,
} from "../wire/provider.ts";

const MIB = 1024 * 1024;

let provider: RawProvider;
let stack: TestStack;
let env: Record<string, string>;

beforeAll(async () => {
  provider = await startRawProvider();
  env = {
    ...provider.env,
    // A machine that is busy with other tests is no failure of the gate.
    ...{ SPENDGATE_CALL_TIMEOUT_MS: "60000", SPENDGATE_GATE_TIMEOUT_MS: "20000" },
    SPENDGATE_COST_WAIT_MS: "20000",
  };
  stack = await startTestStack({ env });
});
afterAll(async () => {
  await stack.stop();
  await provider.stop();
});

const TEXT = "The quick brown fox jumps over 1,023 lazy dogs. ";
const bytesOf = (size: number, begin: string | Uint8Array = TEXT) =>
  Buffer.concat([Buffer.from(begin), Buffer.alloc(size - begin.length, TEXT)]);

const tokens = { input_tokens: 14, output_tokens: 101, total_tokens: 115 };
const image = bytesOf(5 * MIB).toString("base64");
const images = { created: 1, data: Array(10).fill({ b64_json: image }), usage: tokens };
const second = bytesOf(48_000).toString("base64");
const spoken = [
  ...Array(520).fill(data({ type: "speech.audio.delta", audio: second })),
  data({ type: "speech.audio.done", usage: tokens }),
];
const drawn = {
  candidates: [
    {
      content: {
        role: "model",
        parts: [
          { inlineData: { mimeType: "image/png", data: bytesOf(20 * MIB).toString("base64") } },
        ],
      },
      finishReason: "STOP",
    },
  ],
  usageMetadata: {
    promptTokenCount: 14,
    candidatesTokenCount: 1290,
    totalTokenCount: 1304,
    promptTokensDetails: [{ modality: "TEXT", tokenCount: 14 }],
    candidatesTokensDetails: [{ modality: "IMAGE", tokenCount: 1290 }],
  },
};
const heard = { text: "Beep.", usage: { type: "duration", seconds: 1 } };
const audio = (name: string) => readFileSync(new URL(`../unit/audio/${name}`, import.meta.url));
/** Frames of MPEG 2 of 24 bytes: the most that a file may have. */
const shortFrames = Uint8Array.from({ length: 24 }, (_, at) => [0xff, 0xf3, 0x14, 0xc4][at] ?? 0);

const hashOf = (bytes: string | Buffer) => createHash("sha256").update(bytes).digest("hex");
const speak = (stream_format: "audio" | "sse") => async (openai: OpenAI, input: string) => {
  const body = { model: "gpt-4o-mini-tts", voice: "alloy", input, stream_format };
  return hashOf(Buffer.from(await (await openai.audio.speech.create(body)).arrayBuffer()));
};
const transcribe = (file: Buffer, name: string) => async (openai: OpenAI, prompt: string) =>
  openai.audio.transcriptions.create({
    model: "whisper-1",
    prompt,
    file: await toFile(file, name),
  });

type Ask = (openai: OpenAI, prompt: string) => Promise<unknown>;
const CASES: [name: string, answer: RawAnswer, ask: Ask, says: unknown][] = [
  [
    "ten images of 5 MB",
    json(images),
    async (openai, prompt) =>
      hashOf(
        await (
          await openai.images.generate({ model: "gpt-image-2", prompt, n: 10 }).asResponse()
        ).text(),
      ),
    hashOf(JSON.stringify(images)),
  ],
  [
    "an image of 20 MB in a chat",
    json(drawn),
    async (openai, content) => {
      const messages = [{ role: "user" as const, content }];
      const model = "google/gemini-2.5-flash-image";
      const { choices } = await openai.chat.completions.create({ model, messages });
      type Drawn = { images?: { image_url: { url: string } }[] };
      return hashOf((choices[0]?.message as Drawn | undefined)?.images?.[0]?.image_url.url ?? "");
    },
    hashOf(`data:image/png;base64,${bytesOf(20 * MIB).toString("base64")}`),
  ],
  [
    "nine minutes of speech",
    events(spoken),
    speak("audio"),
    hashOf(Buffer.concat(Array(520).fill(bytesOf(48_000)))),
  ],
  ["its events", events(spoken), speak("sse"), hashOf(spoken.join(""))],
  [
    "a WAV of 25 MB",
    json(heard),
    transcribe(bytesOf(25 * MIB, audio("pcm.wav").subarray(0, 44)), "a.wav"),
    heard,
  ],
  [
    "an MP3 of a million frames",
    json(heard),
    transcribe(Buffer.alloc(25 * MIB, shortFrames), "a.mp3"),
    heard,
  ],
];

const statusOf = ({ pid }: Functions, field: string) => {
  const [, kib] =
    new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kib) / 1024;
};

describe.runIf(process.platform === "linux")("The process of the functions", () => {
  it.each(CASES)("grows by less than 200 MiB for %s", async (_, answer, ask, says) => {
    const user = await stack.signUp();
    const tenant = await stack.createTenant({ members: [user] });
    const functions = await startFunctions({ apiUrl: stack.url, keys: stack.keys, env });
    try {
      const baseURL = `http://127.0.0.1:${functions.port}/openai`;
      const openai = new OpenAI({ baseURL, apiKey: user.jwt, maxRetries: 0 });
      // Loads what it needs.
      await openai.models.list();
      const prompt = `case-${tenant.id}`;
      provider.answer(prompt, answer);
      // The most that it had is counted anew.
      writeFileSync(`/proc/${functions.pid}/clear_refs`, "5");
      const before = statusOf(functions, "VmRSS");
      expect(await ask(openai, prompt)).toEqual(says);
      const grown = statusOf(functions, "VmHWM") - before;
      expect(grown).toBeLessThan(200);
      expect(await endedCall(stack.sql, tenant.id)).toMatchObject({
        status: "settled",
        is_estimated: false,
      });
    } finally {
      await functions.stop();
    }
  });
});
