// Chat: streams the AI SDK's UI message stream (useChat works as it is), or answers JSON.
import {
  convertToModelMessages,
  generateText,
  isStepCount,
  type StopCondition,
  streamText,
  type ToolSet,
  UI_MESSAGE_STREAM_HEADERS,
  type UIMessageChunk,
} from "ai";
import type { SpendgateError } from "../_shared/errors.ts";
import type { RequestMetering } from "../_shared/gate/metering.ts";
import { endpoint } from "../_shared/http/body.ts";
import { clientGone } from "../_shared/http/client_gone.ts";
import type { UserContext } from "../_shared/http/serve.ts";
import { meteredModel } from "../_shared/llm/metered_model.ts";
import { callError } from "../_shared/llm/providers/error.ts";
import { writtenStream } from "../_shared/runtime/background.ts";
import { logOnce } from "../_shared/runtime/log.ts";
import { AgentSteps } from "./agent_steps.ts";
import { type Compaction, fitConversation } from "./compaction.ts";
import { errorText, oneCall } from "./one_call.ts";
import { type ChatRequest, chatRequest, toUIMessages } from "./request.ts";
import { toolsNamed } from "./tools.ts";

/** POST /chat. */
export const chat = endpoint<UserContext, ReturnType<typeof chatRequest>>(
  chatRequest,
  async ({ request, metering }, body) => {
    const attribution = {
      tenantId: body.tenantId,
      task: body.task,
      conversationId: body.conversationId ?? body.id,
      pathId: body.pathId,
    };
    return body.stream
      ? streamAnswer(request, body, await metering(attribution))
      : answer(body, await metering(attribution));
  },
);

/** What calls of the AI SDK need, the same for all ways to answer: each call, and a run of them. */
async function prepare(body: ChatRequest, metering: RequestMetering) {
  const name = body.model ?? metering.env.defaultModel;
  const asked = await toUIMessages(body.messages);
  const compaction: Compaction = body.compact
    ? await fitConversation(asked, name, metering)
    : { messages: asked, replaced: 0, summary: null };
  const steps = new AgentSteps(metering, body.tools.length > 0);
  return {
    name,
    compaction,
    steps,
    call: {
      model: meteredModel(name, steps.metering, body.fallbackModels),
      messages: await convertToModelMessages(compaction.messages, {
        // What a user stopped in the middle of a tool's work stays in useChat's history: it must not end the chat.
        ignoreIncompleteToolCalls: true,
      }),
      maxOutputTokens: body.maxOutputTokens,
      temperature: body.temperature,
      allowSystemInMessages: true,
    },
    run: {
      tools: toolsNamed(body.tools, steps.metering),
      onStepStart: steps.begin,
      stopWhen: [isStepCount(body.maxSteps), hasUsed(body.maxTotalTokens)],
      // Tries are counted, and held, behind the door: see SPENDGATE_MAX_RETRIES.
      maxRetries: 0,
      // The spans are our own; the SDK would copy each prompt for nobody.
      telemetry: { isEnabled: false },
      experimental_download: noDownload,
    },
  };
}

/** Addresses are the provider's to fetch, not ours. */
const noDownload = (files: unknown[]) => Promise.resolve(files.map(() => null));

function hasUsed(tokens = Number.POSITIVE_INFINITY): StopCondition<ToolSet> {
  return ({ steps }) =>
    steps.reduce((sum, step) => sum + (step.usage.totalTokens ?? 0), 0) >= tokens;
}

/** What an answer tells of one call of its run. */
interface Step {
  text: string;
  files: { mediaType: string; base64: string }[];
  usage: { inputTokens?: number; outputTokens?: number };
}

/** What the model drew, in the form in which a message takes files. */
function filesOf(steps: Step[]) {
  const files = steps.flatMap((step) =>
    step.files.map(({ mediaType, base64 }) => ({
      type: "file",
      mediaType,
      url: `data:${mediaType};base64,${base64}`,
    })),
  );
  return files.length > 0 ? { files } : {};
}

async function answer(body: ChatRequest, metering: RequestMetering): Promise<Response> {
  const { name, compaction, call, run, steps } = await prepare(body, metering);
  const done: Step[] = [];
  let ending: { finishReason: string; error?: SpendgateError };
  try {
    const { finishReason } = await generateText({
      ...call,
      ...run,
      onStepEnd: (step) => {
        done.push(step);
        steps.end();
      },
    });
    ending = { finishReason };
  } catch (thrown) {
    // A run that was refused on its way has done something: that is the answer, with the reason of its end.
    const error = callError(thrown);
    steps.end(error);
    if (done.length === 0) throw error;
    tell(error);
    ending = { finishReason: error.code, error };
  }
  const costs = await metering.receipt.costs(metering.env.costWaitMs);
  return Response.json(
    {
      text: ending.error ? done.map((step) => step.text).join("") : done.at(-1)?.text,
      ...filesOf(done),
      ...ending,
      model: name,
      steps: done.length,
      usage: {
        inputTokens: sum(done.map((step) => step.usage.inputTokens)),
        outputTokens: sum(done.map((step) => step.usage.outputTokens)),
      },
      calls: costs,
      ...compactionFacts(compaction),
    },
    { headers: metering.receipt.headers(costs) },
  );
}

async function streamAnswer(
  request: Request,
  body: ChatRequest,
  metering: RequestMetering,
): Promise<Response> {
  const gone = clientGone(request);
  const started = Promise.withResolvers<void>();
  // Until the first token the status is open: a refusal is a 429, not an error in a stream of status 200.
  try {
    const { compaction, call, run, steps } = await prepare(body, {
      ...metering,
      gone: gone.signal,
      onFirstToken: started.resolve,
    });
    const lastPart = async (): Promise<UIMessageChunk> => ({
      type: "data-spendgate",
      data: {
        calls: await metering.receipt.costs(metering.env.costWaitMs),
        ...compactionFacts(compaction),
      },
    });
    const parts = steps.isAgent
      ? streamText({
          ...call,
          ...run,
          onStepEnd: () => steps.end(),
          onError: ({ error: thrown }) => {
            const error = callError(thrown);
            tell(error);
            steps.end(error);
            started.reject(error);
          },
        }).toUIMessageStream({ onError: errorText })
      : await oneCall({ ...call, download: noDownload }, tell);
    const events = readAhead(parts, gone, lastPart);
    await started.promise;
    return new Response(events, {
      headers: { ...UI_MESSAGE_STREAM_HEADERS, ...metering.receipt.headers() },
    });
  } catch (thrown) {
    throw callError(thrown);
  }
}

/** Logs what ends a run that has begun to answer. */
function tell(error: SpendgateError): void {
  if (error.status >= 500) logOnce("error", error.code, error);
}

const encoder = new TextEncoder();

/** The stream as events, read whether or not their reader keeps up, with one more part before its `finish`. */
function readAhead(
  stream: AsyncIterable<UIMessageChunk>,
  gone: AbortController,
  lastPart: () => Promise<UIMessageChunk>,
): ReadableStream<Uint8Array> {
  return writtenStream(gone, async (write) => {
    const event = (data: string) => write(encoder.encode(`data: ${data}\n\n`));
    const pass = (part: UIMessageChunk) => event(JSON.stringify(part));
    let told = false;
    for await (const part of stream) {
      if (part.type === "finish") {
        pass(await lastPart());
        told = true;
      }
      pass(part);
    }
    // A stream that failed has no finish, and has cost something all the same.
    if (!told) pass(await lastPart());
    event("[DONE]");
  });
}

/** What the client may put in the place of its own history. */
function compactionFacts({ replaced, summary, error }: Compaction) {
  return replaced > 0 ? { compaction: { replaced, summary, error } } : {};
}

/** Null where one of them is not known: unknown is not zero. */
function sum(counts: (number | undefined)[]): number | null {
  return counts.reduce<number | null>(
    (total, count) => (total === null || count === undefined ? null : total + count),
    0,
  );
}
