import { readEnv } from "../_shared/env.ts";
import { acceptsOnlyEvents, errorResponse } from "../_shared/errors.ts";
import { Gate } from "../_shared/gate.ts";
import { serve } from "../_shared/http.ts";
import { startTelemetry } from "../_shared/telemetry.ts";
import { handleChat } from "./handler.ts";

const env = readEnv();
const gate = new Gate(env);
startTelemetry(env.otlpEndpoint);

export default {
  fetch: serve(
    (request) => handleChat(request, env, gate),
    (error, request) => errorResponse(error, acceptsOnlyEvents(request) ? "sse" : "json"),
  ),
};
