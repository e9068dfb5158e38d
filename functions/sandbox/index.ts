import { readEnv } from "../_shared/env.ts";
import { Gate } from "../_shared/gate.ts";
import { serve } from "../_shared/http.ts";
import { startTelemetry } from "../_shared/telemetry.ts";
import { handleSandbox } from "./handler.ts";

const env = readEnv();
const gate = new Gate(env);
startTelemetry(env.otlpEndpoint);

export default { fetch: serve((request) => handleSandbox(request, env, gate)) };
