// POST /audio/transcriptions.
import * as z from "zod";
import { SpendgateError } from "../_shared/errors.ts";
import type { Usage } from "../_shared/gate/gate.ts";
import { attribute } from "../_shared/http/attribution.ts";
import { formEndpoint } from "../_shared/http/body.ts";
import { label } from "../_shared/http/label.ts";
import type { UserContext } from "../_shared/http/serve.ts";
import { MOST_FILE_BYTES, transcriptionBound } from "../_shared/llm/bounds/transcription_bound.ts";
import { meteredRequest } from "../_shared/llm/metered_model.ts";
import { type Product, parseModelName } from "../_shared/llm/model_name.ts";
import { objectOf } from "../_shared/llm/usage/report.ts";
import { reportedUsage } from "../_shared/llm/usage/usage.ts";
import { plainAnswer } from "./plain_answer.ts";

/** Of a form beside its file. */
const FIELDS_BYTES = 1024 * 1024;

const transcriptionRequest = z.strictObject({
  file: z.instanceof(File, { error: "Send an audio file." }),
  model: label,
  language: z.string().optional(),
  prompt: z.string().optional(),
  response_format: z
    .enum(["json", "text", "srt", "verbose_json", "vtt", "diarized_json"])
    .optional(),
  temperature: z.coerce.number().min(0).max(1).optional(),
  timestamp_granularities: z.array(z.enum(["word", "segment"])).optional(),
  include: z.array(z.literal("logprobs")).optional(),
  chunking_strategy: z.literal("auto").optional(),
  stream: z.literal("false", { error: "A transcription does not stream here." }).optional(),
});
type TranscriptionRequest = z.output<typeof transcriptionRequest>;

/** POST /audio/transcriptions. */
export const transcribe = formEndpoint<UserContext, typeof transcriptionRequest>(
  transcriptionRequest,
  MOST_FILE_BYTES + FIELDS_BYTES,
  async (context, body) => {
    if (body.file.size > MOST_FILE_BYTES) throw tooLarge();
    const metering = await attribute(context, "transcriptions");
    const product = parseModelName(body.model);
    const { answer, mediaType } = await meteredRequest(
      {
        operation: "transcription",
        product,
        path: "audio/transcriptions",
        body: toForm({ ...body, model: product.model }),
        bound: await transcriptionBound(body.file, body.prompt ?? "", product),
      },
      metering,
      async (response) => {
        const text = await response.text();
        const type = response.headers.get("content-type") ?? "text/plain";
        const isJson = type.includes("json");
        return {
          answer: { answer: text, mediaType: type },
          // A text alone does not say how long it took to be said.
          usage: isJson ? usageOf(objectOf(JSON.parse(text)).usage, product) : undefined,
        };
      },
    );
    return plainAnswer(metering, answer, mediaType);
  },
);

/** Lists as OpenAI's SDK writes them. */
function toForm(body: TranscriptionRequest): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(body)) {
    if (value instanceof File) form.append(name, value, value.name);
    else if (Array.isArray(value)) for (const item of value) form.append(`${name}[]`, item);
    else if (value !== undefined) form.append(name, String(value));
  }
  return form;
}

/** No file that is taken is as long: what says more is no report. */
const MOST_SECONDS = 1e6;

/** Seconds of the audio, as OpenAI says them or Mistral; else tokens. */
function usageOf(said: unknown, product: Product): Usage | undefined {
  const { seconds, prompt_audio_seconds: heard = seconds } = objectOf(said);
  return typeof heard === "number" && heard > 0 && heard <= MOST_SECONDS
    ? { input_tokens: 0, output_tokens: 0, audio_seconds: heard }
    : reportedUsage(product, said);
}

function tooLarge(): SpendgateError {
  const words = `The file is larger than ${MOST_FILE_BYTES} bytes.`;
  return new SpendgateError("request_too_large", words, { details: { maxBytes: MOST_FILE_BYTES } });
}
