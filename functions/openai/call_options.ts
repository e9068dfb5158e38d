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
  /** Names of fields in this format where they are others than chat completions have. */
  names?: Record<string, string>;
}

/** All of a request but what is said in it. */
export type CallSettings = Partial<Omit<ChatCompletionRequest, "model" | "messages">> & {
  /** These two the Responses API has; `none` asks for no summary. */
  reasoning_summary?: "auto" | "concise" | "detailed" | "none";
  truncation?: "auto";
};

/** @throws SpendgateError invalid_request for a message that no model could be sent. */
export async function toCall(body: ChatCompletionRequest, provider: string): Promise<Call> {
  const ignored = new Set<string>();
  const prompt = await toPrompt(body.messages, provider, ignored);
  return { options: { prompt, ...toOptions(body, provider, ignored) }, ignored };
}

/** What a provider is asked beside the prompt. What it has no place for is added to `ignored`. */
export function toOptions(
  settings: CallSettings,
  provider: string,
  ignored: Set<string>,
): Omit<LanguageModelV4CallOptions, "prompt"> {
  const wire = wireOf(provider);
  return {
    maxOutputTokens: settings.max_completion_tokens ?? settings.max_tokens ?? undefined,
    temperature: settings.temperature ?? undefined,
    topP: settings.top_p ?? undefined,
    presencePenalty: settings.presence_penalty ?? undefined,
    frequencyPenalty: settings.frequency_penalty ?? undefined,
    seed: settings.seed ?? undefined,
    stopSequences:
      typeof settings.stop === "string" ? [settings.stop] : (settings.stop ?? undefined),
    reasoning: settings.reasoning_effort ?? undefined,
    responseFormat: toResponseFormat(settings),
    tools: toTools(settings, wire, ignored),
    toolChoice: toToolChoice(settings.tool_choice),
    providerOptions: toProviderOptions(settings, provider, ignored),
    // A compatible provider's images are in no part of the AI SDK's.
    ...(wire === "compatible" && { includeRawChunks: true }),
  };
}

function toTools(
  { tools }: CallSettings,
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
  choice: CallSettings["tool_choice"],
): LanguageModelV4CallOptions["toolChoice"] {
  if (choice === undefined || choice === null) return undefined;
  return typeof choice === "string"
    ? { type: choice }
    : { type: "tool", toolName: choice.function.name };
}

function toResponseFormat({
  response_format: format,
}: CallSettings): LanguageModelV4CallOptions["responseFormat"] {
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
  settings: CallSettings,
  provider: string,
  ignored: Set<string>,
): SharedV4ProviderOptions | undefined {
  const fields = defined({
    parallel_tool_calls: settings.parallel_tool_calls,
    user: settings.user,
    safety_identifier: settings.safety_identifier,
    prompt_cache_key: settings.prompt_cache_key,
    metadata: settings.metadata,
    verbosity: settings.verbosity,
    reasoning_summary: settings.reasoning_summary,
    truncation: settings.truncation,
    // OpenAI's default is false, the AI SDK's is true.
    strict:
      settings.response_format?.type === "json_schema"
        ? (settings.response_format.json_schema.strict ?? false)
        : undefined,
  });
  const options: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(fields)) {
    const option = OPTIONS[wireOf(provider)][field];
    if (option) Object.assign(options, option(value));
    else if (!AS_IT_IS.has(field)) ignored.add(field);
  }
  if (Object.keys(options).length === 0) return undefined;
  return { [optionsKey(provider)]: options } as SharedV4ProviderOptions;
}

/** Claude and Gemini hold to a schema in any case, and whoever shows reasoning shows it as it comes. */
const AS_IT_IS = new Set(["strict", "reasoning_summary"]);

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
    reasoning_summary: (value) => ({ reasoningSummary: value === "none" ? null : value }),
    truncation: (value) => ({ truncation: value }),
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
