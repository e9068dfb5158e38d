// The OpenAI wire format: any OpenAI client works with `baseURL` and the user's JWT as its key.
import { authenticate } from "../_shared/auth.ts";
import type { Env } from "../_shared/env.ts";
import { SpendgateError } from "../_shared/errors.ts";
import type { Gate } from "../_shared/gate.ts";
import { expectMethod, readJson } from "../_shared/http.ts";
import { meteringFor, type RequestMetering } from "../_shared/metering.ts";
import { complete } from "./chat_completions.ts";
import { chatCompletionRequest } from "./chat_request.ts";
import { embed, embeddingRequest } from "./embeddings.ts";
import { listModels, retrieveModel } from "./models.ts";

export async function handleOpenAI(request: Request, env: Env, gate: Gate): Promise<Response> {
  const userId = await authenticate(request, env);
  const path = new URL(request.url).pathname.replace(/^.*?\/openai(\/v1)?(?=\/)/, "");
  const metering = () => attribute(userId, request, env, gate);

  if (path === "/chat/completions") {
    expectMethod(request, "POST");
    const body = await readJson(request, chatCompletionRequest(env), env.maxBodyBytes);
    return complete(request, body, await metering());
  }
  if (path === "/embeddings") {
    expectMethod(request, "POST");
    const body = await readJson(request, embeddingRequest, env.maxBodyBytes);
    return embed(body, await metering());
  }
  if (path === "/models") {
    expectMethod(request, "GET");
    return listModels(gate);
  }
  if (path.startsWith("/models/")) {
    expectMethod(request, "GET");
    return retrieveModel(gate, decodeSegment(path.slice("/models/".length)));
  }
  throw new SpendgateError("not_found", `There is no ${path} here.`);
}

/** The wire format has no place for what a call is for: headers say it, the tenant too. */
function attribute(
  userId: string,
  request: Request,
  env: Env,
  gate: Gate,
): Promise<RequestMetering> {
  const header = (name: string) => request.headers.get(`x-spendgate-${name}`) ?? undefined;
  return meteringFor(userId, request, env, gate, {
    task: header("task") ?? "chat",
    conversationId: header("conversation"),
    pathId: header("path"),
  });
}

/** @throws SpendgateError not_found: what is not well-formed is nobody's name. */
function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new SpendgateError("not_found", "The path is not well-formed.");
  }
}
