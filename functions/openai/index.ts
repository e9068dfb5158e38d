import { serve } from "../_shared/http/serve.ts";
import { completeChat } from "./chat_completions.ts";
import { createEmbeddings } from "./embeddings.ts";
import { openAIErrorResponse } from "./errors.ts";
import { generateImages } from "./images.ts";
import { listModels, retrieveModel } from "./models.ts";
import { moderate } from "./moderations.ts";
import { createResponse } from "./responses/responses.ts";
import { speak } from "./speech.ts";
import { transcribe } from "./transcriptions.ts";

/** What to use in the place of an endpoint that clients look for, and that is not here. */
const HINTS: [RegExp, string][] = [
  [
    /^\/(responses|conversations)\b/,
    "Nothing is stored here: send the whole conversation to /responses.",
  ],
  [/^\/completions$/, "Use /chat/completions."],
  [
    /^\/(images|audio|files|batches|assistants|threads|fine_tuning|vector_stores|realtime)\b/,
    "There are /responses, /chat/completions, /embeddings, /audio/speech, /audio/transcriptions, /images/generations, /moderations and /models.",
  ],
];

export default serve({
  name: "openai",
  version: "v1",
  auth: "user",
  routes: {
    "/responses": { POST: createResponse },
    "/chat/completions": { POST: completeChat },
    "/embeddings": { POST: createEmbeddings },
    "/audio/speech": { POST: speak },
    "/audio/transcriptions": { POST: transcribe },
    "/images/generations": { POST: generateImages },
    "/moderations": { POST: moderate },
    "/models": { GET: listModels },
    "/models/:name+": { GET: retrieveModel },
  },
  renderError: openAIErrorResponse,
  hint: (path) => HINTS.find(([pattern]) => pattern.test(path))?.[1],
});
