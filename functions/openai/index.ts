import { serve } from "../_shared/http/serve.ts";
import { completeChat } from "./chat_completions.ts";
import { createEmbeddings } from "./embeddings.ts";
import { openAIErrorResponse } from "./errors.ts";
import { listModels, retrieveModel } from "./models.ts";

/** What to use in the place of an endpoint that clients look for, and that is not here. */
const HINTS: [RegExp, string][] = [
  [
    /^\/responses\b/,
    "Use chat completions: client.chat.completions in OpenAI's SDK, openai.chat(model) in the AI SDK, " +
      "OpenAIChatCompletionsModel in OpenAI's agents SDK.",
  ],
  [/^\/completions$/, "Use /chat/completions."],
];

export default serve({
  name: "openai",
  version: "v1",
  auth: "user",
  routes: {
    "/chat/completions": { POST: completeChat },
    "/embeddings": { POST: createEmbeddings },
    "/models": { GET: listModels },
    "/models/:name+": { GET: retrieveModel },
  },
  renderError: openAIErrorResponse,
  hint: (path) => HINTS.find(([pattern]) => pattern.test(path))?.[1],
});
