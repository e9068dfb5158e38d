// Calls the metered model, and answers as OpenAI's Chat Completions API does.
import type {
  LanguageModelV4GenerateResult,
  LanguageModelV4StreamPart,
  LanguageModelV4Usage,
} from "@ai-sdk/provider";
import { SpendgateError } from "../_shared/errors.ts";
import type { RequestMetering } from "../_shared/gate/metering.ts";
import type { CallCost, Receipt } from "../_shared/gate/receipt.ts";
import { attribute } from "../_shared/http/attribution.ts";
import { endpoint } from "../_shared/http/body.ts";
import { clientGone } from "../_shared/http/client_gone.ts";
import type { UserContext } from "../_shared/http/serve.ts";
import {
  brokenAnswer,
  type FinishReason,
  toFinishReason,
  toWholeFinishReason,
} from "../_shared/llm/finish_reason.ts";
import { meteredModel } from "../_shared/llm/metered_model.ts";
import { parseModelName } from "../_shared/llm/model_name.ts";
import { callError } from "../_shared/llm/providers/error.ts";
import { toArguments } from "../_shared/llm/tool_arguments.ts";
import { writtenStream } from "../_shared/runtime/background.ts";
import {
  type Image,
  rawImages,
  toImage,
  toMessage,
  toOpenAIUsage,
  warningHeaders,
} from "./answer.ts";
import { toCall } from "./call_options.ts";
import { type ChatCompletionRequest, chatCompletionRequest } from "./chat_request.ts";
import { toOpenAIError } from "./errors.ts";

/** POST /chat/completions. */
export const completeChat = endpoint<UserContext, ReturnType<typeof chatCompletionRequest>>(
  chatCompletionRequest,
  async (context, body) => {
    const metering = await attribute(context);
    try {
      return body.stream
        ? await streamCompletion(context.request, body, metering)
        : await completion(body, metering);
    } catch (error) {
      throw callError(error);
    }
  },
);

async function completion(
  body: ChatCompletionRequest,
  metering: RequestMetering,
): Promise<Response> {
  const { options, ignored } = await toCall(body, parseModelName(body.model).provider);
  const result = await meteredModel(body.model, metering).doGenerate(options);
  const costs = await metering.receipt.costs(metering.env.costWaitMs);
  const headers = {
    ...metering.receipt.headers(costs),
    ...warningHeaders(result.warnings, ignored),
  };
  const message = toMessage(result.content, rawImages(result.response?.body));
  return Response.json(
    {
      ...frame(body, metering.receipt),
      object: "chat.completion",
      choices: [{ index: 0, message, logprobs: null, finish_reason: wholeReason(result, headers) }],
      usage: toOpenAIUsage(result.usage),
    },
    { headers },
  );
}

/** Why an answer that came whole ended. */
function wholeReason(
  { finishReason, content }: LanguageModelV4GenerateResult,
  headers: Record<string, string>,
): FinishReason {
  try {
    return toWholeFinishReason({ finishReason, content });
  } catch (error) {
    // It has cost something all the same.
    if (error instanceof SpendgateError) Object.assign(error.headers, headers);
    throw error;
  }
}

async function streamCompletion(
  request: Request,
  body: ChatCompletionRequest,
  metering: RequestMetering,
): Promise<Response> {
  const gone = clientGone(request);
  const { options, ignored } = await toCall(body, parseModelName(body.model).provider);
  const model = meteredModel(body.model, { ...metering, gone: gone.signal });
  // Resolves with the first token: until then whatever fails is an answer with a status of its own.
  const { stream } = await model.doStream(options);
  const parts = stream.values();
  const first = await parts.next();
  const warnings = first.value?.type === "stream-start" ? first.value.warnings : [];
  const chunks = new ChunkWriter(body, metering.receipt);
  const encoder = new TextEncoder();
  const output = writtenStream<Uint8Array>(gone, async (write) => {
    const pass = (text: string) => {
      if (text !== "") write(encoder.encode(text));
    };
    pass(chunks.begin());
    try {
      for (let part = first; !part.done; part = await parts.next()) pass(chunks.write(part.value));
    } catch (error) {
      pass(chunks.fail(error));
    }
    pass(chunks.end(await metering.receipt.costs(metering.env.costWaitMs)));
  });
  return new Response(output, {
    headers: {
      "Content-Type": "text/event-stream",
      "Cache-Control": "no-cache",
      ...metering.receipt.headers(),
      ...warningHeaders(warnings, ignored),
    },
  });
}

/** Parts of the AI SDK's stream as chunks of OpenAI's. */
class ChunkWriter {
  readonly #frame: Record<string, unknown>;
  readonly #includeUsage: boolean;
  /** Calls of tools that have begun: their place, and whether any of their arguments has been written. */
  readonly #tools = new Map<string, { index: number; hasArguments: boolean }>();
  #images = 0;
  #usage: LanguageModelV4Usage | undefined;
  #ending: "open" | "finished" | "failed" = "open";

  constructor(body: ChatCompletionRequest, receipt: Receipt) {
    this.#frame = { ...frame(body, receipt), object: "chat.completion.chunk" };
    this.#includeUsage = body.stream_options?.include_usage === true;
  }

  begin(): string {
    return this.#choice({ role: "assistant", content: "" });
  }

  write(part: LanguageModelV4StreamPart): string {
    switch (part.type) {
      case "text-delta":
        return this.#choice({ content: part.delta });
      case "reasoning-delta":
        return this.#choice({ reasoning_content: part.delta });
      case "tool-input-start":
        return part.providerExecuted ? "" : this.#beginTool(part.id, part.toolName);
      case "tool-input-delta":
        return this.#addArguments(part.id, part.delta);
      case "tool-call":
        return part.providerExecuted ? "" : this.#endTool(part);
      case "file":
        return this.#showImages([toImage(part)]);
      case "raw":
        return this.#showImages(rawImages(part.rawValue));
      case "finish":
        return this.#finish(part);
      case "error":
        return this.fail(part.error);
      default:
        return "";
    }
  }

  /** The first error is the answer's end; what it brings with it says nothing more. */
  fail(error: unknown): string {
    if (this.#ending === "failed") return "";
    this.#ending = "failed";
    return data(toOpenAIError(callError(error)));
  }

  /**
   * What it cost: in the chunk of the usage where that was asked for, else where no client stumbles, in a comment.
   * Only an answer that is whole ends with `[DONE]`.
   */
  end(calls: CallCost[]): string {
    const comment = `: ${JSON.stringify({ spendgate: { calls } })}\n\n`;
    if (this.#ending === "open") return this.fail(brokenAnswer()) + comment;
    if (this.#ending === "failed") return comment;
    const usage = this.#includeUsage
      ? data({
          ...this.#frame,
          choices: [],
          usage: this.#usage ? toOpenAIUsage(this.#usage) : null,
          spendgate: { calls },
        })
      : comment;
    return `${usage}data: [DONE]\n\n`;
  }

  #finish({ usage, finishReason }: Extract<LanguageModelV4StreamPart, { type: "finish" }>): string {
    if (this.#ending === "failed") return "";
    this.#usage = usage;
    try {
      const chunk = this.#choice({}, toFinishReason(finishReason));
      this.#ending = "finished";
      return chunk;
    } catch (error) {
      return this.fail(error);
    }
  }

  #beginTool(id: string, name: string): string {
    const index = this.#tools.size;
    this.#tools.set(id, { index, hasArguments: false });
    const call = { index, id, type: "function", function: { name, arguments: "" } };
    return this.#choice({ tool_calls: [call] });
  }

  #addArguments(id: string, delta: string): string {
    const tool = this.#tools.get(id);
    if (tool === undefined || delta === "") return "";
    tool.hasArguments = true;
    return this.#choice({ tool_calls: [{ index: tool.index, function: { arguments: delta } }] });
  }

  /** The whole call: news where its provider has not streamed its arguments, or there are none. */
  #endTool({
    toolCallId,
    toolName,
    input,
  }: {
    toolCallId: string;
    toolName: string;
    input: string;
  }) {
    const begun = this.#tools.has(toolCallId) ? "" : this.#beginTool(toolCallId, toolName);
    if (this.#tools.get(toolCallId)?.hasArguments) return "";
    return begun + this.#addArguments(toolCallId, toArguments(input));
  }

  #showImages(images: Image[]): string {
    if (images.length === 0) return "";
    const numbered = images.map((image) => ({ ...image, index: this.#images++ }));
    return this.#choice({ images: numbered });
  }

  #choice(delta: Record<string, unknown>, finishReason: string | null = null): string {
    return data({
      ...this.#frame,
      choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
      ...(this.#includeUsage && { usage: null }),
    });
  }
}

function data(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

function frame(body: ChatCompletionRequest, receipt: Receipt) {
  return {
    id: `chatcmpl-${receipt.calls.at(-1)?.reservationId}`,
    created: Math.floor(Date.now() / 1000),
    model: body.model,
  };
}
