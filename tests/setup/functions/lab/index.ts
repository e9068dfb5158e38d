// A function of one's own that passes options on: what the library refuses of them is seen over HTTP.
import { generateText } from "ai";
import { z } from "zod";
import { readEnv } from "../../../../functions/_shared/env.ts";
import { Gate } from "../../../../functions/_shared/gate.ts";
import { readJson, serve } from "../../../../functions/_shared/http.ts";
import { meteredModel } from "../../../../functions/_shared/metered_model.ts";
import { meteringOf } from "../../../../functions/_shared/metering.ts";

const env = readEnv();
const gate = new Gate(env);
const body = z.strictObject({ model: z.string(), providerOptions: z.any() });

export default {
  fetch: serve(async (request) => {
    const { model, providerOptions } = await readJson(request, body, env.maxBodyBytes);
    const metering = await meteringOf(request, env, gate, { task: "lab" });
    const { text } = await generateText({
      model: meteredModel(model, metering),
      prompt: "Hello",
      providerOptions,
      maxRetries: 0,
    });
    return Response.json({ text });
  }),
};
