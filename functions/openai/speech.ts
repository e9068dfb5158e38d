// POST /audio/speech.
import * as z from "zod";
import { attribute } from "../_shared/http/attribution.ts";
import { endpoint, withoutNulls } from "../_shared/http/body.ts";
import { label } from "../_shared/http/label.ts";
import type { UserContext } from "../_shared/http/serve.ts";
import {
  charactersOf,
  isSpeechByTokens,
  MOST_CHARACTERS,
  speechBound,
} from "../_shared/llm/bounds/speech_bound.ts";
import { meteredRequest } from "../_shared/llm/metered_model.ts";
import { type Product, parseModelName } from "../_shared/llm/model_name.ts";
import { readSpeechEvents } from "../_shared/llm/usage/speech_events.ts";
import { bodyOf, type Pieces, piecesOf } from "../_shared/runtime/pieces.ts";
import { plainAnswer } from "./plain_answer.ts";

const speechRequest = z.strictObject({
  model: label,
  input: z
    .string()
    .min(1)
    .refine(
      (text) => charactersOf(text) <= MOST_CHARACTERS,
      `Send ${MOST_CHARACTERS} characters at most.`,
    ),
  voice: z.union([z.string().min(1), z.strictObject({ id: z.string().min(1) })], {
    error: "Name a voice.",
  }),
  instructions: z.string().max(MOST_CHARACTERS).nullish(),
  response_format: z.enum(["mp3", "opus", "aac", "flac", "wav", "pcm"]).nullish(),
  speed: z.number().min(0.25).max(4).nullish(),
  stream_format: z.enum(["audio", "sse"]).nullish(),
});
type SpeechRequest = z.output<typeof speechRequest>;

interface Speech {
  pieces: Pieces;
  mediaType: string;
}

/** POST /audio/speech. */
export const speak = endpoint<UserContext, typeof speechRequest>(
  speechRequest,
  async (context, body) => {
    const metering = await attribute(context, "speech");
    const product = parseModelName(body.model);
    const bound = speechBound(body, product);
    const speech = await meteredRequest(
      {
        operation: "speech",
        product,
        path: "audio/speech",
        body: JSON.stringify(toProvider(body, product)),
        bound,
      },
      metering,
      async (response) =>
        isSpeechByTokens(product)
          ? toSpeech(response, body, product)
          : {
              // The characters are what is charged, whatever comes of them.
              answer: {
                pieces: await piecesOf(response),
                mediaType: response.headers.get("content-type") ?? mediaTypeOf(body),
              },
              usage: bound,
            },
    );
    return plainAnswer(metering, bodyOf(speech.pieces), speech.mediaType);
  },
);

/** Events tell what was used, and the audio alone does not: where they can be had, they are asked for. */
function toProvider({ stream_format, ...body }: SpeechRequest, product: Product) {
  const format = isSpeechByTokens(product) ? "sse" : stream_format;
  return withoutNulls({ ...body, model: product.model, stream_format: format ?? null });
}

/** @throws what the events end with, where they do not end as they should. */
async function toSpeech(response: Response, body: SpeechRequest, product: Product) {
  const isEvents = body.stream_format === "sse";
  const { pieces, usage } = await readSpeechEvents(
    response,
    product,
    isEvents ? "events" : "audio",
  );
  const answer: Speech = { pieces, mediaType: isEvents ? "text/event-stream" : mediaTypeOf(body) };
  return { answer, usage };
}

function mediaTypeOf({ response_format: format }: SpeechRequest): string {
  return !format || format === "mp3" ? "audio/mpeg" : `audio/${format}`;
}
