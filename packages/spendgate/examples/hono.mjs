// A Hono server: the same handler, as a stream.
import { createOpenAI } from "@ai-sdk/openai";
import { wrapLanguageModel } from "ai";
import { Hono } from "hono";
import { createGate } from "spendgate";
import { meteredMiddleware } from "spendgate/ai";
import { errorResponse, gated } from "spendgate/server";

const gate = createGate();
const openai = createOpenAI({
  apiKey: process.env.OPENAI_API_KEY,
  baseURL: process.env.OPENAI_BASE_URL,
});

const chat = gated(gate, { task: "chat" }, async ({ request, spender }) => {
  const { prompt } = await request.json();
  const model = wrapLanguageModel({
    model: openai.chat("gpt-4o-mini"),
    middleware: meteredMiddleware(spender),
  });
  // The first part decides the status: a refusal is a 429, and no broken stream.
  const { stream } = await model.doStream({
    prompt: [{ role: "user", content: [{ type: "text", text: prompt }] }],
  });
  return new Response(stream.pipeThrough(textOnly()).pipeThrough(new TextEncoderStream()));
});

function textOnly() {
  return new TransformStream({
    transform(part, controller) {
      if (part.type === "text-delta") controller.enqueue(part.delta);
    },
  });
}

const app = new Hono();
app.post("/chat", ({ req }) => chat(req.raw));
app.onError((error) => errorResponse(error));
export default app;
