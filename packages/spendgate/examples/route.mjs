// A route handler as Next has them: app/api/title/route.js. Who calls and who pays is known before it begins.
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, wrapLanguageModel } from "ai";
import { createGate } from "spendgate";
import { meteredMiddleware } from "spendgate/ai";
import { gated } from "spendgate/server";

// Reads SUPABASE_URL, SUPABASE_SECRET_KEY and SUPABASE_PUBLISHABLE_KEY.
const gate = createGate();
const openai = createOpenAI({
  apiKey: process.env.OPENAI_API_KEY,
  baseURL: process.env.OPENAI_BASE_URL,
});

export const POST = gated(gate, { task: "title" }, async ({ request, spender }) => {
  const { text: prompt } = await request.json();
  const model = wrapLanguageModel({
    model: openai.chat("gpt-4o-mini"),
    middleware: meteredMiddleware(spender),
  });
  const { text } = await generateText({ model, prompt, maxRetries: 0 });
  return Response.json({ title: text });
});
export const OPTIONS = POST;
