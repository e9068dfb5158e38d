// POST /chat/completions as OpenAI defines it.
import * as z from "zod";
import { withoutNulls } from "../_shared/http/body.ts";
import { label } from "../_shared/http/label.ts";
import { perEnv } from "../_shared/runtime/env.ts";

/** Where a provider may keep the prompt up to here, as Anthropic's and OpenRouter's clients ask for it. */
const cacheControl = z
  .strictObject({ type: z.literal("ephemeral"), ttl: z.enum(["5m", "1h"]).nullish() })
  .nullish();
export type CacheControl = z.output<typeof cacheControl>;

const textPart = z.strictObject({
  type: z.literal("text"),
  text: z.string(),
  cache_control: cacheControl,
});
export type TextPart = z.output<typeof textPart>;

const imagePart = z.strictObject({
  type: z.literal("image_url"),
  image_url: z.strictObject({
    url: z.string(),
    detail: z.enum(["auto", "low", "high"]).nullish(),
  }),
  cache_control: cacheControl,
});
const filePart = z.strictObject({
  type: z.literal("file"),
  file: z.strictObject({ filename: z.string().nullish(), file_data: z.string() }),
  cache_control: cacheControl,
});
const userPart = z.discriminatedUnion("type", [textPart, imagePart, filePart]);
export type UserPart = z.output<typeof userPart>;

const refusalPart = z.strictObject({ type: z.literal("refusal"), refusal: z.string() });
const assistantPart = z.discriminatedUnion("type", [textPart, refusalPart]);

const texts = z.union([z.string(), z.array(textPart).min(1)]);

const toolCall = z.strictObject({
  id: z.string().min(1),
  type: z.literal("function"),
  function: z.strictObject({
    name: z.string().min(1),
    arguments: z.string(),
    // Put there by OpenAI's SDK when it parses an answer.
    parsed_arguments: z.unknown().optional(),
  }),
  index: z.int().nullish(),
});

/** What an answer has that is sent back in the history as it came, and says nothing to a model. */
const ofAnAnswer = {
  annotations: z.array(z.unknown()).nullish(),
  audio: z.null().optional(),
  function_call: z.null().optional(),
  parsed: z.unknown().optional(),
};

const name = z.string().nullish();
const message = z.discriminatedUnion("role", [
  z.strictObject({ role: z.literal("system"), content: texts, name }),
  z.strictObject({ role: z.literal("developer"), content: texts, name }),
  z.strictObject({
    role: z.literal("user"),
    content: z.union([z.string(), z.array(userPart).min(1)]),
    name,
  }),
  z.strictObject({
    role: z.literal("assistant"),
    content: z.union([z.string(), z.array(assistantPart)]).nullish(),
    refusal: z.string().nullish(),
    reasoning_content: z.string().nullish(),
    images: z.array(imagePart.extend({ index: z.int().nullish() })).nullish(),
    tool_calls: z.array(toolCall).nullish(),
    name,
    ...ofAnAnswer,
  }),
  z.strictObject({
    role: z.literal("tool"),
    content: texts,
    tool_call_id: z.string().min(1),
    name,
  }),
]);
export type Message = z.output<typeof message>;

/** A function that the model may call. */
export const functionFields = {
  name: z.string().regex(/^[\w-]{1,64}$/, "1 to 64 letters, digits, _ or -"),
  description: z.string().nullish(),
  parameters: z.record(z.string(), z.unknown()).nullish(),
  strict: z.boolean().nullish(),
};

/** The kind of a tool that both of OpenAI's formats for text take. */
export const functionType = z.literal("function", {
  error:
    "Hosted and custom tools are not served here: the cost of what runs elsewhere has no bound. Send functions.",
});

const tool = z.strictObject({
  type: functionType,
  function: z.strictObject(functionFields),
  cache_control: cacheControl,
});

export const toolChoiceMode = z.enum(["none", "auto", "required"]);

/** A schema that the answer keeps to. */
export const schemaFields = {
  name: z.string(),
  description: z.string().nullish(),
  schema: z.record(z.string(), z.unknown()).nullish(),
  strict: z.boolean().nullish(),
};

const responseFormat = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text") }),
  z.strictObject({ type: z.literal("json_object") }),
  z.strictObject({
    type: z.literal("json_schema"),
    json_schema: z.strictObject(schemaFields),
  }),
]);

export const NO_LOGPROBS = "Probabilities of tokens are not passed on here: leave it out.";

const count = z.int().min(1).nullish();
const number = (least: number, most: number) => z.number().min(least).max(most).nullish();

/** What both of OpenAI's formats for text have. */
export const commonFields = {
  model: label,
  stream: z.boolean().nullish(),
  temperature: number(0, 2),
  top_p: number(0, 1),
  parallel_tool_calls: z.boolean().nullish(),
  user: z.string().nullish(),
  safety_identifier: z.string().nullish(),
  prompt_cache_key: z.string().nullish(),
  metadata: z.record(z.string().max(64), z.string().max(512)).nullish(),
  // What asks for what is so anyway: an answer at the standard price, of which nothing is stored.
  service_tier: z.enum(["auto", "default"]).nullish(),
  store: z
    .literal(false, { error: "Nothing is stored here: send false, or leave it out." })
    .nullish(),
};
export const reasoningEffort = z
  .enum(["none", "minimal", "low", "medium", "high", "xhigh", "max"])
  .nullish();
export const verbosity = z.enum(["low", "medium", "high"]).nullish();

const request = perEnv((env) =>
  z.strictObject({
    ...commonFields,
    messages: z.array(message).min(1).max(env.maxMessages),
    stream_options: z
      .strictObject({
        include_usage: z.boolean().nullish(),
        include_obfuscation: z.boolean().nullish(),
      })
      .nullish(),
    max_tokens: count,
    max_completion_tokens: count,
    presence_penalty: number(-2, 2),
    frequency_penalty: number(-2, 2),
    seed: z.int().nullish(),
    stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
    tools: z.array(tool).max(128).nullish(),
    tool_choice: z
      .union([
        toolChoiceMode,
        z.strictObject({
          type: z.literal("function"),
          function: z.strictObject({ name: z.string() }),
        }),
      ])
      .nullish(),
    response_format: responseFormat.nullish(),
    reasoning_effort: reasoningEffort,
    verbosity,
    // Likewise: one answer, in text.
    n: z.literal(1, { error: "An answer has one choice here: send 1, and ask again." }).nullish(),
    logprobs: z.literal(false, { error: NO_LOGPROBS }).nullish(),
    modalities: z.tuple([z.literal("text")]).nullish(),
  }),
);

export const chatCompletionRequest = perEnv((env) => z.preprocess(withoutNulls, request(env)));
export type ChatCompletionRequest = z.output<ReturnType<typeof request>>;
