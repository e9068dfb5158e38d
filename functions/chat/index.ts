import { acceptsOnlyEvents, errorResponse } from "../_shared/http/error_response.ts";
import { serve } from "../_shared/http/serve.ts";
import { chat } from "./chat.ts";
import { compactConversation } from "./compact.ts";

export default serve({
  name: "chat",
  auth: "user",
  routes: {
    "/": { POST: chat },
    "/compact": { POST: compactConversation },
    // useChat asks whether an answer is still being written, as it does with `resume`: none is kept here.
    "/:id/stream": { GET: async () => new Response(null, { status: 204 }) },
  },
  renderError: (error, request) =>
    errorResponse(error, acceptsOnlyEvents(request) ? "sse" : "json"),
});
