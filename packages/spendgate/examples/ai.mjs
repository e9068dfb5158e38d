// The AI SDK over a provider of your own: each call of the model is held before and booked after.
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, wrapLanguageModel } from "ai";
import { createGate } from "spendgate";
import { meteredMiddleware } from "spendgate/ai";

const gate = createGate();
const openai = createOpenAI({
  apiKey: process.env.OPENAI_API_KEY,
  baseURL: process.env.OPENAI_BASE_URL,
});
const [tenantId, userId, prompt = "Hello"] = process.argv.slice(2);

const model = wrapLanguageModel({
  model: openai.chat("gpt-4o-mini"),
  middleware: meteredMiddleware(
    { gate, tenantId, userId, task: "title" },
    { onCost: ({ model, costUsd }) => console.log(`${model} cost $${costUsd}`) },
  ),
});
const { text } = await generateText({ model, prompt, maxRetries: 0 });
console.log(text);
