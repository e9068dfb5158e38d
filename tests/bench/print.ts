import { type Figure, isMet, type Result } from "./rounds.ts";

/** One line per result: what is compared, the measured value, its bound, and the figures that it is made of. */
export function printResults(results: Result[]): void {
  for (const result of results) {
    const figures = Object.entries(result.figures).map(([name, one]) => `${name} ${show(one)}`);
    console.log(
      [
        isMet(result) ? "  ok" : "MISS",
        result.name.padEnd(72),
        Number(result.value.toFixed(2)).toString().padStart(7),
        boundOf(result).padEnd(8),
        figures.join(", "),
      ].join("  "),
    );
  }
}

function boundOf({ bound }: Result): string {
  const short = (value: number) => Number(value.toFixed(2));
  if ("atLeast" in bound) return `≥ ${short(bound.atLeast)}`;
  if ("atMost" in bound) return `≤ ${short(bound.atMost)}`;
  return `= ${bound.exactly}`;
}

function show({ unit, median }: Figure): string {
  if (unit === "bytes" && median >= 1e6) return `${Math.round(median / 1e6)} MB`;
  return `${median < 10 ? median.toFixed(2) : Math.round(median)} ${unit}`;
}
