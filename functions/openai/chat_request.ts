// POST /chat/completions as OpenAI defines it, and the same as a call of the AI SDK.
import type {
  JSONSchema7,
  LanguageModelV4CallOptions,
  LanguageModelV4Prompt,
} from "@ai-sdk/provider";
import { z } from "zod";
import { perEnv } from "../_shared/env.ts";
import { invalidRequest } from "../_shared/http.ts";

const textPart = z.object({ type: z.literal("text"), text: z.string() });
const imagePart = z.object({
  type: z.literal("image_url"),
  image_url: z.object({ url: z.string(), detail: z.enum(["auto", "low", "high"]).optional() }),
});
const filePart = z.object({
  type: z.literal("file"),
  file: z.strictObject({ filename: z.string().optional(), file_data: z.string() }),
});
const texts = z.union([z.string(), z.array(textPart).min(1)]);

const toolCall = z.object({
  id: z.string().min(1),
  type: z.literal("function"),
  function: z.object({ name: z.string().min(1), arguments: z.string() }),
});

const name = z.string().optional();
const message = z.discriminatedUnion("role", [
  z.object({ role: z.literal("system"), content: texts, name }),
  z.object({ role: z.literal("developer"), content: texts, name }),
  z.object({
    role: z.literal("user"),
    content: z.union([
      z.string(),
      z.array(z.discriminatedUnion("type", [textPart, imagePart, filePart])).min(1),
    ]),
    name,
  }),
  z.object({
    role: z.literal("assistant"),
    content: texts.nullish(),
    refusal: z.string().nullish(),
    tool_calls: z.array(toolCall).optional(),
    name,
  }),
  z.object({ role: z.literal("tool"), content: texts, tool_call_id: z.string().min(1) }),
]);

const tool = z.object({
  type: z.literal("function"),
  function: z.object({
    name: z.string().regex(/^[\w-]{1,64}$/, "1 to 64 letters, digits, _ or -"),
    description: z.string().optional(),
    parameters: z.record(z.string(), z.unknown()).optional(),
    strict: z.boolean().nullish(),
  }),
});

const responseFormat = z.discriminatedUnion("type", [
  z.object({ type: z.literal("text") }),
  z.object({ type: z.literal("json_object") }),
  z.object({
    type: z.literal("json_schema"),
    json_schema: z.object({
      name: z.string(),
      description: z.string().optional(),
      schema: z.record(z.string(), z.unknown()).optional(),
      strict: z.boolean().nullish(),
    }),
  }),
]);

const count = z.int().min(1).nullish();
const number = (least: number, most: number) => z.number().min(least).max(most).nullish();

export const chatCompletionRequest = perEnv((env) =>
  z.strictObject({
    model: z.string().min(1).max(200),
    messages: z.array(message).min(1).max(env.maxMessages),
    stream: z.boolean().nullish(),
    stream_options: z
      .object({
        include_usage: z.boolean().optional(),
        include_obfuscation: z.boolean().optional(),
      })
      .nullish(),
    max_tokens: count,
    max_completion_tokens: count,
    temperature: number(0, 2),
    top_p: number(0, 1),
    presence_penalty: number(-2, 2),
    frequency_penalty: number(-2, 2),
    seed: z.int().nullish(),
    stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
    tools: z.array(tool).max(128).optional(),
    tool_choice: z
      .union([
        z.enum(["none", "auto", "required"]),
        z.object({ type: z.literal("function"), function: z.object({ name: z.string() }) }),
      ])
      .optional(),
    parallel_tool_calls: z.boolean().optional(),
    response_format: responseFormat.optional(),
    reasoning_effort: z
      .enum(["none", "minimal", "low", "medium", "high", "xhigh", "max"])
      .nullish(),
    // Asks for one answer at the standard price; other tiers, and more answers, cost otherwise.
    n: z.literal(1).nullish(),
    service_tier: z.enum(["auto", "default"]).nullish(),
    // Of no effect here, and of none on the answer: nothing is stored, whoever pays is in the token.
    store: z.literal(false).nullish(),
    user: z.string().nullish(),
    safety_identifier: z.string().nullish(),
    prompt_cache_key: z.string().nullish(),
    metadata: z.record(z.string(), z.string()).nullish(),
  }),
);
export type ChatCompletionRequest = z.output<ReturnType<typeof chatCompletionRequest>>;

/** @throws SpendgateError invalid_request for a message that no model could be sent. */
export function toCallOptions(body: ChatCompletionRequest): LanguageModelV4CallOptions {
  return {
    prompt: toPrompt(body.messages),
    maxOutputTokens: body.max_completion_tokens ?? body.max_tokens ?? undefined,
    temperature: body.temperature ?? undefined,
    topP: body.top_p ?? undefined,
    presencePenalty: body.presence_penalty ?? undefined,
    frequencyPenalty: body.frequency_penalty ?? undefined,
    seed: body.seed ?? undefined,
    stopSequences: typeof body.stop === "string" ? [body.stop] : (body.stop ?? undefined),
    reasoning: body.reasoning_effort ?? undefined,
    responseFormat: toResponseFormat(body),
    tools: body.tools?.map(({ function: { name, description, parameters, strict } }) => ({
      type: "function" as const,
      name,
      description,
      inputSchema: (parameters ?? { type: "object", properties: {} }) as JSONSchema7,
      ...(typeof strict === "boolean" && { strict }),
    })),
    toolChoice: toToolChoice(body.tool_choice),
    ...(body.parallel_tool_calls !== undefined && {
      providerOptions: {
        openai: { parallelToolCalls: body.parallel_tool_calls },
        anthropic: { disableParallelToolUse: !body.parallel_tool_calls },
      },
    }),
  };
}

function toToolChoice(
  choice: ChatCompletionRequest["tool_choice"],
): LanguageModelV4CallOptions["toolChoice"] {
  if (choice === undefined) return undefined;
  return typeof choice === "string"
    ? { type: choice }
    : { type: "tool", toolName: choice.function.name };
}

function toResponseFormat({
  response_format: format,
}: ChatCompletionRequest): LanguageModelV4CallOptions["responseFormat"] {
  if (format === undefined || format.type === "text") return undefined;
  if (format.type === "json_object") return { type: "json" };
  const { name, description, schema } = format.json_schema;
  return { type: "json", name, description, schema: schema as JSONSchema7 | undefined };
}

function toPrompt(messages: ChatCompletionRequest["messages"]): LanguageModelV4Prompt {
  // A tool's answer names its call by id alone; the prompt wants the tool's name too.
  const toolNames = new Map(
    messages.flatMap((each) =>
      each.role === "assistant"
        ? (each.tool_calls ?? []).map((call) => [call.id, call.function.name] as const)
        : [],
    ),
  );
  return messages.map((each, index) => toPromptMessage(each, toolNames, `messages.${index}`));
}

function toPromptMessage(
  message: ChatCompletionRequest["messages"][number],
  toolNames: Map<string, string>,
  path: string,
): LanguageModelV4Prompt[number] {
  switch (message.role) {
    case "system":
    case "developer":
      return { role: "system", content: textOf(message.content) };
    case "user":
      return {
        role: "user",
        content:
          typeof message.content === "string"
            ? [{ type: "text", text: message.content }]
            : message.content.map((part) => toPart(part, path)),
      };
    case "assistant": {
      const text = textOf(message.content ?? message.refusal ?? "");
      const calls = (message.tool_calls ?? []).map((call) => ({
        type: "tool-call" as const,
        toolCallId: call.id,
        toolName: call.function.name,
        input: parseArguments(call.function.arguments, path),
      }));
      return {
        role: "assistant",
        content: [...(text === "" ? [] : [{ type: "text" as const, text }]), ...calls],
      };
    }
    case "tool": {
      const toolName = toolNames.get(message.tool_call_id);
      if (toolName === undefined) throw invalid(path, "No tool call has this tool_call_id.");
      const output = { type: "text" as const, value: textOf(message.content) };
      return {
        role: "tool",
        content: [{ type: "tool-result", toolCallId: message.tool_call_id, toolName, output }],
      };
    }
  }
}

type UserPart = z.output<typeof textPart> | z.output<typeof imagePart> | z.output<typeof filePart>;

function toPart(part: UserPart, path: string) {
  if (part.type === "text") return { type: "text" as const, text: part.text };
  if (part.type === "file") {
    return { ...dataPart(part.file.file_data, path), filename: part.file.filename };
  }
  const { url, detail } = part.image_url;
  if (url.startsWith("data:")) return dataPart(url, path);
  if (!URL.canParse(url) || new URL(url).protocol !== "https:") {
    throw invalid(path, "Send an image as a data: URL or by an https: URL.");
  }
  return {
    type: "file" as const,
    mediaType: "image/*",
    data: { type: "url" as const, url: new URL(url) },
    ...(detail && { providerOptions: { openai: { imageDetail: detail } } }),
  };
}

function dataPart(url: string, path: string) {
  const [, mediaType, data] = /^data:([\w.+-]+\/[\w.+-]+);base64,([\w+/=]*)$/.exec(url) ?? [];
  if (!mediaType || data === undefined)
    throw invalid(path, "Send files as data:<type>;base64,… URLs.");
  return { type: "file" as const, mediaType, data: { type: "data" as const, data } };
}

function textOf(content: string | { text: string }[]): string {
  return typeof content === "string" ? content : content.map(({ text }) => text).join("");
}

function parseArguments(json: string, path: string): unknown {
  try {
    return JSON.parse(json === "" ? "{}" : json);
  } catch {
    throw invalid(path, "The arguments of a tool call are not JSON.");
  }
}

function invalid(path: string, message: string) {
  return invalidRequest([{ path, message }]);
}
