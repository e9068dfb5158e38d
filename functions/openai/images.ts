// POST /images/generations.
import * as z from "zod";
import { attribute } from "../_shared/http/attribution.ts";
import { endpoint, withoutNulls } from "../_shared/http/body.ts";
import { label } from "../_shared/http/label.ts";
import type { UserContext } from "../_shared/http/serve.ts";
import { imageBound } from "../_shared/llm/bounds/image_bound.ts";
import { meteredRequest } from "../_shared/llm/metered_model.ts";
import { type Product, parseModelName } from "../_shared/llm/model_name.ts";
import { objectOf } from "../_shared/llm/usage/report.ts";
import { reportedUsage } from "../_shared/llm/usage/usage.ts";
import { bodyOf, outlineOf, piecesOf } from "../_shared/runtime/pieces.ts";
import { plainAnswer } from "./plain_answer.ts";

const notStreamed = { error: "Images do not stream here." };

/** Of all images of an answer, which is in memory until its end has told its cost: a worker has 256 MB, and a pixel up to four bytes. */
const MOST_PIXELS_AT_ONCE = 16 * 1024 * 1024;
/** Of one whose size the model chooses. */
const USUAL_PIXELS = 1536 * 1024;

const imageRequest = z.strictObject({
  model: label,
  prompt: z.string().min(1).max(32_000),
  n: z.int().min(1).max(10).nullish(),
  size: z
    .string()
    .regex(/^(auto|[1-9]\d{1,3}x[1-9]\d{1,3})$/, "Send auto, or a width and a height as 1024x1024.")
    .nullish(),
  quality: z.enum(["auto", "low", "medium", "high", "standard", "hd"]).nullish(),
  background: z.enum(["auto", "transparent", "opaque"]).nullish(),
  moderation: z.enum(["auto", "low"]).nullish(),
  output_format: z.enum(["png", "jpeg", "webp"]).nullish(),
  output_compression: z.int().min(0).max(100).nullish(),
  response_format: z.enum(["url", "b64_json"]).nullish(),
  style: z.enum(["vivid", "natural"]).nullish(),
  user: z.string().nullish(),
  stream: z.literal(false, notStreamed).nullish(),
  partial_images: z.literal(0, notStreamed).nullish(),
});

const fittingRequest = imageRequest.refine(fitsIntoMemory, {
  path: ["n"],
  error: `Ask for fewer images at once, or for smaller ones: together they may have ${MOST_PIXELS_AT_ONCE} pixels.`,
});

const imageAnswer = z.looseObject({ data: z.array(z.unknown()).min(1) });

/** POST /images/generations. */
export const generateImages = endpoint<UserContext, typeof fittingRequest>(
  fittingRequest,
  async (context, body) => {
    const metering = await attribute(context, "images");
    const product = parseModelName(body.model);
    const { prompt, n, size, quality } = body;
    const answer = await meteredRequest(
      {
        operation: "image_generation",
        product,
        path: "images/generations",
        body: JSON.stringify(withoutNulls({ ...body, model: product.model })),
        bound: imageBound(
          { prompt, n: n ?? 1, size: chosen(size), quality: chosen(quality) },
          product,
        ),
      },
      metering,
      async (response) => {
        const answer = await piecesOf(response);
        const { usage } = imageAnswer.parse(outlineOf(answer));
        return { answer, usage: usageOf(usage, product) };
      },
    );
    return plainAnswer(metering, bodyOf(answer), "application/json");
  },
);

function fitsIntoMemory({ n, size, response_format }: z.output<typeof imageRequest>): boolean {
  const [width, height] = chosen(size)?.split("x").map(Number) ?? [];
  const pixels = width && height ? width * height : USUAL_PIXELS;
  return response_format === "url" || (n ?? 1) * pixels <= MOST_PIXELS_AT_ONCE;
}

function chosen(value: string | null | undefined): string | undefined {
  return value && value !== "auto" ? value : undefined;
}

/** Where it is not said what the output is, it is images. */
function usageOf(said: unknown, product: Product) {
  const { output_tokens, output_tokens_details, ...usage } = objectOf(said);
  const details = output_tokens_details ?? { image_tokens: output_tokens };
  return reportedUsage(product, { ...usage, output_tokens, output_tokens_details: details });
}
