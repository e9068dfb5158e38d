// Calls the metered model, and answers as Anthropic's Messages API does.
import type { LanguageModelV4GenerateResult } from "@ai-sdk/provider";
import { SpendgateError } from "../_shared/errors.ts";
import type { RequestMetering } from "../_shared/gate/metering.ts";
import { attribute } from "../_shared/http/attribution.ts";
import { endpoint } from "../_shared/http/body.ts";
import { clientGone } from "../_shared/http/client_gone.ts";
import type { UserContext } from "../_shared/http/serve.ts";
import { toWholeFinishReason } from "../_shared/llm/finish_reason.ts";
import { rawImageUrls } from "../_shared/llm/images.ts";
import { meteredModel } from "../_shared/llm/metered_model.ts";
import { parseModelName } from "../_shared/llm/model_name.ts";
import { callError } from "../_shared/llm/providers/error.ts";
import { writtenStream } from "../_shared/runtime/background.ts";
import { emptyMessage, toBlocks, toStop, toUsage, warningHeaders } from "./answer.ts";
import { toCall } from "./call_options.ts";
import { requestIdHeader } from "./errors.ts";
import { EventWriter } from "./event_writer.ts";
import { type MessageRequest, messageRequest } from "./message_request.ts";

/** POST /v1/messages. */
export const createMessage = endpoint<UserContext, ReturnType<typeof messageRequest>>(
  messageRequest,
  async ({ request, ...context }, body) => {
    const metering = await attribute({ request, ...context });
    try {
      return body.stream
        ? await streamMessage(request, body, metering)
        : await message(request, body, metering);
    } catch (error) {
      throw callError(error);
    }
  },
);

async function message(
  { headers }: Request,
  body: MessageRequest,
  metering: RequestMetering,
): Promise<Response> {
  const { options, ignored } = toCall(body, parseModelName(body.model).provider, headers);
  const result = await meteredModel(body.model, metering).doGenerate(options);
  const costs = await metering.receipt.costs(metering.env.costWaitMs);
  const told = {
    ...metering.receipt.headers(costs),
    ...warningHeaders(result.warnings, ignored),
    ...requestIdHeader(),
  };
  return Response.json(
    {
      ...emptyMessage(body.model, metering.receipt),
      content: await toBlocks(result.content, rawImageUrls(result.response?.body)),
      ...wholeStop(result, told),
      usage: toUsage(result.usage),
    },
    { headers: told },
  );
}

function wholeStop(result: LanguageModelV4GenerateResult, headers: Record<string, string>) {
  const { content, finishReason, providerMetadata } = result;
  const hasTools = content.some((part) => part.type === "tool-call" && !part.providerExecuted);
  try {
    return toStop(finishReason, providerMetadata, hasTools, () => toWholeFinishReason(result));
  } catch (error) {
    // It has cost something all the same.
    if (error instanceof SpendgateError) Object.assign(error.headers, headers);
    throw error;
  }
}

async function streamMessage(
  request: Request,
  body: MessageRequest,
  metering: RequestMetering,
): Promise<Response> {
  const gone = clientGone(request);
  const { options, ignored } = toCall(body, parseModelName(body.model).provider, request.headers);
  const model = meteredModel(body.model, { ...metering, gone: gone.signal });
  // Resolves with the first token: until then whatever fails is an answer with a status of its own.
  const { stream } = await model.doStream(options);
  const parts = stream.values();
  const first = await parts.next();
  const warnings = first.value?.type === "stream-start" ? first.value.warnings : [];
  const events = new EventWriter(body.model, metering.receipt);
  const encoder = new TextEncoder();
  const output = writtenStream<Uint8Array>(gone, async (write) => {
    const pass = (text: string) => {
      if (text !== "") write(encoder.encode(text));
    };
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
      ...warningHeaders(warnings, ignored),
      ...requestIdHeader(),
    },
  });
}
