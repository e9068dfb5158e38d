// A chat without tools is one call: its stream is what streamText makes of it, without the loop of steps and its dozen
// streams, which take longer than all else that a chat does here.
import {
  type FinishReason,
  type LanguageModelStreamPart,
  experimental_streamLanguageModelCall as streamCall,
  toUIMessageChunk,
  type UIMessageChunk,
} from "ai";
import type { SpendgateError } from "../_shared/errors.ts";
import { callError } from "../_shared/llm/providers/error.ts";

/** How a stream tells of an error. */
export const errorText = (error: unknown) => JSON.stringify(callError(error));

/** Parts of the answer, once its first token has come. @throws what the model throws before; `failed` hears of it after. */
export async function oneCall(
  call: Parameters<typeof streamCall>[0],
  failed: (error: SpendgateError) => void,
): Promise<AsyncIterable<UIMessageChunk>> {
  const { stream } = await streamCall(call);
  return partsOf(stream, failed);
}

async function* partsOf(
  stream: AsyncIterable<LanguageModelStreamPart>,
  failed: (error: SpendgateError) => void,
): AsyncGenerator<UIMessageChunk> {
  yield { type: "start" };
  yield { type: "start-step" };
  let finishReason: FinishReason = "other";
  for await (const part of stream) {
    if (part.type === "model-call-start" || part.type === "model-call-response-metadata") continue;
    if (part.type === "model-call-end") {
      finishReason = part.finishReason;
      continue;
    }
    if (part.type === "text-delta" && part.text === "" && !part.providerMetadata) continue;
    if (part.type === "error") {
      failed(callError(part.error));
      finishReason = "error";
    }
    const chunk = toUIMessageChunk(part, { onError: errorText });
    if (chunk) yield chunk;
  }
  yield { type: "finish-step" };
  yield { type: "finish", finishReason };
}
