// A chat completion's request as a call of the AI SDK, with each provider's own names for what it takes.
import type {
  JSONSchema7,
  LanguageModelV4CallOptions,
  SharedV4ProviderOptions,
} from "@ai-sdk/provider";
import { optionsKey, type Wire, wireOf } from "../_shared/llm/wire.ts";
import type { ChatCompletionRequest } from "./chat_request.ts";
import { toPrompt } from "./prompt.ts";

export interface Call {
  options: LanguageModelV4CallOptions;
  /** Fields that this provider has no place for; the answer names them. */
  ignored: Set<string>;
}

/** @throws SpendgateError invalid_request for a message that no model could be sent. */
export async function toCall(body: ChatCompletionRequest, provider: string): Promise<Call> {
  const ignored = new Set<string>();
  const wire = wireOf(provider);
  const prompt = await toPrompt(body.messages, provider, ignored);
  return {
    options: {
      prompt,
      maxOutputTokens: body.max_completion_tokens ?? body.max_tokens ?? undefined,
      temperature: body.temperature ?? undefined,
      topP: body.top_p ?? undefined,
      presencePenalty: body.presence_penalty ?? undefined,
      frequencyPenalty: body.frequency_penalty ?? undefined,
      seed: body.seed ?? undefined,
      stopSequences: typeof body.stop === "string" ? [body.stop] : (body.stop ?? undefined),
      reasoning: body.reasoning_effort ?? undefined,
      responseFormat: toResponseFormat(body),
      tools: toTools(body, wire, ignored),
      toolChoice: toToolChoice(body.tool_choice),
      providerOptions: toProviderOptions(body, provider, ignored),
      // A compatible provider's images are in no part of the AI SDK's.
      ...(wire === "compatible" && { includeRawChunks: true }),
    },
    ignored,
  };
}

function toTools(
  { tools }: ChatCompletionRequest,
  wire: Wire,
  ignored: Set<string>,
): LanguageModelV4CallOptions["tools"] {
  return tools?.map(({ function: { name, description, parameters, strict }, cache_control }) => {
    if (cache_control && wire !== "anthropic") ignored.add("tools.cache_control");
    return {
      type: "function" as const,
      name,
      description: description ?? undefined,
      inputSchema: (parameters ?? { type: "object", properties: {} }) as JSONSchema7,
      ...(typeof strict === "boolean" && { strict }),
      ...(cache_control &&
        wire === "anthropic" && {
          providerOptions: { anthropic: { cacheControl: cache_control } },
        }),
    };
  });
}

function toToolChoice(
  choice: ChatCompletionRequest["tool_choice"],
): LanguageModelV4CallOptions["toolChoice"] {
  if (choice === undefined || choice === null) return undefined;
  return typeof choice === "string"
    ? { type: choice }
    : { type: "tool", toolName: choice.function.name };
}

function toResponseFormat({
  response_format: format,
}: ChatCompletionRequest): LanguageModelV4CallOptions["responseFormat"] {
  if (!format || format.type === "text") return undefined;
  if (format.type === "json_object") return { type: "json" };
  const { name, description, schema } = format.json_schema;
  return {
    type: "json",
    name,
    description: description ?? undefined,
    schema: (schema ?? undefined) as JSONSchema7 | undefined,
  };
}

/** What the AI SDK has no field of its own for. */
function toProviderOptions(
  body: ChatCompletionRequest,
  provider: string,
  ignored: Set<string>,
): SharedV4ProviderOptions | undefined {
  const fields = defined({
    parallel_tool_calls: body.parallel_tool_calls,
    user: body.user,
    safety_identifier: body.safety_identifier,
    prompt_cache_key: body.prompt_cache_key,
    metadata: body.metadata,
    verbosity: body.verbosity,
    // OpenAI's default is false, the AI SDK's is true.
    strict:
      body.response_format?.type === "json_schema"
        ? (body.response_format.json_schema.strict ?? false)
        : undefined,
  });
  const options: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(fields)) {
    const option = OPTIONS[wireOf(provider)][field];
    if (option) Object.assign(options, option(value));
    // Claude and Gemini hold to a schema in any case.
    else if (field !== "strict") ignored.add(field);
  }
  if (Object.keys(options).length === 0) return undefined;
  return { [optionsKey(provider)]: options } as SharedV4ProviderOptions;
}

/** Each wire's options, by the field that they stand for. */
const OPTIONS: Record<Wire, Record<string, (value: unknown) => Record<string, unknown>>> = {
  openai: {
    parallel_tool_calls: (value) => ({ parallelToolCalls: value }),
    user: (value) => ({ user: value }),
    safety_identifier: (value) => ({ safetyIdentifier: value }),
    prompt_cache_key: (value) => ({ promptCacheKey: value }),
    metadata: (value) => ({ metadata: value }),
    verbosity: (value) => ({ textVerbosity: value }),
    strict: (value) => ({ strictJsonSchema: value }),
  },
  anthropic: {
    parallel_tool_calls: (value) => ({ disableParallelToolUse: !value }),
    user: (value) => ({ metadata: { userId: value } }),
    safety_identifier: (value) => ({ metadata: { userId: value } }),
  },
  google: {},
  compatible: {
    parallel_tool_calls: (value) => ({ parallel_tool_calls: value }),
    user: (value) => ({ user: value }),
    safety_identifier: (value) => ({ safety_identifier: value }),
    prompt_cache_key: (value) => ({ prompt_cache_key: value }),
    metadata: (value) => ({ metadata: value }),
    verbosity: (value) => ({ textVerbosity: value }),
    strict: (value) => ({ strictJsonSchema: value }),
  },
};

function defined(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && value !== null),
  );
}
