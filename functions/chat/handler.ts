// Chat: streams the AI SDK's UI message stream (useChat works as it is), or answers JSON.
import { generateText, type ModelMessage, streamText } from "ai";
import { authenticate, resolveTenant } from "../_shared/auth.ts";
import { inBackground } from "../_shared/background.ts";
import type { Env } from "../_shared/env.ts";
import { errorResponse, SpendgateError, toSpendgateError } from "../_shared/errors.ts";
import type { Gate } from "../_shared/gate.ts";
import { readJson } from "../_shared/http.ts";
import { type Metering, meteredModel } from "../_shared/metered_model.ts";
import { type ChatRequest, chatRequest, toModelMessages } from "./request.ts";

/** What a call of the AI SDK needs, the same for both ways to answer. */
interface Call {
  name: string;
  metering: Metering;
  messages: ModelMessage[];
  maxOutputTokens?: number;
}

export async function handleChat(request: Request, env: Env, gate: Gate): Promise<Response> {
  if (request.method !== "POST") {
    throw new SpendgateError("method_not_allowed", "Send a POST.");
  }
  const userId = await authenticate(request, env);
  const body = await readJson(request, chatRequest, env.maxBodyBytes);
  const call = await prepare(body, userId, env, gate);
  return body.stream ? await streamAnswer(call) : await answer(call);
}

async function prepare(body: ChatRequest, userId: string, env: Env, gate: Gate): Promise<Call> {
  return {
    name: body.model ?? env.defaultModel,
    messages: await toModelMessages(body),
    maxOutputTokens: body.maxOutputTokens,
    metering: {
      gate,
      userId,
      tenantId: await resolveTenant(gate, userId, body.tenantId),
      task: body.task,
      conversationId: body.conversationId ?? body.id,
      pathId: body.pathId,
      enforce: env.enforceCostQuotas,
      defaultMaxOutputTokens: env.defaultMaxOutputTokens,
    },
  };
}

async function answer({ name, metering, ...options }: Call): Promise<Response> {
  const result = await generateText({
    ...options,
    model: meteredModel(name, metering),
    // The caller decides whether to try, and pay, again.
    maxRetries: 0,
    allowSystemInMessages: true,
  });
  return Response.json({
    text: result.text,
    finishReason: result.finishReason,
    model: name,
    usage: {
      inputTokens: result.usage.inputTokens,
      outputTokens: result.usage.outputTokens,
    },
  });
}

async function streamAnswer({ name, metering, ...options }: Call): Promise<Response> {
  const started = Promise.withResolvers<void>();
  const model = meteredModel(name, { ...metering, onFirstToken: started.resolve });
  const result = streamText({
    ...options,
    model,
    maxRetries: 0,
    allowSystemInMessages: true,
    onError: ({ error }) => started.reject(error),
  });
  // Read to the end even when the client goes away: the provider charges for all of it, and says how much.
  inBackground(Promise.resolve(result.consumeStream()));

  // Until the first token the status is open: a refusal is a 429, not an error in a stream of status 200.
  try {
    await started.promise;
  } catch (thrown) {
    const error = toSpendgateError(thrown);
    return errorResponse(error, error.code === "quota_exceeded" ? "sse" : "json");
  }
  return result.toUIMessageStreamResponse({
    onError: (error) => JSON.stringify(toSpendgateError(error)),
  });
}
