// POST /embeddings.
import { z } from "zod";
import { meteredEmbeddingModel } from "../_shared/metered_model.ts";
import type { Metering, RequestMetering } from "../_shared/metering.ts";
import { callError } from "../_shared/provider_error.ts";

const text = z.string().min(1);

export const embeddingRequest = z.strictObject({
  model: z.string().min(1).max(200),
  input: z.union([text, z.array(text).min(1).max(2048)], {
    error: "Send a text, or up to 2,048 texts; tokens are not taken.",
  }),
  encoding_format: z.enum(["float", "base64"]).default("float"),
  dimensions: z.int().min(1).optional(),
  user: z.string().optional(),
});

export async function embed(
  body: z.output<typeof embeddingRequest>,
  metering: RequestMetering,
): Promise<Response> {
  const { dimensions } = body;
  const result = await meteredEmbeddingModel(body.model, { ...metering, task: taskOf(metering) })
    .doEmbed({
      values: typeof body.input === "string" ? [body.input] : body.input,
      providerOptions: dimensions
        ? { openai: { dimensions }, google: { outputDimensionality: dimensions } }
        : undefined,
    })
    .then(undefined, (error) => {
      throw callError(error);
    });
  const costs = await metering.receipt.costs(metering.env.costWaitMs);
  const tokens = result.usage?.tokens ?? 0;
  return Response.json(
    {
      object: "list",
      data: result.embeddings.map((embedding, index) => ({
        object: "embedding",
        index,
        embedding: body.encoding_format === "base64" ? toBase64(embedding) : embedding,
      })),
      model: body.model,
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    },
    { headers: metering.receipt.headers(costs) },
  );
}

function taskOf({ task }: Metering): string {
  return task === "chat" ? "embeddings" : task;
}

/** 32-bit floats, little endian: what OpenAI's SDK asks for, since it is a third of the size. */
function toBase64(embedding: number[]): string {
  const view = new DataView(new ArrayBuffer(embedding.length * 4));
  for (const [index, value] of embedding.entries()) view.setFloat32(index * 4, value, true);
  let binary = "";
  for (const byte of new Uint8Array(view.buffer)) binary += String.fromCharCode(byte);
  return btoa(binary);
}
