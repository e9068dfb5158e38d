// A scripted provider that speaks the format of the model that it is asked for: Anthropic's for Claude, else OpenAI's.
import { anthropic } from "../wire/shapes/anthropic.ts";
import { openaiChat } from "../wire/shapes/openai_chat.ts";
import { streamOf, type Told, type Wire } from "../wire/shapes/wire.ts";
import type { ProviderRequest, Script } from "./provider.ts";

export const TOLD_USAGE = { input: 1000, output: 500 };

/** Answers as it was asked: streamed or not, with a usage of 1,000 and 500 tokens. */
export function tells(told: Told): Script {
  return (response, request) => {
    const wire = wireOf(request);
    const whole = { ...told, usage: wire.usage(TOLD_USAGE.input, TOLD_USAGE.output) };
    if (!request.body.stream) {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify(wire.whole(whole)));
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const piece of streamOf(wire, whole)) response.write(piece);
    response.end();
  };
}

/** A stream that ends after its content, as if it were complete. */
export function breaksOff(told: Told): Script {
  return (response, request) => {
    const wire = wireOf(request);
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const piece of [...wire.begin(told), ...wire.content(told)]) response.write(piece);
    response.end();
  };
}

function wireOf({ body }: ProviderRequest): Wire {
  return body.model.startsWith("claude") ? anthropic : openaiChat;
}
