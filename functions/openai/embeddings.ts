// POST /embeddings.
import type { SharedV4ProviderOptions } from "@ai-sdk/provider";
import * as z from "zod";
import type { RequestMetering } from "../_shared/gate/metering.ts";
import { attribute } from "../_shared/http/attribution.ts";
import { endpoint } from "../_shared/http/body.ts";
import { label } from "../_shared/http/label.ts";
import type { UserContext } from "../_shared/http/serve.ts";
import { meteredEmbeddingModel } from "../_shared/llm/metered_model.ts";
import { parseModelName } from "../_shared/llm/model_name.ts";
import { callError } from "../_shared/llm/providers/error.ts";
import { optionsKey } from "../_shared/llm/wire.ts";
import { toBase64 } from "../_shared/runtime/base64.ts";

const text = z.string().min(1);

const embeddingRequest = z.strictObject({
  model: label,
  input: z.union([text, z.array(text).min(1).max(2048)], {
    error: "Send a text, or up to 2,048 texts; tokens are not taken.",
  }),
  encoding_format: z.enum(["float", "base64"]).nullish(),
  dimensions: z.int().min(1).nullish(),
  user: z.string().nullish(),
});

/** POST /embeddings. */
export const createEmbeddings = endpoint<UserContext, typeof embeddingRequest>(
  embeddingRequest,
  async (context, body) => embed(body, await attribute(context, "embeddings")),
);

async function embed(
  body: z.output<typeof embeddingRequest>,
  metering: RequestMetering,
): Promise<Response> {
  const result = await meteredEmbeddingModel(body.model, metering)
    .doEmbed({
      values: typeof body.input === "string" ? [body.input] : body.input,
      providerOptions: toProviderOptions(body),
    })
    .then(undefined, (error) => {
      throw callError(error);
    });
  const costs = await metering.receipt.costs(metering.env.costWaitMs);
  // Some providers do not say: unknown is not zero.
  const tokens = result.usage?.tokens;
  return Response.json(
    {
      object: "list",
      data: result.embeddings.map((embedding, index) => ({
        object: "embedding",
        index,
        embedding: body.encoding_format === "base64" ? packed(embedding) : embedding,
      })),
      model: body.model,
      usage: tokens ? { prompt_tokens: tokens, total_tokens: tokens } : null,
    },
    { headers: metering.receipt.headers(costs) },
  );
}

/** Each provider's own names; Google has none for the user. */
function toProviderOptions({
  model,
  dimensions,
  user,
}: z.output<typeof embeddingRequest>): SharedV4ProviderOptions {
  const { provider } = parseModelName(model);
  if (provider === "google") {
    return dimensions ? { google: { outputDimensionality: dimensions } } : {};
  }
  const options = { ...(dimensions && { dimensions }), ...(user && { user }) };
  return { [optionsKey(provider)]: options };
}

/** 32-bit floats, little endian: what OpenAI's SDK asks for, since it is a third of the size. */
function packed(embedding: number[]): string {
  const view = new DataView(new ArrayBuffer(embedding.length * 4));
  for (const [index, value] of embedding.entries()) view.setFloat32(index * 4, value, true);
  return toBase64(new Uint8Array(view.buffer));
}
