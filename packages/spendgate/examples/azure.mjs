// A deployment that has a name of yours, as Azure has: `price` says which model it is.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { streamText, wrapLanguageModel } from "ai";
import { createGate } from "spendgate";
import { meteredMiddleware } from "spendgate/ai";

const gate = createGate();
const azure = createOpenAICompatible({
  name: "azure",
  apiKey: process.env.OPENAI_API_KEY,
  baseURL: process.env.OPENAI_BASE_URL,
  includeUsage: true,
});
const [tenantId, userId, prompt = "Hello"] = process.argv.slice(2);

const model = wrapLanguageModel({
  model: azure.chatModel("our-deployment"),
  middleware: meteredMiddleware({ gate, tenantId, userId }, { price: "openai/gpt-4o-mini" }),
});
for await (const text of streamText({ model, prompt, maxRetries: 0 }).textStream) {
  process.stdout.write(text);
}
