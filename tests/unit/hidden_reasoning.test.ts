// Which models may bill for reasoning that nobody sees: every model that is not known not to.
import { expect, it } from "vitest";
import { mayReasonUnseen } from "../../functions/_shared/llm/bounds/hidden_reasoning.ts";
import { parseModelName } from "../../functions/_shared/llm/model_name.ts";

const plain = { prompt: [] };

it.each([
  "openai/o1",
  "openai/o3",
  "openai/o4-mini",
  "openai/gpt-5",
  "openai/gpt-5-mini",
  "openai/gpt-5-pro",
  "openai/gpt-5-codex",
  "openai/o3-deep-research",
  "google/gemini-2.5-pro",
  "google/gemini-3-pro",
  "google/gemini-2.0-flash-thinking-exp",
  "anthropic/claude-sonnet-5",
  "xai/grok-4",
  "xai/grok-3-mini",
  "perplexity/sonar-deep-research",
  "perplexity/sonar-reasoning-pro",
  "openrouter/openai/o3",
  "groq/openai/gpt-oss-120b",
  "somebody/some-model",
])("%s may reason out of sight", (name) => {
  expect(mayReasonUnseen(parseModelName(name), plain)).toBe(true);
});

it.each([
  "openai/gpt-4o",
  "openai/gpt-4o-mini",
  "openai/gpt-4.1",
  "openai/gpt-3.5-turbo",
  "openai/ft:gpt-4o-mini:me",
  "google/gemini-2.0-flash",
  "anthropic/claude-3-5-haiku-latest",
  "anthropic/claude-sonnet-4-5",
  "groq/llama-3.3-70b-versatile",
  "openrouter/meta-llama/llama-4-scout",
  "mistral/mistral-large-latest",
  "xai/grok-3",
  "perplexity/sonar-pro",
])("%s does not reason out of sight", (name) => {
  expect(mayReasonUnseen(parseModelName(name), plain)).toBe(false);
});

it("Claude 4 reasons out of sight where it is asked to think, because what it shows is a summary", () => {
  const claude = parseModelName("anthropic/claude-sonnet-4-5");
  const thinking = { type: "enabled", budgetTokens: 1024 };
  expect(mayReasonUnseen(claude, { ...plain, reasoning: "high" })).toBe(true);
  expect(mayReasonUnseen(claude, { ...plain, providerOptions: { anthropic: { thinking } } })).toBe(
    true,
  );
  expect(mayReasonUnseen(claude, { ...plain, reasoning: "none" })).toBe(false);
});
