// What every provider can send, for a client that speaks Anthropic's format.
import { expect, it } from "vitest";
import { anthropicCases } from "./cases/anthropic_door.ts";
import { playAll } from "./suite.ts";

it(`Of all cases ${anthropicCases.length} are none of OpenAI's format alone`, () => {
  expect(anthropicCases.length).toBeGreaterThan(300);
});

playAll(anthropicCases);
