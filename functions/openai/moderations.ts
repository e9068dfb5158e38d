// POST /moderations.
import * as z from "zod";
import { attribute } from "../_shared/http/attribution.ts";
import { endpoint, withoutNulls } from "../_shared/http/body.ts";
import { label } from "../_shared/http/label.ts";
import type { UserContext } from "../_shared/http/serve.ts";
import { moderationBound } from "../_shared/llm/bounds/moderation_bound.ts";
import { meteredRequest } from "../_shared/llm/metered_model.ts";
import { parseModelName } from "../_shared/llm/model_name.ts";
import { reportedUsage } from "../_shared/llm/usage/usage.ts";
import { plainAnswer } from "./plain_answer.ts";

const part = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text"), text: z.string() }),
  z.strictObject({
    type: z.literal("image_url"),
    image_url: z.strictObject({ url: z.string().min(1) }),
  }),
]);

const moderationRequest = z.strictObject({
  model: label.default("omni-moderation-latest"),
  input: z.union([z.string(), z.array(z.string()).min(1), z.array(part).min(1)], {
    error: "Send a text, texts, or parts text and image_url.",
  }),
});

const givenRequest = z.preprocess(withoutNulls, moderationRequest);

/** POST /moderations. Free where the price is zero, as OpenAI's are: held and booked all the same, at 0. */
export const moderate = endpoint<UserContext, typeof givenRequest>(
  givenRequest,
  async (context, { model, input }) => {
    const metering = await attribute(context, "moderations");
    const product = parseModelName(model);
    const bound = moderationBound(input, product);
    const text = await meteredRequest(
      {
        operation: "moderation",
        product,
        path: "moderations",
        body: JSON.stringify({ model: product.model, input }),
        bound,
      },
      metering,
      async (response) => {
        const answer = await response.text();
        const { usage } = z
          .looseObject({ results: z.array(z.unknown()) })
          .parse(JSON.parse(answer));
        const isFree = product.provider === "openai";
        return { answer, usage: isFree ? bound : reportedUsage(product, usage) };
      },
    );
    return plainAnswer(metering, text, "application/json");
  },
);
