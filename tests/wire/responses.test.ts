// What every provider can send, for a client that speaks OpenAI's Responses API, and what only that API has.
import { expect, it } from "vitest";
import { responsesCases } from "./cases/responses.ts";
import { throughResponses } from "./cases/responses_door.ts";
import { playAll } from "./suite.ts";

it(`Of all cases ${throughResponses.length} are none of chat completions alone`, () => {
  expect(throughResponses.length).toBeGreaterThan(300);
  expect(responsesCases.length).toBeGreaterThan(30);
});

playAll([...throughResponses, ...responsesCases]);
