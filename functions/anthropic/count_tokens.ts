// POST /v1/messages/count_tokens: costs nothing, so nothing is held.
import { AISDKError } from "@ai-sdk/provider";
import { reserveAnswer } from "../_shared/gate/answers.ts";
import { attribute } from "../_shared/http/attribution.ts";
import { endpoint } from "../_shared/http/body.ts";
import type { UserContext } from "../_shared/http/serve.ts";
import { countInputTokens } from "../_shared/llm/metered_model.ts";
import { parseModelName } from "../_shared/llm/model_name.ts";
import { callError, upstreamError } from "../_shared/llm/providers/error.ts";
import { warningHeaders } from "./answer.ts";
import { toCall } from "./call_options.ts";
import { requestIdHeader } from "./errors.ts";
import { countRequest } from "./message_request.ts";

/**
 * POST /v1/messages/count_tokens. Anthropic counts for Claude; of every other model the answer is the bound of its
 * input, which is what a call of it holds.
 */
export const countTokens = endpoint<UserContext, ReturnType<typeof countRequest>>(
  countRequest,
  async (context, body) => {
    const { env, gate, tenantId, userId } = await attribute(context);
    const { provider, model } = parseModelName(body.model);
    // Whoever could make a call may have it counted: refuses a stranger, a closed tenant, a model without a price.
    await gate.call("check_quota", reserveAnswer, {
      tenant_id: tenantId,
      user_id: userId,
      resource_type: "llm",
      usage: { provider, model, input_tokens: 0, output_tokens: 0 },
    });
    const { options, ignored } = toCall(body, provider, context.request.headers);
    if (provider !== "anthropic") ignored.add("input_tokens");
    const abortSignal = AbortSignal.timeout(env.callTimeoutMs);
    const count = await countInputTokens(body.model, { ...options, abortSignal }).catch((error) => {
      throw AISDKError.isInstance(error) ? callError(error) : upstreamError(error);
    });
    return Response.json(
      { input_tokens: count },
      { headers: { ...warningHeaders([], ignored), ...requestIdHeader() } },
    );
  },
);
