import { serve } from "../_shared/http/serve.ts";
import { countTokens } from "./count_tokens.ts";
import { anthropicErrorResponse } from "./errors.ts";
import { createMessage } from "./messages.ts";
import { listModels, retrieveModel } from "./models.ts";

const SERVED = "Served are /v1/messages, /v1/messages/count_tokens and /v1/models.";

export default serve({
  name: "anthropic",
  auth: "user",
  routes: {
    "/v1/messages": { POST: createMessage },
    "/v1/messages/count_tokens": { POST: countTokens },
    "/v1/models": { GET: listModels },
    "/v1/models/:name+": { GET: retrieveModel },
  },
  renderError: anthropicErrorResponse,
  hint: () => SERVED,
});
