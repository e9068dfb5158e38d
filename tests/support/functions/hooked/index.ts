// A function of one's own with hooks: docs/guides/alerts.md shows the lines of its `serve`.
import { generateText } from "ai";
import { z } from "zod";
import type { QuotaEvent, RefusalEvent } from "../../../../functions/_shared/gate/hooks.ts";
import { endpoint } from "../../../../functions/_shared/http/body.ts";
import { serve, type UserContext } from "../../../../functions/_shared/http/serve.ts";
import { meteredModel } from "../../../../functions/_shared/llm/metered_model.ts";

const request = z.strictObject({ task: z.string(), maxOutputTokens: z.number() });

const call = endpoint(request, async (context: UserContext, { task, maxOutputTokens }) => {
  const metering = await context.metering({ task });
  const model = meteredModel("openai/gpt-4o-mini", metering);
  const { text } = await generateText({ model, prompt: "Hello", maxOutputTokens, maxRetries: 0 });
  return Response.json({ text });
});

/** What a hook may do wrong, by the task of the call. */
async function notify(event: QuotaEvent | RefusalEvent): Promise<void> {
  console.log(JSON.stringify({ notified: event }));
  if (event.task === "throws") throw new Error("canaryOfHook");
  if (event.task === "hangs") await new Promise(() => {});
}

export default serve({
  name: "hooked",
  auth: "user",
  routes: { "/": { POST: call } },
  onQuotaWarning: (event) => notify(event),
  onQuotaExceeded: (event) => notify(event),
});
