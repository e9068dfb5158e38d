// POST /v1/messages as Anthropic defines it. What is not here is refused by its name.
import * as z from "zod";
import { withoutNulls } from "../_shared/http/body.ts";
import { label } from "../_shared/http/label.ts";
import { perEnv } from "../_shared/runtime/env.ts";

/** Where Anthropic may keep the prompt up to here. */
const cacheControl = z
  .strictObject({
    type: z.literal("ephemeral"),
    ttl: z.enum(["5m", "1h"]).nullish(),
    // Who shares what is kept: it changes no price, and is not passed on.
    scope: z.string().max(64).nullish(),
  })
  .nullish();
export type CacheControl = z.output<typeof cacheControl>;

/** What is sent back with an answer that had no citations. */
const noCitations = z.array(z.never()).nullish();

const textBlock = z.strictObject({
  type: z.literal("text"),
  text: z.string(),
  cache_control: cacheControl,
  citations: noCitations,
});
export type TextBlock = z.output<typeof textBlock>;

const base64 = z.string().regex(/^[A-Za-z0-9+/]+={0,2}$/, "Send base64.");
const address = z.url({ protocol: /^https$/, error: "Send an https: URL." });

const imageBlock = z.strictObject({
  type: z.literal("image"),
  source: z.discriminatedUnion("type", [
    z.strictObject({
      type: z.literal("base64"),
      media_type: z.enum(["image/jpeg", "image/png", "image/gif", "image/webp"]),
      data: base64,
    }),
    z.strictObject({ type: z.literal("url"), url: address }),
  ]),
  cache_control: cacheControl,
});
export type ImageBlock = z.output<typeof imageBlock>;

const documentBlock = z.strictObject({
  type: z.literal("document"),
  source: z.discriminatedUnion("type", [
    z.strictObject({
      type: z.literal("base64"),
      media_type: z.literal("application/pdf"),
      data: base64,
    }),
    z.strictObject({
      type: z.literal("text"),
      media_type: z.literal("text/plain"),
      data: z.string(),
    }),
    z.strictObject({ type: z.literal("url"), url: address }),
  ]),
  title: z.string().nullish(),
  context: z.string().nullish(),
  // Citations are tokens that the document's bytes do not bound.
  citations: z.strictObject({ enabled: z.literal(false) }).nullish(),
  cache_control: cacheControl,
});
export type DocumentBlock = z.output<typeof documentBlock>;

const toolResult = z.strictObject({
  type: z.literal("tool_result"),
  tool_use_id: z.string().min(1),
  content: z
    .union([
      z.string(),
      z.array(z.discriminatedUnion("type", [textBlock, imageBlock, documentBlock])),
    ])
    .nullish(),
  is_error: z.boolean().nullish(),
  cache_control: cacheControl,
  toolset_name: z.null().optional(),
});
export type ToolResult = z.output<typeof toolResult>;

const toolUse = z.strictObject({
  type: z.literal("tool_use"),
  id: z.string().min(1),
  name: z.string().min(1),
  input: z.unknown(),
  cache_control: cacheControl,
  caller: z.strictObject({ type: z.literal("direct") }).nullish(),
  toolset_name: z.null().optional(),
});

const userBlock = z.discriminatedUnion("type", [textBlock, imageBlock, documentBlock, toolResult]);
export type UserBlock = z.output<typeof userBlock>;

const assistantBlock = z.discriminatedUnion("type", [
  textBlock,
  z.strictObject({ type: z.literal("thinking"), thinking: z.string(), signature: z.string() }),
  z.strictObject({ type: z.literal("redacted_thinking"), data: z.string() }),
  toolUse,
  // What a model drew, as an answer of ours has it.
  imageBlock,
]);

const message = z.discriminatedUnion("role", [
  z.strictObject({
    role: z.literal("user"),
    content: z.union([z.string(), z.array(userBlock).min(1)]),
  }),
  z.strictObject({
    role: z.literal("assistant"),
    content: z.union([z.string(), z.array(assistantBlock)]),
  }),
  z.strictObject({
    role: z.literal("system"),
    content: z.union([z.string(), z.array(textBlock).min(1)]),
  }),
]);
export type Message = z.output<typeof message>;

const toolName = z.string().regex(/^[\w-]{1,128}$/, "1 to 128 letters, digits, _ or -");

/** What is so anyway: the model itself calls its tools, and knows all of them from the beginning. */
const plainly = {
  allowed_callers: z.tuple([z.literal("direct")]).nullish(),
  defer_loading: z.literal(false).nullish(),
};

const customTool = z.strictObject({
  type: z.literal("custom").nullish(),
  name: toolName,
  description: z.string().nullish(),
  input_schema: z.record(z.string(), z.unknown()),
  input_examples: z.array(z.record(z.string(), z.unknown())).max(20).nullish(),
  strict: z.boolean().nullish(),
  eager_input_streaming: z.boolean().nullish(),
  cache_control: cacheControl,
  ...plainly,
});
export type CustomTool = z.output<typeof customTool>;

const size = z.int().min(1);

/** Tools that Claude knows by itself, and that the client runs. */
const knownTools = [
  z.strictObject({
    type: z.enum([
      "bash_20250124",
      "memory_20250818",
      "text_editor_20250124",
      "text_editor_20250429",
    ]),
    name: toolName,
    cache_control: cacheControl,
    ...plainly,
  }),
  z.strictObject({
    type: z.literal("text_editor_20250728"),
    name: toolName,
    max_characters: size.nullish(),
    cache_control: cacheControl,
    ...plainly,
  }),
  z.strictObject({
    type: z.enum(["computer_20250124", "computer_20251124"]),
    name: toolName,
    display_width_px: size,
    display_height_px: size,
    display_number: z.int().min(0).nullish(),
    enable_zoom: z.boolean().nullish(),
    cache_control: cacheControl,
    ...plainly,
  }),
] as const;
export type KnownTool = z.output<(typeof knownTools)[number]>;

const tool = z.discriminatedUnion("type", [customTool, ...knownTools], {
  error: ({ code }) =>
    code === "invalid_union"
      ? "Tools that Anthropic runs are not taken here: send your own, or bash, text_editor, memory and computer."
      : undefined,
});
export type Tool = z.output<typeof tool>;

const parallel = { disable_parallel_tool_use: z.boolean().nullish() };
const toolChoice = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("auto"), ...parallel }),
  z.strictObject({ type: z.literal("any"), ...parallel }),
  z.strictObject({ type: z.literal("tool"), name: z.string(), ...parallel }),
  z.strictObject({ type: z.literal("none") }),
]);

const display = z.enum(["summarized", "omitted"]).nullish();
const thinking = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("enabled"), budget_tokens: z.int().min(1024), display }),
  z.strictObject({ type: z.literal("adaptive"), display }),
  z.strictObject({ type: z.literal("between_tools") }),
  z.strictObject({ type: z.literal("disabled") }),
]);

const jsonFormat = z.strictObject({
  type: z.literal("json_schema"),
  schema: z.record(z.string(), z.unknown()),
});

const amount = (type: string) => z.strictObject({ type: z.literal(type), value: z.int().min(0) });
/** What makes the prompt shorter; making a summary of it is a call of its own, which is not bounded. */
const contextManagement = z.strictObject({
  edits: z.array(
    z.discriminatedUnion("type", [
      z.strictObject({
        type: z.literal("clear_tool_uses_20250919"),
        trigger: z.union([amount("input_tokens"), amount("tool_uses")]).nullish(),
        keep: amount("tool_uses").nullish(),
        clear_at_least: amount("input_tokens").nullish(),
        clear_tool_inputs: z.boolean().nullish(),
        exclude_tools: z.array(z.string()).nullish(),
      }),
      z.strictObject({
        type: z.literal("clear_thinking_20251015"),
        keep: z.union([z.literal("all"), amount("thinking_turns")]).nullish(),
      }),
    ]),
  ),
});

/** What is counted as input, and how the model is to think of it. */
const promptFields = perEnv((env) => ({
  model: label,
  messages: z.array(message).min(1).max(env.maxMessages),
  system: z.union([z.string(), z.array(textBlock)]).nullish(),
  tools: z.array(tool).max(512).nullish(),
  tool_choice: toolChoice.nullish(),
  thinking: thinking.nullish(),
  output_config: z
    .strictObject({
      effort: z.enum(["low", "medium", "high", "xhigh", "max"]).nullish(),
      format: jsonFormat.nullish(),
    })
    .nullish(),
  output_format: jsonFormat.nullish(),
  cache_control: cacheControl,
  context_management: contextManagement.nullish(),
  // What asks for what is so anyway.
  speed: z.literal("standard").nullish(),
  mcp_servers: z
    .array(z.never({ error: "MCP servers are not served here: send their tools as your own." }))
    .nullish(),
}));

const number = (least: number, most: number) => z.number().min(least).max(most).nullish();

const request = perEnv((env) =>
  z
    .strictObject({
      ...promptFields(env),
      max_tokens: z.int().min(1),
      stream: z.boolean().nullish(),
      temperature: number(0, 1),
      top_p: number(0, 1),
      top_k: z.int().min(0).nullish(),
      stop_sequences: z.array(z.string()).max(8192).nullish(),
      metadata: z.strictObject({ user_id: z.string().max(512).nullish() }).nullish(),
      service_tier: z.enum(["auto", "standard_only"]).nullish(),
    })
    .refine(thinksWithin, {
      path: ["thinking", "budget_tokens"],
      error: "Send less than max_tokens, which the thinking is part of.",
    })
    .refine(cachesSoOften, { path: ["cache_control"], error: "Send 4 of these at most." }),
);

export const messageRequest = perEnv((env) => z.preprocess(withoutNulls, request(env)));
export type MessageRequest = z.output<ReturnType<typeof request>>;

const count = perEnv((env) => z.strictObject(promptFields(env)));
export const countRequest = perEnv((env) => z.preprocess(withoutNulls, count(env)));
export type CountRequest = z.output<ReturnType<typeof count>>;

function thinksWithin(body: { thinking?: { type: string } | null; max_tokens: number }): boolean {
  const { budget_tokens } = { ...body.thinking } as { budget_tokens?: number };
  return budget_tokens === undefined || budget_tokens < body.max_tokens;
}

/** Anthropic keeps a prompt at four places at most. */
function cachesSoOften(body: object): boolean {
  let places = 0;
  JSON.stringify(body, (key, value) => {
    if (key === "cache_control" && value) places += 1;
    // What is under these is the client's own.
    return key === "input" || key === "input_schema" || key === "schema" ? undefined : value;
  });
  return places <= 4;
}
