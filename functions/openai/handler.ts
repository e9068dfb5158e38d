// The OpenAI wire format: any OpenAI client works with `baseURL` and the user's JWT as its key.
import { authenticate } from "../_shared/auth.ts";
import type { Env } from "../_shared/env.ts";
import { SpendgateError } from "../_shared/errors.ts";
import type { Gate } from "../_shared/gate.ts";
import { expectMethod, invalidRequest, readJson } from "../_shared/http.ts";
import { label } from "../_shared/label.ts";
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
  const hint = HINTS.find(([pattern]) => pattern.test(path))?.[1];
  throw new SpendgateError(
    "not_found",
    [`There is no ${path} here.`, hint].filter(Boolean).join(" "),
  );
}

/** What to use in the place of an endpoint that clients look for, and that is not here. */
const HINTS: [RegExp, string][] = [
  [
    /^\/responses\b/,
    "Use chat completions: client.chat.completions in OpenAI's SDK, openai.chat(model) in the AI SDK, " +
      "OpenAIChatCompletionsModel in OpenAI's agents SDK.",
  ],
  [/^\/completions$/, "Use /chat/completions."],
];

/** The wire format has no place for what a call is for: headers say it, the tenant too. */
function attribute(
  userId: string,
  request: Request,
  env: Env,
  gate: Gate,
): Promise<RequestMetering> {
  const header = (name: string) => labelIn(request, `x-spendgate-${name}`);
  return meteringFor(userId, request, env, gate, {
    task: header("task") ?? "chat",
    conversationId: header("conversation"),
    pathId: header("path"),
  });
}

function labelIn(request: Request, header: string): string | undefined {
  const value = request.headers.get(header);
  if (value === null) return undefined;
  const parsed = label.safeParse(value);
  if (parsed.success) return parsed.data;
  throw invalidRequest([{ path: header, message: "Send 1 to 200 characters." }]);
}

/** @throws SpendgateError not_found: what is not well-formed is nobody's name. */
function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new SpendgateError("not_found", "The path is not well-formed.");
  }
}
