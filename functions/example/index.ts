// A function of your own, gated: gives a text a title. Copy it; nothing else in here depends on it.
import { generateText } from "ai";
import * as z from "zod";
import { endpoint } from "../_shared/http/body.ts";
import { serve, type UserContext } from "../_shared/http/serve.ts";
import { meteredModel } from "../_shared/llm/metered_model.ts";

const titleRequest = z.strictObject({ text: z.string().min(1) });

const giveTitle = endpoint(titleRequest, async (context: UserContext, { text }) => {
  // Which tenant pays: 403 comes from here. Who calls is known already: 401 came before.
  const metering = await context.metering({ task: "title" });
  // Its calls are held before and booked after: 422, 429, 502 and 503 come from them.
  const model = meteredModel("openai/gpt-4o-mini", metering);
  const prompt = `Give this text a title of at most six words: ${text}`;
  const { text: title } = await generateText({ model, prompt, maxRetries: 0 });
  return Response.json({ title }, { headers: metering.receipt.headers() });
});

export default serve({ name: "example", auth: "user", routes: { "/": { POST: giveTitle } } });
