// A function of your own, gated: gives a text a title. Copy it; nothing else in here depends on it.
import { generateText } from "ai";
import { z } from "zod";
import { readEnv } from "../_shared/env.ts";
import { Gate } from "../_shared/gate.ts";
import { readJson, serve } from "../_shared/http.ts";
import { meteredModel } from "../_shared/metered_model.ts";
import { meteringOf } from "../_shared/metering.ts";

const env = readEnv();
const gate = new Gate(env);
const body = z.strictObject({ text: z.string().min(1) });

export default {
  fetch: serve(async (request) => {
    const { text } = await readJson(request, body, env.maxBodyBytes);
    const prompt = `Give this text a title of at most six words: ${text}`;
    // Who calls, and which tenant pays: 401 and 403 come from here.
    const metering = await meteringOf(request, env, gate, { task: "title" });
    // Its calls are held before and booked after: 422, 429, 502 and 503 come from them.
    const model = meteredModel("openai/gpt-4o-mini", metering);
    const { text: title } = await generateText({ model, prompt, maxRetries: 0 });
    return Response.json({ title }, { headers: metering.receipt.headers() });
  }),
};
