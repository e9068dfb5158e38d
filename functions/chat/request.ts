// What POST /chat takes.
import {
  convertToModelMessages,
  type ModelMessage,
  safeValidateUIMessages,
  type UIMessage,
} from "ai";
import { z } from "zod";
import { invalidRequest } from "../_shared/http.ts";

const label = z.string().min(1).max(200);

const simpleMessage = z.strictObject({
  role: z.enum(["system", "user", "assistant"]),
  content: z.string().min(1),
});
/** As useChat's transport sends them; the AI SDK checks the parts. */
const uiMessage = z.looseObject({
  id: z.string(),
  role: z.enum(["system", "user", "assistant"]),
  parts: z.array(z.looseObject({ type: z.string() })).min(1),
});

export const chatRequest = z.strictObject({
  /** Tenant that pays; may be left out by a user who is in one only. */
  tenantId: z.uuid().optional(),
  messages: z
    .array(z.union([simpleMessage, uiMessage]))
    .min(1)
    .max(500),
  /** `provider/model`, or a well-known bare name. */
  model: label.optional(),
  maxOutputTokens: z.int().min(1).max(128_000).optional(),
  stream: z.boolean().default(true),
  task: label.default("chat"),
  conversationId: label.optional(),
  pathId: label.optional(),
  // useChat's transport sends these beside the messages; `id` is its conversation.
  id: label.optional(),
  trigger: z.string().optional(),
  messageId: z.string().nullish(),
});
export type ChatRequest = z.output<typeof chatRequest>;

/** @throws SpendgateError invalid_request when a message's parts are not what the AI SDK knows. */
export async function toModelMessages(request: ChatRequest): Promise<ModelMessage[]> {
  const messages = request.messages.map((message, index) =>
    "content" in message && typeof message.content === "string"
      ? {
          id: String(index),
          role: message.role,
          parts: [{ type: "text" as const, text: message.content }],
        }
      : message,
  );
  const result = await safeValidateUIMessages({ messages });
  if (!result.success) {
    throw invalidRequest([{ path: "messages", message: "A part of a message is not valid." }]);
  }
  return await convertToModelMessages(result.data as UIMessage[], {
    // What a user stopped in the middle of a tool's work stays in useChat's history: it must not end the chat.
    ignoreIncompleteToolCalls: true,
  });
}
