// What every provider can send, as raw bytes: what is booked of it, to the last of twelve decimals, and what the client sees.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { verifyBalances } from "../race/spend.ts";
import type { Booked, Expected, WireCase } from "./cases/case.ts";
import { ECHO, endingCases, hangUpCases } from "./cases/endings.ts";
import { meterCases } from "./cases/meters.ts";
import { oddityCases } from "./cases/oddities.ts";
import type { Seen } from "./client.ts";
import { type Booking, type Outcome, pooled, startWireWorld, type WireWorld } from "./world.ts";

const CASES = [...hangUpCases, ...endingCases, ...meterCases, ...oddityCases];
/** Calls that are under way at once; those that wait for their time-out hold up no others. */
const WIDTH = 16;

let world: WireWorld;
let outcomes: Map<string, Promise<Outcome>>;

beforeAll(async () => {
  world = await startWireWorld({
    SPENDGATE_CALL_TIMEOUT_MS: "6000",
    SPENDGATE_DISCONNECT_GRACE_MS: "200",
  });
  const played = pooled(CASES, WIDTH, (one) => world.play(one));
  outcomes = new Map(CASES.map((one, at) => [one.name, played[at] as Promise<Outcome>]));
});
afterAll(() => world?.stop());

it(`there are ${CASES.length} cases, each by a name of its own`, () => {
  expect(CASES.length).toBeGreaterThanOrEqual(150);
  expect(new Set(CASES.map(({ name }) => name)).size).toBe(CASES.length);
});

describe("what is booked, and what is seen", () => {
  it.each(CASES.map((one) => [one.name, one] as const))("%s", async (name, one) => {
    const outcome = (await outcomes.get(name)) as Outcome;
    const { expected } = one;
    expectBooked(expected.booked, one, outcome.bookings);
    expect(outcome.requests).toHaveLength(expected.calls ?? (outcome.bookings.length > 0 ? 1 : 0));
    for (const request of outcome.requests) {
      for (const text of expected.sent?.has ?? []) expect(request.text).toContain(text);
      for (const text of expected.sent?.hasNot ?? []) expect(request.text).not.toContain(text);
    }
    if (one.leavesAfterMs === undefined) expectSeen(expected, outcome.seen as Seen);
    else expect(outcome.requests[0]?.aborted).toBe(true);
  });
});

it("after all of it nothing is held, and the balances equal the ledger", async () => {
  await Promise.allSettled(outcomes.values());
  const [held] = await world.stack.sql`
    select count(*)::int as count from spend.reservations where status = 'held'`;
  expect(held?.count).toBe(0);
  expect(await verifyBalances(world.stack.sql)).toEqual([]);
});

function expectBooked(booked: Booked, { target }: WireCase, bookings: Booking[]): void {
  if (booked === "not held") return expect(bookings).toEqual([]);
  // Refused for want of a price: that is an answer too.
  if (typeof booked === "object" && "tokens" in booked && bookings.length === 0) return;
  const last = bookings.at(-1);
  const costOf = (counts: Record<string, number>) =>
    world.catalogue.costOf(target.provider, target.product, counts);
  if (booked === "nothing") {
    expect(last).toMatchObject({ status: "released", cost: "0.000000000000" });
  } else if (booked === "bound") {
    expect(last).toMatchObject({ status: "settled", isEstimated: true, cost: last?.estimate });
  } else if (booked === "bound or more") {
    expect(last).toMatchObject({ status: "settled", isEstimated: true });
    expect(Number(last?.cost)).toBeGreaterThanOrEqual(Number(last?.estimate));
  } else if ("exactly" in booked) {
    const cost = costOf(booked.exactly);
    expect(last).toMatchObject({ status: "settled", isEstimated: false, cost });
  } else if ("flagged" in booked) {
    const cost = costOf(booked.flagged);
    expect(last).toMatchObject({ status: "settled", isEstimated: true, cost });
  } else if ("tokens" in booked) {
    expect(last?.status).toBe("settled");
    const least = Number(costOf(booked.tokens)) + booked.fee;
    expect(Number(last?.cost)).toBeGreaterThanOrEqual(least - 1e-12);
  } else {
    expect(last).toMatchObject({ status: "settled", isEstimated: true });
    const [least, estimate] = [costOf(booked.atLeast), last?.estimate ?? ""];
    expect(Number(last?.cost)).toBeGreaterThanOrEqual(Number(least));
    expect(Number(last?.cost)).toBeLessThanOrEqual(Math.max(Number(least), Number(estimate)));
  }
}

function expectSeen(expected: Expected, seen: Seen): void {
  expect([expected.status ?? 200].flat()).toContain(seen.status);
  // A provider's words about an account are the operator's, not the client's.
  expect(seen.body).not.toContain(ECHO);
  if (expected.text !== undefined) expect(seen.text).toBe(expected.text);
  if (expected.finish !== undefined) expect(seen.finish).toBe(expected.finish);
  if (expected.tools !== undefined) expect(seen.tools).toEqual(expected.tools);
  if (expected.fails) expect(seen.error).toBeDefined();
  else if (expected.fails === false) expect(seen.error).toBeUndefined();
  if (expected.code !== undefined) expect(seen.error?.code).toBe(expected.code);
  if (expected.retryAfter) expect(seen.headers.get("retry-after")).toBe(expected.retryAfter);
  for (const text of expected.seen ?? []) expect(seen.body).toContain(text);
}
