// What POST /chat takes.
import { safeValidateUIMessages, type UIMessage } from "ai";
import * as z from "zod";
import { invalidRequest } from "../_shared/errors.ts";
import { label } from "../_shared/http/label.ts";
import { parseDataUrl, parseHttpsUrl } from "../_shared/llm/bounds/file_url.ts";
import { browserOptions, type ProviderOptions } from "../_shared/llm/providers/options.ts";
import { type Env, perEnv } from "../_shared/runtime/env.ts";
import { TOOL_NAMES } from "./tools.ts";

const role = z.enum(["system", "user", "assistant"]);

const simpleMessage = z.strictObject({ role, content: z.string().min(1) });
/** As useChat's transport sends them; the AI SDK checks the parts. */
const uiMessage = z.looseObject({
  id: z.string(),
  role,
  parts: z.array(z.looseObject({ type: z.string() })).min(1),
});
type Message = z.output<typeof simpleMessage> | z.output<typeof uiMessage>;

const conversation = {
  /** Tenant that pays; may be left out by a user who is in one only. */
  tenantId: z.guid().optional(),
  conversationId: label.optional(),
  pathId: label.optional(),
  /** `provider/model`, or a well-known bare name. */
  model: label.optional(),
};

const messages = (env: Env) =>
  z
    .array(z.union([simpleMessage, uiMessage]))
    .min(1)
    .max(env.maxMessages);

export const chatRequest = perEnv((env) =>
  z.strictObject({
    ...conversation,
    messages: messages(env),
    /** Models to try, in order, where the provider of the one before fails. */
    fallbackModels: z.array(label).max(3).default([]),
    /** Tokens; bounded by the model's own limit too. */
    maxOutputTokens: z.int().min(1).max(1_000_000).optional(),
    temperature: z.number().min(0).max(2).optional(),
    stream: z.boolean().default(true),
    task: label.default("chat"),
    /** Tools that the model may use, by name; each turn of its loop is a step. */
    tools: z.array(z.enum(TOOL_NAMES)).max(TOOL_NAMES.length).default([]),
    maxSteps: z.int().min(1).max(env.maxSteps).default(Math.min(5, env.maxSteps)),
    /** Budget of the whole run: no step is begun when its steps have used so many tokens. */
    maxTotalTokens: z.int().min(1).optional(),
    /** False: a conversation that is too long is sent as it is. */
    compact: z.boolean().default(true),
    // useChat's transport sends these beside the messages; `id` is its conversation.
    id: label.optional(),
    trigger: z.string().optional(),
    messageId: z.string().nullish(),
  }),
);
export type ChatRequest = z.output<ReturnType<typeof chatRequest>>;

export const compactRequest = perEnv((env) =>
  z.strictObject({
    ...conversation,
    messages: messages(env),
    /** Messages at the end that stay as they are; more where the first of them is not the user's. */
    keep: z.int().min(1).default(2),
  }),
);

/** @throws SpendgateError invalid_request when a message's parts are not what the AI SDK knows. */
export async function toUIMessages(messages: Message[]): Promise<UIMessage[]> {
  const asked = messages.map((message, index) =>
    isSimple(message)
      ? {
          id: String(index),
          role: message.role,
          parts: [{ type: "text" as const, text: message.content }],
        }
      : message,
  );
  // Of text alone the SDK has nothing to check.
  if (messages.every(isSimple)) return asked as UIMessage[];
  const result = await safeValidateUIMessages({ messages: asked });
  if (!result.success) {
    throw invalidRequest([{ path: "messages", message: "A part of a message is not valid." }]);
  }
  for (const [index, message] of result.data.entries()) checkFiles(message.parts, index);
  return result.data.map((message) => ({ ...message, parts: allowedParts(message.parts) }));
}

function isSimple(message: Message): message is z.output<typeof simpleMessage> {
  return "content" in message && typeof message.content === "string";
}

type Part = UIMessage["parts"][number];

/** Files come in the message, or are images at an address that the provider fetches; never by a provider's own id. */
function checkFiles(parts: Part[], index: number): void {
  for (const part of parts) {
    if (part.type === "steering-message") checkFiles(part.parts as Part[], index);
    if (part.type !== "file" && part.type !== "reasoning-file") continue;
    const isHere = parseDataUrl(part.url) !== undefined;
    const isImage = parseHttpsUrl(part.url) !== undefined && part.mediaType.startsWith("image/");
    if ("providerReference" in part || !(isHere || isImage)) {
      throw invalidRequest([
        {
          path: `messages.${index}`,
          message: "Send a file as a data:<type>;base64,… URL, or an image by an https: URL.",
        },
      ]);
    }
  }
}

/**
 * The parts with what a browser may say of them to a provider. What it may not is left out, not refused: a history of
 * useChat has all that the provider said of its answer, and goes on to be usable.
 */
function allowedParts(parts: Part[]): Part[] {
  return parts.flatMap((part): Part[] => {
    // Of a kind that only one provider knows.
    if (part.type === "custom") return [];
    if (part.type === "steering-message") {
      return [{ ...part, parts: allowedParts(part.parts as Part[]) } as Part];
    }
    const allowed: Record<string, unknown> = { ...part };
    for (const name of ["providerMetadata", "callProviderMetadata", "resultProviderMetadata"]) {
      if (!(name in allowed)) continue;
      allowed[name] = browserOptions(allowed[name] as ProviderOptions | undefined);
      if (allowed[name] === undefined) delete allowed[name];
    }
    // No tool here runs at a provider: what says so would be sent as that provider's own.
    delete allowed.providerExecuted;
    return [allowed as Part];
  });
}
