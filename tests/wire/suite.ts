// Plays cases beside each other, on one stack, and compares what came of each with what it says.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { verifyBalances } from "../support/spend.ts";
import type { Counts } from "./bill.ts";
import type { Booked, Expected, WireCase } from "./cases/case.ts";
import { ECHO } from "./cases/endings.ts";
import type { Seen } from "./client.ts";
import { type Booking, type Outcome, pooled, startWireWorld, type WireWorld } from "./world.ts";

/** Calls that are under way at once; those that wait for their time-out hold up no others. */
const WIDTH = 16;

let world: WireWorld;
let outcomes = new Map<string, Promise<Outcome>>();

/** Declares the tests of these cases. */
export function playAll(cases: WireCase[]): void {
  beforeAll(async () => {
    world = await startWireWorld({
      SPENDGATE_CALL_TIMEOUT_MS: "6000",
      SPENDGATE_DISCONNECT_GRACE_MS: "200",
    });
  });
  afterAll(() => world?.stop());

  describe("A call is booked and answered as its case says", { timeout: 60_000 }, () => {
    // All at once, each awaited by its test; of those alone that `-t` names.
    // biome-ignore lint/correctness/noEmptyPattern: Vitest wants a pattern there.
    beforeAll(({}, { tasks }) => {
      const wanted = new Set(tasks.filter(({ mode }) => mode === "run").map(({ name }) => name));
      const chosen = cases.filter(({ name }) => wanted.has(name));
      const played = pooled(chosen, WIDTH, (one) => world.play(one));
      outcomes = new Map(chosen.map(({ name }, at) => [name, played[at] as Promise<Outcome>]));
    });

    it.each(cases.map((one) => [one.name, one] as const))("%s", async (name, one) => {
      const outcome = (await outcomes.get(name)) as Outcome;
      const { expected } = one;
      expectBooked(expected.booked, one, outcome.bookings);
      expect(outcome.requests).toHaveLength(
        expected.calls ?? (outcome.bookings.length > 0 ? 1 : 0),
      );
      for (const request of outcome.requests) {
        for (const text of expected.sent?.has ?? []) expect(request.text).toContain(text);
        for (const text of expected.sent?.hasNot ?? []) expect(request.text).not.toContain(text);
      }
      if (one.leavesAfterMs === undefined) expectSeen(expected, outcome.seen as Seen);
      else expect(outcome.requests[0]?.aborted).toBe(true);
    });
  });

  it("After all of it nothing is held, and the balances equal the ledger", {
    timeout: 60_000,
  }, async () => {
    await Promise.allSettled(outcomes.values());
    const [held] = await world.stack.sql`
      select count(*)::int as count from spend.reservations where status = 'held'`;
    expect(held?.count).toBe(0);
    expect(await verifyBalances(world.stack.sql)).toEqual([]);
  });
}

/** Refused before anything was held: an answer too, where what cannot be bounded or priced was asked for. */
function mayBeRefused(booked: Booked): boolean {
  return (
    booked === "not held" ||
    (typeof booked === "object" && ("tokens" in booked || "exactlyOrNotHeld" in booked))
  );
}

function expectBooked(booked: Booked, { target }: WireCase, bookings: Booking[]): void {
  if (bookings.length === 0 && mayBeRefused(booked)) return;
  const last = bookings.at(-1) as Booking;
  const costOf = (counts: Counts) =>
    world.catalogue.costOf(target.provider, target.product, counts);
  const settled = (isEstimated: boolean, cost: string) =>
    expect(last).toMatchObject({ status: "settled", isEstimated, cost });
  const between = (least: string, most: string) => {
    expect(last).toMatchObject({ status: "settled", isEstimated: true });
    expect(Number(last.cost)).toBeGreaterThanOrEqual(Number(least));
    expect(Number(last.cost)).toBeLessThanOrEqual(Math.max(Number(least), Number(most)));
  };
  if (booked === "not held") expect(bookings).toEqual([]);
  else if (booked === "nothing") {
    expect(last).toMatchObject({ status: "released", cost: "0.000000000000" });
  } else if (booked === "bound") settled(true, last?.estimate);
  else if (booked === "bound or more") between(last?.estimate, "Infinity");
  else if ("exactly" in booked) settled(false, costOf(booked.exactly));
  else if ("exactlyOrNotHeld" in booked) settled(false, costOf(booked.exactlyOrNotHeld));
  else if ("flagged" in booked) settled(true, costOf(booked.flagged));
  else if ("atLeast" in booked) between(costOf(booked.atLeast), last?.estimate);
  else if ("settledFrom" in booked) {
    const least = costOf(booked.settledFrom);
    if (last?.isEstimated) between(least, last.estimate);
    else settled(false, least);
  } else {
    expect(last?.status).toBe("settled");
    expect(Number(last?.cost)).toBeGreaterThanOrEqual(
      Number(costOf(booked.tokens)) + booked.fee - 1e-12,
    );
  }
}

function expectSeen(expected: Expected, seen: Seen): void {
  expect([expected.status ?? 200].flat()).toContain(seen.status);
  // A provider's words about an account are the operator's, not the client's.
  expect(seen.body).not.toContain(ECHO);
  if (expected.text !== undefined) expect(seen.text).toBe(expected.text);
  if (expected.finish !== undefined) expect(seen.finish).toBe(expected.finish);
  if (expected.notFinish !== undefined) expect(seen.finish).not.toBe(expected.notFinish);
  if (expected.tools !== undefined) expect(seen.tools).toEqual(expected.tools);
  if (expected.fails) expect(seen.error).toBeDefined();
  else if (expected.fails === false) expect(seen.error).toBeUndefined();
  if (expected.code !== undefined) expect(seen.error?.code).toBe(expected.code);
  if (expected.param !== undefined) expect(seen.error?.param).toMatch(expected.param);
  if (expected.warnings !== undefined) {
    expect(seen.headers.get("x-spendgate-warnings")?.split(", ")).toEqual(expected.warnings);
  }
  if (expected.retryAfter) expect(seen.headers.get("retry-after")).toBe(expected.retryAfter);
  for (const text of expected.seen ?? []) expect(seen.body).toContain(text);
  for (const text of expected.notSeen ?? []) expect(seen.body).not.toContain(text);
}
