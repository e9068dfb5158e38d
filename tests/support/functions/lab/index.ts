// A function of one's own that passes options on: what the library refuses of them is seen over HTTP.
import { generateText } from "ai";
import { z } from "zod";
import { endpoint } from "../../../../functions/_shared/http/body.ts";
import { serve, type UserContext } from "../../../../functions/_shared/http/serve.ts";
import { meteredModel } from "../../../../functions/_shared/llm/metered_model.ts";

const request = z.strictObject({ model: z.string(), providerOptions: z.any() });

const call = endpoint(request, async ({ metering }: UserContext, { model, providerOptions }) => {
  const { text } = await generateText({
    model: meteredModel(model, await metering({ task: "lab" })),
    prompt: "Hello",
    providerOptions,
    maxRetries: 0,
  });
  return Response.json({ text });
});

export default serve({ name: "lab", auth: "user", routes: { "/": { POST: call } } });
