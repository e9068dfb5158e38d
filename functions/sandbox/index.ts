import { acceptsOnlyEvents, errorResponse } from "../_shared/http/error_response.ts";
import { serve } from "../_shared/http/serve.ts";
import { endSandbox, openSandboxOf, runCode } from "./sandbox.ts";

export default serve({
  name: "sandbox",
  auth: "user",
  routes: {
    "/": { POST: openSandboxOf },
    "/:id": { DELETE: endSandbox },
    "/:id/run": { POST: runCode },
  },
  renderError: (error, request) =>
    errorResponse(error, acceptsOnlyEvents(request) ? "sse" : "json"),
});
