// What images, speech and transcriptions may cost at most, against what OpenAI says that they cost.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { imageBound } from "../../functions/_shared/llm/bounds/image_bound.ts";
import { speechBound } from "../../functions/_shared/llm/bounds/speech_bound.ts";
import { transcriptionBound } from "../../functions/_shared/llm/bounds/transcription_bound.ts";

/** Tokens that are held for one image, without those that are held besides. */
const imageTokens = (model: string, size?: string, quality?: string) => {
  const request = { prompt: "A cat", n: 1, size, quality };
  return Number(imageBound(request, { provider: "openai", model }).output_tokens) - 500;
};

describe("An image", () => {
  it.each([
    ["gpt-image-1", "1024x1024", "low", 272],
    ["gpt-image-1", "1024x1536", "low", 408],
    ["gpt-image-1.5", "1024x1024", "medium", 1056],
    ["gpt-image-1.5", "1536x1024", "medium", 1584],
    ["gpt-image-1-mini", "1024x1024", "high", 4160],
    ["gpt-image-1-mini", "1024x1536", "high", 6240],
    ["gpt-image-1", undefined, undefined, 6240],
    // What OpenAI's calculator says.
    ["gpt-image-2", "1024x1024", "high", 7024],
    ["gpt-image-2", "1536x1024", "high", 5488],
    ["gpt-image-2", "1792x1024", "high", 5063],
    ["gpt-image-2-2026-04-21", "3584x2048", "high", 12_329],
    ["gpt-image-2", undefined, undefined, 23_719],
    ["gpt-image-9", undefined, "standard", 23_719],
  ])("of %s, %s and %s, is held as %d tokens", (model, size, quality, tokens) => {
    expect(imageTokens(model, size, quality)).toBe(tokens);
  });

  it("counts for as many as are asked for, and so does its prompt", () => {
    const product = { provider: "openai", model: "gpt-image-1" };
    const [one, three] = [1, 3].map((n) => imageBound({ prompt: "Ünique", n }, product));
    expect(one).toMatchObject({ input_tokens: 71, output_tokens: 6740, image_output_tokens: 6740 });
    expect(three).toMatchObject({ input_tokens: 213, output_tokens: 20_220 });
  });
});

it("Speech is held by the model's own meter", () => {
  const openai = (model: string) => ({ provider: "openai", model });
  expect(speechBound({ input: "Grüße 🙂" }, openai("tts-1-hd"))).toEqual({
    ...{ provider: "openai", model: "tts-1-hd", input_tokens: 0, output_tokens: 0, characters: 7 },
  });
  expect(
    speechBound({ input: "Grüße 🙂", instructions: "Slowly." }, openai("gpt-4o-mini-tts")),
  ).toEqual({
    ...{ provider: "openai", model: "gpt-4o-mini-tts", input_tokens: 83, output_tokens: 644 },
  });
  // A text of 4,096 characters was spoken in 5,262 tokens.
  expect(
    Number(speechBound({ input: "x".repeat(4096) }, openai("x")).output_tokens),
  ).toBeGreaterThan(5262);
});

it.each([
  [undefined, 548],
  [4, 548],
  [1, 548],
  [0.25, 692],
])(
  "Speech of 4 bytes at speed %s is held as %d tokens, and none of it is faster than usual",
  (speed, tokens) => {
    const product = { provider: "openai", model: "gpt-4o-mini-tts" };
    expect(speechBound({ input: "😍", speed }, product).output_tokens).toBe(tokens);
  },
);

it.each([
  ["openai", "whisper-1", 2],
  ["groq", "whisper-large-v3", 10],
])("Audio of 1.01 s is held for %s's %s as %d s", async (provider, model, seconds) => {
  const file = new Blob([readFileSync(new URL("./audio/pcm.wav", import.meta.url))]);
  const bound = await transcriptionBound(file, "", { provider, model });
  expect(bound.audio_seconds).toBe(seconds);
});
