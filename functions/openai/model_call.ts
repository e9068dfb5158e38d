// A call of the metered model, answered in one of OpenAI's formats: whole, or as a stream.
import type {
  LanguageModelV4GenerateResult,
  LanguageModelV4StreamPart,
  LanguageModelV4Usage,
} from "@ai-sdk/provider";
import { SpendgateError } from "../_shared/errors.ts";
import type { RequestMetering } from "../_shared/gate/metering.ts";
import type { CallCost } from "../_shared/gate/receipt.ts";
import { clientGone } from "../_shared/http/client_gone.ts";
import {
  brokenAnswer,
  type FinishReason,
  toFinishReason,
  toWholeFinishReason,
} from "../_shared/llm/finish_reason.ts";
import { meteredModel } from "../_shared/llm/metered_model.ts";
import { callError } from "../_shared/llm/providers/error.ts";
import type { OpenAIApi } from "../_shared/llm/providers/openai_api.ts";
import { writtenStream } from "../_shared/runtime/background.ts";
import { warningHeaders } from "./answer.ts";
import type { Call } from "./call_options.ts";

/** What is called, and how. */
export interface ModelCall {
  model: string;
  call: Call;
  metering: RequestMetering;
  /** OpenAI's API that answers in this format by itself. */
  api: OpenAIApi;
}

type StreamPart = LanguageModelV4StreamPart;
/** What a format makes events of; what an answer ends by is told apart. */
export type AnswerPart = Exclude<StreamPart, { type: "finish" | "error" }>;

/** A format's events, as text; empty where it has none for what happened. */
export interface EventFormat {
  begin(): string;
  write(part: AnswerPart): string;
  finish(reason: FinishReason, usage: LanguageModelV4Usage): string;
  fail(error: SpendgateError): string;
  /** Comes last, with what the calls cost. */
  end(calls: CallCost[], isWhole: boolean): string;
}

export interface WholeAnswer {
  result: LanguageModelV4GenerateResult;
  finishReason: FinishReason;
  headers: Record<string, string>;
}

/** @throws SpendgateError what the model throws, and upstream_error for an answer that is none. */
export async function wholeAnswer({ model, call, metering, api }: ModelCall): Promise<WholeAnswer> {
  const result = await meteredModel(model, metering, [], api).doGenerate(call.options);
  const costs = await metering.receipt.costs(metering.env.costWaitMs);
  const headers = {
    ...metering.receipt.headers(costs),
    ...warningHeaders(result.warnings, call),
  };
  return { result, finishReason: wholeReason(result, headers), headers };
}

/** Why an answer that came whole ended. */
function wholeReason(
  result: LanguageModelV4GenerateResult,
  headers: Record<string, string>,
): FinishReason {
  try {
    return toWholeFinishReason(result);
  } catch (error) {
    // It has cost something all the same.
    if (error instanceof SpendgateError) Object.assign(error.headers, headers);
    throw error;
  }
}

/** `formatOf` is asked for the format once the call is held, so that the format knows its id. */
export async function streamedAnswer(
  request: Request,
  { model, call, metering, api }: ModelCall,
  formatOf: () => EventFormat,
): Promise<Response> {
  const gone = clientGone(request);
  // Resolves with the first token: until then whatever fails is an answer with a status of its own.
  const { stream } = await meteredModel(
    model,
    { ...metering, gone: gone.signal },
    [],
    api,
  ).doStream(call.options);
  const parts = stream.values();
  const first = await parts.next();
  const warnings = first.value?.type === "stream-start" ? first.value.warnings : [];
  const events = new EventWriter(formatOf());
  const encoder = new TextEncoder();
  const output = writtenStream<Uint8Array>(gone, async (write) => {
    const pass = (text: string) => {
      if (text !== "") write(encoder.encode(text));
    };
    pass(events.begin());
    try {
      for (let part = first; !part.done; part = await parts.next()) pass(events.write(part.value));
    } catch (error) {
      pass(events.fail(error));
    }
    pass(events.end(await metering.receipt.costs(metering.env.costWaitMs)));
  });
  return new Response(output, {
    headers: {
      "Content-Type": "text/event-stream",
      "Cache-Control": "no-cache",
      ...metering.receipt.headers(),
      ...warningHeaders(warnings, call),
    },
  });
}

/** Sees to it that a stream ends once: whole, or by its first error. What that brings with it says nothing more. */
class EventWriter {
  #ending: "open" | "finished" | "failed" = "open";

  constructor(readonly format: EventFormat) {}

  begin(): string {
    return this.format.begin();
  }

  write(part: StreamPart): string {
    if (part.type === "error") return this.fail(part.error);
    return part.type === "finish" ? this.#finish(part) : this.format.write(part);
  }

  fail(error: unknown): string {
    if (this.#ending === "failed") return "";
    this.#ending = "failed";
    return this.format.fail(callError(error));
  }

  end(calls: CallCost[]): string {
    const broken = this.#ending === "open" ? this.fail(brokenAnswer()) : "";
    return broken + this.format.end(calls, this.#ending === "finished");
  }

  #finish({ finishReason, usage }: Extract<StreamPart, { type: "finish" }>): string {
    if (this.#ending === "failed") return "";
    try {
      const events = this.format.finish(toFinishReason(finishReason), usage);
      this.#ending = "finished";
      return events;
    } catch (error) {
      return this.fail(error);
    }
  }
}
