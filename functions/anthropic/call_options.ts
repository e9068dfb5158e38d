// A message's request as a call of the AI SDK, with each provider's own names for what it takes.
import type {
  JSONSchema7,
  LanguageModelV4CallOptions,
  SharedV4ProviderOptions,
} from "@ai-sdk/provider";
import { invalidRequest } from "../_shared/errors.ts";
import { optionsKey, type Wire, wireOf } from "../_shared/llm/wire.ts";
import { type Betas, readBetas } from "./betas.ts";
import type {
  CountRequest,
  CustomTool,
  KnownTool,
  MessageRequest,
  Tool,
} from "./message_request.ts";
import { toPrompt } from "./prompt.ts";

export interface Call {
  options: LanguageModelV4CallOptions;
  /** What this provider has no place for; the answer names it. */
  ignored: Set<string>;
}

/** @throws SpendgateError invalid_request for what no model of this provider could be sent. */
export function toCall(
  asked: MessageRequest | (CountRequest & Partial<MessageRequest>),
  provider: string,
  headers: Headers,
): Call {
  const ignored = new Set<string>();
  const wire = wireOf(provider);
  const betas = readBetas(headers, wire);
  for (const beta of betas.ignored) ignored.add(beta);
  const body = wire === "anthropic" ? withoutRefusedBudget(asked, ignored) : asked;
  const { thinking } = body;
  // The AI SDK passes it on for thinking that adapts alone.
  const isShown = wire === "anthropic" && thinking?.type === "adaptive";
  if (thinking && "display" in thinking && thinking.display && !isShown) {
    ignored.add("thinking.display");
  }
  return {
    options: {
      prompt: toPrompt(body, provider, ignored),
      maxOutputTokens: maxOutputTokens(body, wire),
      temperature: body.temperature ?? undefined,
      topP: body.top_p ?? undefined,
      topK: body.top_k ?? undefined,
      stopSequences: body.stop_sequences ?? undefined,
      reasoning: wire === "anthropic" ? undefined : toReasoning(body, ignored),
      responseFormat: toResponseFormat(body),
      tools: body.tools?.map((tool, index) => toTool(tool, `tools.${index}`, wire, ignored)),
      toolChoice: toToolChoice(body.tool_choice),
      providerOptions: toProviderOptions(body, provider, betas, ignored),
      // A compatible provider's images are in no part of the AI SDK's.
      ...(wire === "compatible" && { includeRawChunks: true }),
    },
    ignored,
  };
}

/** Claude that decides itself how long to think: the AI SDK makes `adaptive` of a budget (a test compares the names). */
export const TAKES_NO_BUDGET = /claude-(?:(?:opus|sonnet|haiku)-5-5|fable-5)/;

function withoutRefusedBudget<T extends CountRequest>(body: T, ignored: Set<string>): T {
  if (body.thinking?.type !== "enabled" || !TAKES_NO_BUDGET.test(body.model)) return body;
  ignored.add("thinking.budget_tokens");
  return { ...body, thinking: { type: "adaptive" } };
}

/** Anthropic's limit is one for thinking and answer; the AI SDK adds a budget to what it is given. */
function maxOutputTokens({ max_tokens, thinking }: Partial<MessageRequest>, wire: Wire) {
  if (max_tokens === undefined || wire !== "anthropic" || thinking?.type !== "enabled") {
    return max_tokens;
  }
  return max_tokens - thinking.budget_tokens;
}

/** How hard a model of another provider is to think. Most of them cannot be told not to. */
function toReasoning(
  { thinking, output_config: output }: CountRequest,
  ignored: Set<string>,
): LanguageModelV4CallOptions["reasoning"] {
  const effort = output?.effort;
  if (effort)
    return (effort === "max" ? "xhigh" : effort) as LanguageModelV4CallOptions["reasoning"];
  switch (thinking?.type) {
    case "enabled":
      return effortOf(thinking.budget_tokens);
    case "adaptive":
      return "medium";
    case "disabled":
    case "between_tools":
      ignored.add("thinking");
  }
  return undefined;
}

function effortOf(budgetTokens: number): "low" | "medium" | "high" {
  if (budgetTokens <= 4096) return "low";
  return budgetTokens <= 16_384 ? "medium" : "high";
}

function toResponseFormat({
  output_config: output,
  output_format,
}: CountRequest): LanguageModelV4CallOptions["responseFormat"] {
  const format = output?.format ?? output_format;
  return format ? { type: "json", schema: format.schema as JSONSchema7 } : undefined;
}

type CallTool = NonNullable<LanguageModelV4CallOptions["tools"]>[number];

function toTool(tool: Tool, path: string, wire: Wire, ignored: Set<string>): CallTool {
  return "input_schema" in tool
    ? toFunction(tool, wire, ignored)
    : toKnownTool(tool, path, wire, ignored);
}

function toFunction(tool: CustomTool, wire: Wire, ignored: Set<string>): CallTool {
  const { name, description, input_schema, input_examples, strict } = tool;
  const options = {
    ...(tool.cache_control && { cacheControl: keptFor(tool.cache_control) }),
    ...(tool.eager_input_streaming && { eagerInputStreaming: true }),
  };
  if (wire !== "anthropic" && tool.cache_control) ignored.add("tools.cache_control");
  return {
    type: "function",
    name,
    description: description ?? undefined,
    inputSchema: input_schema as JSONSchema7,
    ...(input_examples?.length && {
      inputExamples: input_examples.map((input) => ({ input: input as never })),
    }),
    ...(typeof strict === "boolean" && { strict }),
    ...(wire === "anthropic" &&
      Object.keys(options).length > 0 && { providerOptions: { anthropic: options } }),
  };
}

/** @throws SpendgateError invalid_request where the model does not know the tool. */
function toKnownTool(tool: KnownTool, path: string, wire: Wire, ignored: Set<string>): CallTool {
  const { type, name, cache_control, allowed_callers: _, defer_loading: __, ...args } = tool;
  if (wire !== "anthropic") {
    const message = "Only Claude knows this tool: send it with its input_schema.";
    throw invalidRequest([{ path: `${path}.type`, message }]);
  }
  // The AI SDK has no place for it.
  if (cache_control) ignored.add("tools.cache_control");
  return {
    type: "provider",
    id: `anthropic.${type}`,
    name,
    args: Object.fromEntries(
      Object.entries(args).flatMap(([field, value]) =>
        value == null ? [] : [[camelCase(field), value]],
      ),
    ),
  };
}

function keptFor({ type, ttl }: NonNullable<CustomTool["cache_control"]>) {
  return { type, ...(ttl && { ttl }) };
}

function toToolChoice(
  choice: CountRequest["tool_choice"],
): LanguageModelV4CallOptions["toolChoice"] {
  switch (choice?.type) {
    case "any":
      return { type: "required" };
    case "tool":
      return { type: "tool", toolName: choice.name };
    case "auto":
    case "none":
      return { type: choice.type };
  }
  return undefined;
}

/** What the AI SDK has no field of its own for. */
function toProviderOptions(
  body: CountRequest & Partial<MessageRequest>,
  provider: string,
  betas: Betas,
  ignored: Set<string>,
): SharedV4ProviderOptions | undefined {
  const wire = wireOf(provider);
  if (wire === "anthropic") return { anthropic: anthropicOptions(body, betas) };
  for (const field of ["cache_control", "context_management"] as const) {
    if (body[field]) ignored.add(field);
  }
  const options = otherOptions(body, wire, ignored);
  if (Object.keys(options).length === 0) return undefined;
  return { [optionsKey(provider)]: options } as SharedV4ProviderOptions;
}

function anthropicOptions(body: CountRequest & Partial<MessageRequest>, betas: Betas) {
  const { cache_control, context_management, metadata, output_config, service_tier, thinking } =
    body;
  return {
    // As the client says, tool by tool: what is sent is the same whether or not it is streamed.
    toolStreaming: false,
    structuredOutputMode: "outputFormat",
    ...(betas.sent.length > 0 && { anthropicBeta: betas.sent }),
    ...(thinking && { thinking: withoutEmpty(camelCased(thinking)) }),
    ...(output_config?.effort && { effort: output_config.effort }),
    ...(isSingle(body) !== undefined && { disableParallelToolUse: isSingle(body) }),
    ...(metadata?.user_id && { metadata: { userId: metadata.user_id } }),
    ...(service_tier === "standard_only" && { serviceTier: service_tier }),
    ...(cache_control && { cacheControl: keptFor(cache_control) }),
    ...(context_management && {
      contextManagement: {
        edits: context_management.edits.map((edit) => withoutEmpty(camelCased(edit))),
      },
    }),
  } as SharedV4ProviderOptions[string];
}

/** OpenAI's limit for the name of a user. */
const LONGEST_USER = 64;

function otherOptions(
  body: CountRequest & Partial<MessageRequest>,
  wire: Wire,
  ignored: Set<string>,
): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  const user = body.metadata?.user_id;
  if (user && wire !== "google" && user.length <= LONGEST_USER) options.user = user;
  else if (user) ignored.add("metadata.user_id");
  const single = isSingle(body);
  if (single !== undefined) {
    if (wire === "openai") options.parallelToolCalls = !single;
    else if (wire === "compatible") options.parallel_tool_calls = !single;
    else ignored.add("tool_choice.disable_parallel_tool_use");
  }
  // Anthropic's schemas may have optional fields, which OpenAI's strict ones may not.
  if (toResponseFormat(body) && wire !== "google") options.strictJsonSchema = false;
  return options;
}

function isSingle({ tool_choice: choice }: CountRequest): boolean | undefined {
  if (!choice || choice.type === "none") return undefined;
  return choice.disable_parallel_tool_use ?? undefined;
}

function camelCase(field: string): string {
  return field.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function camelCased(fields: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([field, value]) => [camelCase(field), value]),
  );
}

function withoutEmpty(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && value !== null),
  );
}
