// The wire formats that a request may be translated to.

export type Wire = "openai" | "anthropic" | "google" | "compatible";

const BUILT_IN: Wire[] = ["openai", "anthropic", "google"];

/** Every provider that is not built in speaks OpenAI's format, more or less. */
export function wireOf(provider: string): Wire {
  return BUILT_IN.find((wire) => wire === provider) ?? "compatible";
}

/** The name under which the AI SDK looks for a provider's options: of compatible ones, in camel case. */
export function optionsKey(provider: string): string {
  return provider.replace(/[_-]([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Providers that refuse a history with `reasoning_content` in it, though their own answers may have had it. */
const REFUSE_REASONING = new Set(["groq", "mistral", "cerebras"]);

/** Whether the reasoning of earlier turns may be sent back; some models want it beside their tool calls. */
export function takesReasoning(provider: string): boolean {
  return wireOf(provider) === "compatible" && !REFUSE_REASONING.has(provider);
}
