// Sides of a comparison, measured in turns, so that all of them see the same machine.
import { type Call, type Connections, drive, type Load, median, quantile } from "./load.ts";

export interface Side {
  connections: Connections;
  call: Call;
}

export interface Effort {
  rounds: number;
  /** Seconds that a side is driven for in a round. */
  seconds: number;
  /** How much of it: 1 in the full form, less in the quick one. */
  scale: number;
  /** Events of the ledger that growth is measured with; reservations and tenants are in proportion. */
  events: number;
}

/** Each round drives every side once; who goes first changes from round to round. */
export async function inRounds<Name extends string>(
  sides: Record<Name, Side>,
  { rounds, seconds }: Effort,
): Promise<Record<Name, Load[]>> {
  const names = Object.keys(sides) as Name[];
  const loads = Object.fromEntries(names.map((name) => [name, [] as Load[]])) as Record<
    Name,
    Load[]
  >;
  // Round -1 fills the caches and is not counted.
  for (let round = -1; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const { connections, call } = sides[name];
      const load = await drive(connections, round < 0 ? seconds / 2 : seconds, call);
      if (round >= 0) loads[name].push(load);
    }
  }
  return loads;
}

/** What was measured of one side: a figure of each round, and their median. */
export interface Figure {
  unit: "calls/s" | "ms" | "µs" | "bytes" | "instructions";
  median: number;
  rounds: number[];
}

export function figure(unit: Figure["unit"], rounds: number[]): Figure {
  return { unit, median: median(rounds), rounds };
}

export function rates(loads: Load[]): Figure {
  return figure(
    "calls/s",
    loads.map(({ rate }) => rate),
  );
}

/** What a call took of the server's processors; `calls` of them were one call of the load. */
export function processorTimes(loads: Load[], calls = 1): Figure {
  return figure(
    "µs",
    loads.map(({ processor }) => processor / calls),
  );
}

/** The latency that this share of all calls of a round stay below, in ms. */
export function latencies(loads: Load[], share: number): Figure {
  return figure(
    "ms",
    loads.map((load) => quantile(load.latencies, share)),
  );
}

export interface Result {
  /** What is compared, in words. */
  name: string;
  /** The ratio, or whatever the bound is about. */
  value: number;
  bound: { atLeast: number } | { atMost: number } | { exactly: number };
  figures: Record<string, Figure>;
}

/** The median of the rounds' ratios: what slows the machine for a round slows both of its sides. */
export function ratio(above: Figure, below: Figure): number {
  return median(above.rounds.map((value, round) => value / (below.rounds[round] ?? Number.NaN)));
}

export function isMet({ value, bound }: Result): boolean {
  if ("atLeast" in bound) return value >= bound.atLeast;
  if ("atMost" in bound) return value <= bound.atMost;
  return value === bound.exactly;
}
