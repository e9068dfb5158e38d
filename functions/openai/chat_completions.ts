// Calls the metered model, and answers as OpenAI's Chat Completions API does.
import type { LanguageModelV4Usage } from "@ai-sdk/provider";
import type { SpendgateError } from "../_shared/errors.ts";
import type { CallCost, Receipt } from "../_shared/gate/receipt.ts";
import { attribute } from "../_shared/http/attribution.ts";
import { endpoint } from "../_shared/http/body.ts";
import type { UserContext } from "../_shared/http/serve.ts";
import type { FinishReason } from "../_shared/llm/finish_reason.ts";
import { parseModelName } from "../_shared/llm/model_name.ts";
import { callError } from "../_shared/llm/providers/error.ts";
import { toArguments } from "../_shared/llm/tool_arguments.ts";
import { type Image, rawImages, toImage, toMessage, toOpenAIUsage } from "./answer.ts";
import { toCall } from "./call_options.ts";
import { type ChatCompletionRequest, chatCompletionRequest } from "./chat_request.ts";
import { toOpenAIError } from "./errors.ts";
import {
  type AnswerPart,
  type EventFormat,
  type ModelCall,
  streamedAnswer,
  wholeAnswer,
} from "./model_call.ts";

/** POST /chat/completions. */
export const completeChat = endpoint<UserContext, ReturnType<typeof chatCompletionRequest>>(
  chatCompletionRequest,
  async (context, body) => {
    const metering = await attribute(context);
    try {
      const call = await toCall(body, parseModelName(body.model).provider);
      const modelCall: ModelCall = { model: body.model, call, metering, api: "chat" };
      return body.stream
        ? await streamedAnswer(
            context.request,
            modelCall,
            () => new ChunkFormat(body, metering.receipt),
          )
        : await completion(body, modelCall);
    } catch (error) {
      throw callError(error);
    }
  },
);

async function completion(body: ChatCompletionRequest, modelCall: ModelCall): Promise<Response> {
  const { result, finishReason, headers } = await wholeAnswer(modelCall);
  const message = toMessage(result.content, rawImages(result.response?.body));
  return Response.json(
    {
      ...frame(body, modelCall.metering.receipt),
      object: "chat.completion",
      choices: [{ index: 0, message, logprobs: null, finish_reason: finishReason }],
      usage: toOpenAIUsage(result.usage),
    },
    { headers },
  );
}

/** Parts of the AI SDK's stream as chunks of OpenAI's. */
class ChunkFormat implements EventFormat {
  readonly #frame: Record<string, unknown>;
  readonly #includeUsage: boolean;
  /** Calls of tools that have begun: their place, and whether any of their arguments has been written. */
  readonly #tools = new Map<string, { index: number; hasArguments: boolean }>();
  #images = 0;
  #usage: LanguageModelV4Usage | undefined;

  constructor(body: ChatCompletionRequest, receipt: Receipt) {
    this.#frame = { ...frame(body, receipt), object: "chat.completion.chunk" };
    this.#includeUsage = body.stream_options?.include_usage === true;
  }

  begin(): string {
    return this.#choice({ role: "assistant", content: "" });
  }

  write(part: AnswerPart): string {
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
      default:
        return "";
    }
  }

  finish(reason: FinishReason, usage: LanguageModelV4Usage): string {
    this.#usage = usage;
    return this.#choice({}, reason);
  }

  fail(error: SpendgateError): string {
    return data(toOpenAIError(error));
  }

  /**
   * What it cost: in the chunk of the usage where that was asked for, else where no client stumbles, in a comment.
   * Only an answer that is whole ends with `[DONE]`.
   */
  end(calls: CallCost[], isWhole: boolean): string {
    const comment = `: ${JSON.stringify({ spendgate: { calls } })}\n\n`;
    if (!isWhole) return comment;
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
