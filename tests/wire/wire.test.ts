// What every provider can send, as raw bytes: what is booked of it, to the last of twelve decimals, and what the client sees.
import { expect, it } from "vitest";
import { ALL_CASES } from "./cases/all.ts";
import { playAll } from "./suite.ts";

it(`There are ${ALL_CASES.length} cases, each by a name of its own`, () => {
  expect(ALL_CASES.length).toBeGreaterThanOrEqual(150);
  expect(new Set(ALL_CASES.map(({ name }) => name)).size).toBe(ALL_CASES.length);
});

playAll(ALL_CASES);
