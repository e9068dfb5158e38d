// POST /chat/compact: a long conversation made short, on demand.
import { endpoint } from "../_shared/http/body.ts";
import type { UserContext } from "../_shared/http/serve.ts";
import { compact } from "./compaction.ts";
import { compactRequest, toUIMessages } from "./request.ts";

export const compactConversation = endpoint<UserContext, ReturnType<typeof compactRequest>>(
  compactRequest,
  async ({ env, metering: meteringOf }, body) => {
    const metering = await meteringOf({
      tenantId: body.tenantId,
      task: "compaction",
      conversationId: body.conversationId,
      pathId: body.pathId,
    });
    const messages = await toUIMessages(body.messages);
    const compaction = await compact(messages, body.keep, metering, body.model);
    const costs = await metering.receipt.costs(env.costWaitMs);
    return Response.json(
      {
        messages: compaction.messages,
        summary: compaction.summary,
        replaced: compaction.replaced,
        calls: costs,
      },
      { headers: metering.receipt.headers(costs) },
    );
  },
);
