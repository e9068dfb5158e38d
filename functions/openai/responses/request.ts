// POST /responses as OpenAI defines it.
import * as z from "zod";
import { withoutNulls } from "../../_shared/http/body.ts";
import { perEnv } from "../../_shared/runtime/env.ts";
import {
  commonFields,
  functionFields,
  functionType,
  NO_LOGPROBS,
  reasoningEffort,
  schemaFields,
  toolChoiceMode,
  verbosity,
} from "../chat_request.ts";

const NOT_STORED = "Nothing is stored here: send the whole conversation in `input`";

const inputText = z.strictObject({ type: z.literal("input_text"), text: z.string() });
const noId = z
  .null({ error: "Files are not kept here: send it as data, or by its address." })
  .optional();
const inputImage = z.strictObject({
  type: z.literal("input_image"),
  image_url: z.string(),
  detail: z.enum(["auto", "low", "high"]).nullish(),
  file_id: noId,
});
const inputFile = z.strictObject({
  type: z.literal("input_file"),
  filename: z.string().nullish(),
  file_data: z.string().nullish(),
  file_url: z.string().nullish(),
  file_id: noId,
});
const inputPart = z.discriminatedUnion("type", [inputText, inputImage, inputFile]);
export type InputPart = z.output<typeof inputPart>;

/** What an answer has that comes back in the history, and says nothing to a model. */
const ofAnAnswer = { id: z.string().nullish(), status: z.string().nullish() };

const outputPart = z.discriminatedUnion("type", [
  inputText,
  z.strictObject({
    type: z.literal("output_text"),
    text: z.string(),
    annotations: z.array(z.unknown()).nullish(),
    logprobs: z.array(z.unknown()).nullish(),
    // Put there by OpenAI's SDK when it parses an answer.
    parsed: z.unknown().optional(),
  }),
  z.strictObject({ type: z.literal("refusal"), refusal: z.string() }),
]);

const texts = z.union([z.string(), z.array(inputText).min(1)]);
const messageType = { type: z.literal("message") };
const message = z.discriminatedUnion("role", [
  z.strictObject({ ...messageType, ...ofAnAnswer, role: z.literal("system"), content: texts }),
  z.strictObject({ ...messageType, ...ofAnAnswer, role: z.literal("developer"), content: texts }),
  z.strictObject({
    ...messageType,
    ...ofAnAnswer,
    role: z.literal("user"),
    content: z.union([z.string(), z.array(inputPart).min(1)]),
  }),
  z.strictObject({
    ...messageType,
    ...ofAnAnswer,
    role: z.literal("assistant"),
    content: z.union([z.string(), z.array(outputPart)]),
    phase: z.enum(["commentary", "final_answer"]).nullish(),
  }),
]);

const item = z.discriminatedUnion("type", [
  message,
  z.strictObject({
    ...ofAnAnswer,
    type: z.literal("function_call"),
    call_id: z.string().min(1),
    name: z.string().min(1),
    arguments: z.string(),
    parsed_arguments: z.unknown().optional(),
  }),
  z.strictObject({
    ...ofAnAnswer,
    type: z.literal("function_call_output"),
    call_id: z.string().min(1),
    output: z.union([z.string(), z.array(inputPart)]),
  }),
  z.strictObject({
    ...ofAnAnswer,
    type: z.literal("reasoning"),
    summary: z.array(z.strictObject({ type: z.literal("summary_text"), text: z.string() })),
    content: z
      .array(z.strictObject({ type: z.literal("reasoning_text"), text: z.string() }))
      .nullish(),
    encrypted_content: z.string().nullish(),
  }),
  z.strictObject({
    ...ofAnAnswer,
    type: z.literal("image_generation_call"),
    result: z.string().nullish(),
  }),
  z.strictObject({ type: z.literal("item_reference"), id: z.string() }).refine(() => false, {
    error: `${NOT_STORED}, items too. In the AI SDK, set providerOptions.openai.store to false.`,
  }),
]);

/** A message need not say that it is one. */
const inputItem = z.preprocess(
  (value) =>
    typeof value === "object" && value !== null && !("type" in value)
      ? { type: "message", ...value }
      : value,
  item,
);
export type InputItem = z.output<typeof item>;
export type InputMessage = z.output<typeof message>;

const tool = z.strictObject({
  type: functionType,
  ...functionFields,
});

const textFormat = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text") }),
  z.strictObject({ type: z.literal("json_object") }),
  z.strictObject({ type: z.literal("json_schema"), ...schemaFields }),
]);

const refused = (error: string) => z.null({ error }).optional();

const request = perEnv((env) =>
  z.strictObject({
    ...commonFields,
    input: z.union([z.string(), z.array(inputItem).min(1).max(env.maxMessages)]),
    instructions: z.string().nullish(),
    stream_options: z.strictObject({ include_obfuscation: z.boolean().nullish() }).nullish(),
    max_output_tokens: z.int().min(1).nullish(),
    tools: z.array(tool).max(128).nullish(),
    tool_choice: z
      .union([toolChoiceMode, z.strictObject({ type: z.literal("function"), name: z.string() })])
      .nullish(),
    text: z.strictObject({ format: textFormat.nullish(), verbosity }).nullish(),
    reasoning: z
      .strictObject({
        effort: reasoningEffort,
        summary: z.enum(["auto", "concise", "detailed"]).nullish(),
      })
      .nullish(),
    include: z.array(z.literal("reasoning.encrypted_content")).nullish(),
    truncation: z.enum(["auto", "disabled"]).nullish(),
    top_logprobs: z.literal(0, { error: NO_LOGPROBS }).nullish(),
    background: z
      .literal(false, {
        error: "An answer is not kept here, so none can be made in the background.",
      })
      .nullish(),
    previous_response_id: refused(`${NOT_STORED}.`),
    conversation: refused(`${NOT_STORED}.`),
    prompt: refused(
      "Prompts are not stored here: send what it says in `instructions` and `input`.",
    ),
  }),
);

export const responseRequest = perEnv((env) => z.preprocess(withoutNulls, request(env)));
export type ResponseRequest = z.output<ReturnType<typeof request>>;
