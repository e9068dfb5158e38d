// A prompt in OpenAI's format, as it reaches a provider: what it has no place for is named.
import { describe, expect, it } from "vitest";
import { boundCall } from "../../functions/_shared/llm/bounds/token_bound.ts";
import { toCall } from "../../functions/openai/call_options.ts";

describe("A prompt that is to be kept", () => {
  const keeping = async (ttl: "5m" | "1h" | undefined, provider: string) => {
    const cache_control = { type: "ephemeral" as const, ttl };
    const content = [{ type: "text" as const, text: "Hello", cache_control }];
    const body = { model: "m", messages: [{ role: "user" as const, content }] };
    const { options, ignored } = await toCall(body as never, provider);
    const { prompt } = boundCall(options, { provider, model: "m" }, 100);
    return { prompt: JSON.stringify(prompt), ignored: [...ignored] };
  };

  it("for an hour is so on Claude, and named where a compatible provider knows five minutes alone", async () => {
    expect((await keeping("1h", "anthropic")).prompt).toContain('"ttl":"1h"');
    const hour = await keeping("1h", "groq");
    expect(hour.prompt).not.toContain("cache_control");
    expect(hour.ignored).toEqual(["messages.content.cache_control"]);
  });

  it.each(["5m", undefined] as const)("for %s is asked of a compatible provider", async (ttl) => {
    const { prompt, ignored } = await keeping(ttl, "groq");
    expect(prompt).toContain('"cache_control":{"type":"ephemeral"');
    expect(ignored).toEqual([]);
  });
});
