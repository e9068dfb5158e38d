// Calls the metered model, and answers as OpenAI's Chat Completions API does.
import type {
  LanguageModelV4Content,
  LanguageModelV4FinishReason,
  LanguageModelV4StreamPart,
  LanguageModelV4Usage,
} from "@ai-sdk/provider";
import { writtenStream } from "../_shared/background.ts";
import { clientGone } from "../_shared/http.ts";
import { meteredModel } from "../_shared/metered_model.ts";
import type { RequestMetering } from "../_shared/metering.ts";
import { callError } from "../_shared/provider_error.ts";
import type { CallCost, Receipt } from "../_shared/receipt.ts";
import { type ChatCompletionRequest, toCallOptions } from "./chat_request.ts";
import { toOpenAIError } from "./errors.ts";

export async function complete(
  request: Request,
  body: ChatCompletionRequest,
  metering: RequestMetering,
): Promise<Response> {
  try {
    return body.stream
      ? await streamCompletion(request, body, metering)
      : await completion(body, metering);
  } catch (error) {
    throw callError(error);
  }
}

async function completion(
  body: ChatCompletionRequest,
  metering: RequestMetering,
): Promise<Response> {
  const result = await meteredModel(body.model, metering).doGenerate(toCallOptions(body));
  const costs = await metering.receipt.costs(metering.env.costWaitMs);
  return Response.json(
    {
      ...frame(body, metering.receipt),
      object: "chat.completion",
      choices: [
        {
          index: 0,
          message: toMessage(result.content),
          logprobs: null,
          finish_reason: toFinishReason(result.finishReason),
        },
      ],
      usage: toOpenAIUsage(result.usage),
    },
    { headers: metering.receipt.headers(costs) },
  );
}

async function streamCompletion(
  request: Request,
  body: ChatCompletionRequest,
  metering: RequestMetering,
): Promise<Response> {
  const gone = clientGone(request);
  const model = meteredModel(body.model, { ...metering, gone: gone.signal });
  // Resolves with the first token: until then whatever fails is an answer with a status of its own.
  const { stream } = await model.doStream(toCallOptions(body));
  const chunks = new ChunkWriter(body, metering.receipt);
  const encoder = new TextEncoder();
  const output = writtenStream<Uint8Array>(gone, async (write) => {
    const pass = (text: string) => {
      if (text !== "") write(encoder.encode(text));
    };
    pass(chunks.begin());
    for await (const part of stream) pass(chunks.write(part));
    pass(chunks.end(await metering.receipt.costs(metering.env.costWaitMs)));
  });
  return new Response(output, {
    headers: {
      "Content-Type": "text/event-stream",
      "Cache-Control": "no-cache",
      ...metering.receipt.headers(),
    },
  });
}

/** Parts of the AI SDK's stream as chunks of OpenAI's. */
class ChunkWriter {
  readonly #frame: Record<string, unknown>;
  readonly #includeUsage: boolean;
  readonly #toolIndexes = new Map<string, number>();
  #usage: LanguageModelV4Usage | undefined;
  #failed = false;

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
        return this.#tool(part.id, {
          id: part.id,
          type: "function",
          function: { name: part.toolName, arguments: "" },
        });
      case "tool-input-delta":
        return this.#tool(part.id, { function: { arguments: part.delta } });
      case "tool-call":
        // A provider that does not stream a tool's input gives it whole.
        if (this.#toolIndexes.has(part.toolCallId)) return "";
        return this.#tool(part.toolCallId, {
          id: part.toolCallId,
          type: "function",
          function: { name: part.toolName, arguments: part.input },
        });
      case "finish":
        this.#usage = part.usage;
        return this.#failed ? "" : this.#choice({}, toFinishReason(part.finishReason));
      case "error":
        this.#failed = true;
        return data(toOpenAIError(callError(part.error)));
      default:
        return "";
    }
  }

  /** What it cost: in the chunk of the usage where that was asked for, else where no client stumbles, in a comment. */
  end(calls: CallCost[]): string {
    const usage =
      this.#includeUsage && !this.#failed
        ? data({
            ...this.#frame,
            choices: [],
            usage: this.#usage && toOpenAIUsage(this.#usage),
            spendgate: { calls },
          })
        : `: ${JSON.stringify({ spendgate: { calls } })}\n\n`;
    return `${usage}data: [DONE]\n\n`;
  }

  #tool(id: string, call: Record<string, unknown>): string {
    const index = this.#toolIndexes.get(id) ?? this.#toolIndexes.size;
    this.#toolIndexes.set(id, index);
    return this.#choice({ tool_calls: [{ index, ...call }] });
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

function toMessage(content: LanguageModelV4Content[]) {
  const text = content.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("");
  const reasoning = content.flatMap((part) => (part.type === "reasoning" ? [part.text] : []));
  const calls = content.flatMap((part) => (part.type === "tool-call" ? [part] : []));
  return {
    role: "assistant",
    content: text === "" && calls.length > 0 ? null : text,
    refusal: null,
    ...(reasoning.length > 0 && { reasoning_content: reasoning.join("") }),
    ...(calls.length > 0 && {
      tool_calls: calls.map((call) => ({
        id: call.toolCallId,
        type: "function",
        function: { name: call.toolName, arguments: call.input },
      })),
    }),
  };
}

function toFinishReason({ unified }: LanguageModelV4FinishReason): string {
  switch (unified) {
    case "length":
      return "length";
    case "content-filter":
      return "content_filter";
    case "tool-calls":
      return "tool_calls";
    default:
      return "stop";
  }
}

function toOpenAIUsage({ inputTokens, outputTokens }: LanguageModelV4Usage) {
  const [input, output] = [inputTokens.total ?? 0, outputTokens.total ?? 0];
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: { cached_tokens: inputTokens.cacheRead ?? 0 },
    completion_tokens_details: { reasoning_tokens: outputTokens.reasoning ?? 0 },
  };
}
