// Money arrives as the text that Postgres prints, such as "0.000375000000", and stays exact: a number of JavaScript would
// lose the last of its twelve decimals above a few hundred dollars.

/** A decimal amount of USD as Postgres prints it. */
export type Usd = string;

const DECIMALS = 12;
const ONE = 10n ** BigInt(DECIMALS);

/** In millionths of a millionth of a dollar. */
function parse(usd: Usd): bigint {
  const [, sign, whole = "0", fraction = ""] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(usd) ?? [];
  if (sign === undefined) throw new Error(`${usd} is no decimal amount`);
  const units = BigInt(whole) * ONE + BigInt(fraction.slice(0, DECIMALS).padEnd(DECIMALS, "0"));
  return sign === "-" ? -units : units;
}

function print(units: bigint): Usd {
  const digits = (units < 0n ? -units : units).toString().padStart(DECIMALS + 1, "0");
  return `${units < 0n ? "-" : ""}${digits.slice(0, -DECIMALS)}.${digits.slice(-DECIMALS)}`;
}

export function sumUsd(amounts: Iterable<Usd>): Usd {
  let sum = 0n;
  for (const amount of amounts) sum += parse(amount);
  return print(sum);
}

export function subtractUsd(from: Usd, usd: Usd): Usd {
  return print(parse(from) - parse(usd));
}

/** Negative, 0 or positive, as `sort` wants it. */
export function compareUsd(a: Usd, b: Usd): number {
  const difference = parse(a) - parse(b);
  return difference < 0n ? -1 : Number(difference > 0n);
}

/** For the length of a bar or the place of a point, not for arithmetic with money. */
export function usdNumber(usd: Usd): number {
  return Number(usd);
}

/** `numerator` in percent of `denominator`, with one decimal; undefined when there is nothing to compare with. */
export function percentOf(numerator: Usd, denominator: Usd): number | undefined {
  const whole = parse(denominator);
  return whole === 0n ? undefined : Number((parse(numerator) * 1000n) / whole) / 10;
}

/**
 * For people: cents from a dollar on, four decimals from a cent on, three significant digits below, so that a small amount
 * never reads as nothing.
 */
export function formatUsd(usd: Usd): string {
  const units = parse(usd);
  const size = units < 0n ? -units : units;
  const decimals = size >= ONE ? 2 : size >= ONE / 100n ? 4 : significantDecimals(size);
  const step = 10n ** BigInt(DECIMALS - decimals);
  const rounded = ((size + step / 2n) / step) * step;
  const [whole = "0", fraction = ""] = print(rounded).split(".");
  // Four decimals stay four, so that a column of them is one; but half a dollar is no $0.5000.
  const cents = fraction
    .slice(0, decimals)
    .replace(decimals > 4 ? /(?<=\d{2})0+$/ : /(?<=^\d{2})0+$/, "");
  return `${units < 0n ? "-" : ""}$${whole.replace(/\B(?=(\d{3})+$)/g, ",")}${rounded === 0n ? "" : `.${cents}`}`;
}

function significantDecimals(size: bigint): number {
  if (size === 0n) return 2;
  return Math.min(DECIMALS, DECIMALS - size.toString().length + 3);
}

/** All that is known of an amount, without zeros at its end. */
export function exactUsd(usd: Usd): string {
  const exact = plainUsd(usd);
  return exact.startsWith("-") ? `-$${exact.slice(1)}` : `$${exact}`;
}

/** All of an amount as a person would type it: what parseUsd takes. */
export function plainUsd(usd: Usd): string {
  // print has all decimals, so that no zero of the whole is taken for one.
  return print(parse(usd)).replace(/\.?0+$/, "");
}

/** A share as percent, without what binary fractions add: 0.07 is 7 %, not 7.000000000000001 %. */
export function percentText(share: number): string {
  return String(Number((share * 100).toPrecision(12)));
}

/** Shares as percents, as a person would type them: "50, 80, 100". */
export function percentsText(shares: number[]): string {
  return shares.map(percentText).join(", ");
}

/** Percents as a person types them, as shares in order; undefined where one is none, or there are not 1 to 10 of them. */
export function parsePercents(text: string): number[] | undefined {
  const percents = text.split(/[,;\s%]+/).filter((part) => part !== "");
  if (!percents.every((part) => /^\d{1,3}(\.\d)?$/.test(part))) return undefined;
  const shares = [...new Set(percents.map((part) => Number((Number(part) / 100).toPrecision(12))))];
  const areRight = shares.every((share) => share > 0 && share <= 1);
  return areRight && shares.length >= 1 && shares.length <= 10
    ? shares.sort((a, b) => a - b)
    : undefined;
}

/** A limit as a person types it, as Postgres takes it; undefined where it is no amount. */
export function parseUsd(text: string): Usd | undefined {
  const plain = text.trim().replace(/^\$/, "").replaceAll(",", "");
  return /^\d{1,12}(\.\d{1,12})?$/.test(plain) ? plain : undefined;
}
