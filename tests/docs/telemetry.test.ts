// docs/guides/telemetry.md against the names in the code: nothing is missing, nothing is stale.
import { expect, it } from "vitest";
import {
  ATTRIBUTES,
  GAUGES,
  METRICS,
  type Metric,
  SPANS,
  TOTALS,
} from "../../functions/_shared/runtime/telemetry/names.ts";
import { kindOfSpan } from "../support/collector.ts";
import { blocksOf, read, textOf } from "./pages.ts";

const PAGE = "docs/guides/telemetry.md";

/** The rows of the table whose first column has this head: the cells of each. */
function rowsOf(head: string): string[][] {
  const [, ...rows] = read(PAGE).split(`\n| ${head} |`)[1]?.split("\n\n")[0]?.split("\n") ?? [];
  return rows.slice(1).map((row) => row.split("|").slice(1, -1));
}

const codesIn = (cell = "") => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code as string);

it("has every span, and no other one", () => {
  const documented = rowsOf("span").map(([name]) => codesIn(name)[0]);
  expect(documented).toEqual(Object.values(SPANS));
});

it("shows a trace of spans that there are", () => {
  const [trace] = blocksOf(PAGE).filter(({ language }) => language === "text");
  const lines = trace?.code.trim().split("\n") ?? [];
  expect(lines.length).toBeGreaterThan(15);
  expect(lines.filter((line) => kindOfSpan(line.trim()) === undefined)).toEqual([]);
});

it("has every attribute, and no other one", () => {
  const documented = rowsOf("attribute").flatMap(([names]) => codesIn(names));
  expect(documented.sort()).toEqual(Object.values(ATTRIBUTES).sort());
});

it("has every metric with its kind, unit and attributes, and no other one", () => {
  const documented = rowsOf("metric").map(([name, kind, attributes]) => ({
    name: codesIn(name)[0],
    kind: /^ (\w+)/.exec(kind ?? "")?.[1],
    unit: codesIn(kind)[0],
    attributes: codesIn(attributes),
  }));
  const metrics = [METRICS, GAUGES, TOTALS].flatMap((table) => Object.values<Metric>(table));
  expect(documented).toEqual(
    metrics.map(({ name, kind, unit, attributes }) => ({
      name,
      kind,
      unit,
      attributes: attributes.map((key) => ATTRIBUTES[key]),
    })),
  );
});

it("every event that it names is logged, and every one that is logged it names", () => {
  const code = textOf("functions").replace(/\s+/g, " ");
  const calls = code.matchAll(
    /\b(?:log|logOnce)\( ?(?:[^,()]|\([^)]*\))+, "(\w+)"|\brecordRefusal\("(\w+)"|\.fail\("(\w+)",/g,
  );
  const logged = new Set([...calls].map(([, ...names]) => names.find(Boolean) as string));
  for (const end of ["settle", "release"]) logged.add(`${end}_failed`);
  expect(logged.size).toBeGreaterThan(15);
  const documented = rowsOf("event")
    .filter(([names]) => !names?.includes("an error code"))
    .flatMap(([names]) => codesIn(names));
  expect(documented.sort()).toEqual([...logged].sort());
});
