import fc from "fast-check";
import { expect, it } from "vitest";
import {
  compareUsd,
  exactUsd,
  formatUsd,
  parsePercents,
  parseUsd,
  percentsText,
  percentText,
  plainUsd,
  subtractUsd,
  sumUsd,
} from "../../dashboard/src/lib/money.ts";

it.each([
  ["0.000000000000", "$0"],
  ["0.000375000000", "$0.000375"],
  ["0.000000000001", "$0.000000000001"],
  ["0.0099999", "$0.01"],
  ["0.061", "$0.0610"],
  ["0.5", "$0.50"],
  ["-0.25", "-$0.25"],
  ["1.005", "$1.01"],
  ["100", "$100.00"],
  ["1234567.891", "$1,234,567.89"],
])("%s reads as %s", (usd, text) => {
  expect(formatUsd(usd)).toBe(text);
});

const amount = fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n }).map((units) => {
  const digits = (units < 0n ? -units : units).toString().padStart(13, "0");
  return `${units < 0n ? "-" : ""}${digits.slice(0, -12)}.${digits.slice(-12)}`;
});

it.each([
  ["100", "100"],
  ["150.000000000000", "150"],
  ["0.500", "0.5"],
  ["0", "0"],
])("a limit of %s stands as %s in the form that changes it", (usd, text) => {
  expect(plainUsd(usd)).toBe(text);
  expect(parseUsd(text)).toBe(text);
});

it.each([
  [0.07, "7"],
  [0.29, "29"],
  [0.8, "80"],
  [0.985, "98.5"],
  [1, "100"],
])("a share of %s is %s percent", (share, text) => {
  expect(percentText(share)).toBe(text);
});

it("nothing but nothing reads as nothing, and the exact text loses no decimal", () => {
  fc.assert(
    fc.property(amount, (usd) => {
      const isZero = /^-?0\.0+$/.test(usd);
      expect(formatUsd(usd).replace("-", "") === "$0").toBe(isZero);
      const plain = exactUsd(usd).replace("$", "");
      expect(compareUsd(plain, usd)).toBe(0);
    }),
  );
});

it("sums and differences are exact where numbers of JavaScript are not", () => {
  expect(sumUsd(["0.1", "0.2"])).toBe("0.300000000000");
  expect(sumUsd(["123456.789012345678", "0.000000000001"])).toBe("123456.789012345679");
  fc.assert(
    fc.property(amount, amount, (a, b) => {
      expect(compareUsd(subtractUsd(sumUsd([a, b]), b), a)).toBe(0);
    }),
  );
});

it.each([
  ["20", "20"],
  [" $1,000.50 ", "1000.50"],
  ["0", "0"],
  ["-1", undefined],
  ["1e3", undefined],
  ["", undefined],
  ["1.2.3", undefined],
])("a person who types %j means %j", (typed, usd) => {
  expect(parseUsd(typed)).toBe(usd);
});

it.each([
  ["80", [0.8]],
  ["95, 50,80 50", [0.5, 0.8, 0.95]],
  ["7; 28.5 %", [0.07, 0.285]],
  ["100", [1]],
  ["", undefined],
  ["0", undefined],
  ["100.1", undefined],
  ["80.55", undefined],
  ["-5", undefined],
  ["80, many", undefined],
  ["1 2 3 4 5 6 7 8 9 10 11", undefined],
])("a person who types %j means the thresholds %j", (typed, shares) => {
  expect(parsePercents(typed)).toEqual(shares);
  if (shares) expect(parsePercents(percentsText(shares))).toEqual(shares);
});
