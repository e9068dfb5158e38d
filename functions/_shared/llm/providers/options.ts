// What may reach a provider beside the prompt and the settings that every model has. A list of what is allowed, by
// provider: an option that is not on it could change the price of a call, or put into it what its bound does not count.
import type { LanguageModelV4CallOptions } from "@ai-sdk/provider";
import * as z from "zod";
import { invalidRequest } from "../../errors.ts";

/** As the AI SDK has them at every level: a provider's name, and under it the options of that provider. */
export type ProviderOptions = NonNullable<LanguageModelV4CallOptions["providerOptions"]>;
/** Names of options, each with the values that it may have. */
type Rules = Record<string, z.ZodType>;
type Options = ProviderOptions[string];

const text = z.string();
const flag = z.boolean();
const effort = z.string().max(20);
/** OpenAI's and Anthropic's caches of prompts, written where the bound counts on it: see cacheWriteBound. */
const cacheControl = z.strictObject({
  type: z.literal("ephemeral"),
  ttl: z.enum(["5m", "1h"]).optional(),
});
const logprobs = z.union([flag, z.number()]);

/** Betas of Anthropic's that change how Claude answers, and neither what bounds a call nor its price. */
export const ANTHROPIC_BETAS = [
  "context-1m-2025-08-07",
  "fine-grained-tool-streaming-2025-05-14",
  "interleaved-thinking-2025-05-14",
  "output-128k-2025-02-19",
  "token-efficient-tools-2025-02-19",
] as const;

/** What makes a prompt shorter. A summary of it, which compaction makes, is counted beside the answer. */
const contextManagement = z.strictObject({
  edits: z.array(
    z.looseObject({ type: z.enum(["clear_tool_uses_20250919", "clear_thinking_20251015"]) }),
  ),
});

/** Options of a call, by provider. */
const CALL: Record<string, Rules> = {
  openai: {
    allowedTools: z.strictObject({ toolNames: z.array(text), mode: text.optional() }),
    forceReasoning: flag,
    include: z.array(z.literal("reasoning.encrypted_content")),
    logitBias: z.record(text, z.number()),
    logprobs,
    // Each search is paid for: this is how many there can be.
    maxToolCalls: z.int().min(1).max(100),
    metadata: z.record(text, text),
    parallelToolCalls: flag,
    promptCacheKey: text,
    reasoningEffort: effort,
    // Null asks for none: without it, the AI SDK asks for one with every effort.
    reasoningSummary: text.nullable(),
    safetyIdentifier: text,
    // The account's own default may be another tier.
    serviceTier: z.literal("default"),
    store: z.literal(false),
    strictJsonSchema: flag,
    systemMessageMode: z.enum(["system", "developer", "remove"]),
    textVerbosity: text,
    truncation: z.enum(["auto", "disabled"]),
    user: text,
  },
  anthropic: {
    anthropicBeta: z.array(z.enum(ANTHROPIC_BETAS)),
    cacheControl,
    contextManagement,
    disableParallelToolUse: flag,
    effort,
    metadata: z.strictObject({ userId: text.optional() }),
    sendReasoning: flag,
    serviceTier: z.literal("standard_only"),
    speed: z.literal("standard"),
    structuredOutputMode: text,
    thinking: z.strictObject({
      type: z.enum(["adaptive", "enabled", "disabled", "between_tools"]),
      budgetTokens: z.number().optional(),
      display: text.optional(),
    }),
    toolStreaming: flag,
  },
  google: {
    imageConfig: z.strictObject({ aspectRatio: text }),
    mediaResolution: text,
    responseModalities: z.array(z.enum(["TEXT", "IMAGE"])),
    safetySettings: z.array(z.strictObject({ category: text, threshold: text })),
    serviceTier: z.literal("standard"),
    structuredOutputs: flag,
    thinkingConfig: z.strictObject({
      thinkingBudget: z.number().optional(),
      includeThoughts: flag.optional(),
      thinkingLevel: text.optional(),
    }),
    threshold: text,
  },
};

/** Of OpenAI-compatible providers. What the AI SDK does not know goes into the body as it is written here. */
const COMPATIBLE_CALL: Rules = {
  enable_thinking: flag,
  include_reasoning: flag,
  logit_bias: z.record(text, z.number()),
  logprobs: flag,
  min_p: z.number(),
  parallel_tool_calls: flag,
  metadata: z.record(text, text),
  prompt_cache_key: text,
  reasoningEffort: effort,
  reasoning_effort: effort,
  reasoning_format: text,
  repetition_penalty: z.number(),
  safety_identifier: text,
  strictJsonSchema: flag,
  textVerbosity: text,
  thinking: z.strictObject({ type: z.enum(["enabled", "disabled"]) }),
  top_k: z.number(),
  top_logprobs: z.number(),
  user: text,
  verbosity: text,
};

/** Options of messages and their parts: how they are sent, and what a provider wants back of its own answers. */
const PROMPT: Record<string, Rules> = {
  openai: {
    imageDetail: z.enum(["auto", "low", "high"]),
    name: text.max(64),
    phase: z.enum(["commentary", "final_answer"]),
    reasoningEncryptedContent: text,
  },
  anthropic: {
    cacheControl,
    cache_control: cacheControl,
    context: text,
    redactedData: text,
    signature: text,
    title: text,
  },
  google: { thoughtSignature: text },
};

/** These are written into the message or part itself: nothing here may stand in the place of what it says. */
const COMPATIBLE_PROMPT: Rules = {
  cache_control: z.strictObject({ type: z.literal("ephemeral"), ttl: z.literal("5m").optional() }),
  name: text.max(64),
};

const TOOL: Record<string, Rules> = {
  anthropic: { cacheControl, cache_control: cacheControl, eagerInputStreaming: flag },
};

/** Options of a call of an embedding model. */
const EMBEDDING: Record<string, Rules> = {
  openai: { dimensions: z.int(), user: text },
  google: { outputDimensionality: z.int(), taskType: text },
};
const COMPATIBLE_EMBEDDING: Rules = { dimensions: z.int(), user: text };

const BUILT_IN = ["openai", "anthropic", "google"];
/** Headers that name who calls, and change nothing else. */
const HEADERS = ["user-agent", "http-referer", "x-title", "traceparent", "x-client-request-id"];

/**
 * The options of a call that `provider` is sent. Those of the built-in providers are looked at whoever is called, so
 * that a mistake is not found by the first fallback.
 * @throws SpendgateError invalid_request that names an option which is not allowed.
 */
export function callOptions(
  given: ProviderOptions | undefined,
  provider: string,
): ProviderOptions | undefined {
  return refuseOthers(given, provider, CALL, COMPATIBLE_CALL);
}

/**
 * The same for an embedding model.
 * @throws SpendgateError invalid_request that names an option which is not allowed.
 */
export function embeddingOptions(
  given: ProviderOptions | undefined,
  provider: string,
): ProviderOptions | undefined {
  return refuseOthers(given, provider, EMBEDDING, COMPATIBLE_EMBEDDING);
}

/**
 * Options of a message or part that only a caller writes.
 * @throws SpendgateError invalid_request that names an option which is not allowed.
 */
export function writtenOptions(
  given: ProviderOptions | undefined,
  provider: string,
): ProviderOptions | undefined {
  return refuseOthers(given, provider, PROMPT, COMPATIBLE_PROMPT);
}

/**
 * Options of a tool.
 * @throws SpendgateError invalid_request that names an option which is not allowed.
 */
export function toolOptions(
  given: ProviderOptions | undefined,
  provider: string,
): ProviderOptions | undefined {
  return refuseOthers(given, provider, TOOL, {});
}

/**
 * Of what a provider said of a part, and gets back with the next call, what it needs to go on without having kept
 * anything. The rest (ids of what it keeps, who executed a tool) is left out, not refused: nobody wrote it by hand.
 */
export function returnedOptions(
  given: ProviderOptions | undefined,
  provider: string,
): ProviderOptions | undefined {
  return choose(given, provider, PROMPT, COMPATIBLE_PROMPT, (rules, options) =>
    keep(rules, options),
  );
}

/** What a browser may say of a part, whichever model it is for: see `returnedOptions`. */
export function browserOptions(given: ProviderOptions | undefined): ProviderOptions | undefined {
  const kept: ProviderOptions = {};
  for (const [name, options] of Object.entries(given ?? {})) {
    if (typeof options !== "object" || options === null) continue;
    const rules = Object.hasOwn(PROMPT, name) ? PROMPT[name] : undefined;
    // The signatures that a compatible provider gives are under its own name; so is the id of OpenAI's reasoning,
    // which says what parts are one, and goes no further.
    const chosen = keep(
      rules ? { ...rules, ...(name === "openai" && { itemId: text }) } : SIGNATURES,
      options,
    );
    if (Object.keys(chosen).length > 0) kept[name] = chosen;
  }
  return Object.keys(kept).length > 0 ? kept : undefined;
}

const SIGNATURES: Rules = { ...COMPATIBLE_PROMPT, thoughtSignature: text };

/** @throws SpendgateError invalid_request that names a header which could change what is called, and at what price. */
export function checkHeaders(headers: LanguageModelV4CallOptions["headers"]): void {
  for (const [name, value] of Object.entries(headers ?? {})) {
    if (value !== undefined && !HEADERS.includes(name.toLowerCase()))
      throw refused(`headers.${name}`);
  }
}

function refuseOthers(
  given: ProviderOptions | undefined,
  provider: string,
  builtIn: Record<string, Rules>,
  compatible: Rules,
): ProviderOptions | undefined {
  return choose(given, provider, builtIn, compatible, (rules, options, name) => {
    for (const [option, value] of Object.entries(options)) {
      if (value !== undefined && value !== null && !fits(rules, option, value)) {
        throw refused(`providerOptions.${name}.${option}`);
      }
    }
    return keep(rules, options);
  });
}

/** Applies the rules to each name under which the options of a provider may stand. */
function choose(
  given: ProviderOptions | undefined,
  provider: string,
  builtIn: Record<string, Rules>,
  compatible: Rules,
  apply: (rules: Rules, options: Options, name: string) => Options,
): ProviderOptions | undefined {
  if (!given) return undefined;
  const chosen: ProviderOptions = {};
  for (const name of BUILT_IN) {
    const options = own(given, name);
    if (options) chosen[name] = apply(builtIn[name] ?? {}, options, name);
  }
  if (BUILT_IN.includes(provider)) return chosen[provider] && { [provider]: chosen[provider] };
  const merged: Options = {};
  let signature = chosen.google?.thoughtSignature;
  for (const name of compatibleNames(provider)) {
    const options = own(given, name);
    if (!options) continue;
    // The provider's own name is where it says its signatures, and where the AI SDK looks for them last.
    if (builtIn === PROMPT && typeof options.thoughtSignature === "string") {
      signature = options.thoughtSignature;
    }
    const { thoughtSignature: _, ...others } = options;
    Object.assign(merged, apply(compatible, builtIn === PROMPT ? others : options, name));
  }
  const target = builtIn === PROMPT ? "openaiCompatible" : provider;
  const result: ProviderOptions = {
    ...(Object.keys(merged).length > 0 && { [target]: merged }),
    ...(signature !== undefined && { google: { thoughtSignature: signature } }),
  };
  return Object.keys(result).length > 0 ? result : undefined;
}

/** All spellings under which the AI SDK reads the options of a compatible provider; the last one wins. */
function compatibleNames(provider: string): Set<string> {
  const camelCase = provider.replace(/[_-]([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return new Set(["openai-compatible", "openaiCompatible", provider, camelCase]);
}

function own(given: ProviderOptions, name: string): Options | undefined {
  const options = Object.hasOwn(given, name) ? given[name] : undefined;
  return typeof options === "object" && options !== null ? options : undefined;
}

function keep(rules: Rules, options: Options): Options {
  return Object.fromEntries(
    Object.entries(options).filter(([option, value]) => fits(rules, option, value)),
  );
}

function fits(rules: Rules, option: string, value: unknown): boolean {
  const rule = Object.hasOwn(rules, option) ? rules[option] : undefined;
  return rule?.safeParse(value).success ?? false;
}

function refused(path: string) {
  return invalidRequest([
    {
      path,
      message:
        "This option, or this value of it, is not allowed: it could change what the call costs beyond what is held.",
    },
  ]);
}
