// Values that an attacker or a broken program sends.
import fc from "fast-check";

/** Inputs in all, over the files of this folder. SPENDGATE_FUZZ_FACTOR multiplies it. */
const FACTOR = Number(process.env.SPENDGATE_FUZZ_FACTOR ?? 1);
export const runs = (count: number) => Math.ceil(count * FACTOR);

/** A failure prints the seed; SPENDGATE_FUZZ_SEED repeats its run. */
export const seed = Number(process.env.SPENDGATE_FUZZ_SEED ?? Date.now() % 2 ** 31);

export const NUMBERS = [
  0,
  -0,
  -1,
  1,
  0.1,
  0.5,
  -0.000001,
  1e-300,
  1e12,
  1e12 + 1,
  1e15,
  1e21,
  1e300,
  -1e300,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  2 ** 53 + 2,
  2 ** 63,
  Number.MAX_VALUE,
  Number.MIN_VALUE,
];

export const TEXTS = [
  "",
  " ",
  "null",
  "\u0000",
  "a\u0000b",
  "\ud800",
  "\udc00\ud800",
  "\ufeff",
  "\u202e\u2066x",
  "é".normalize("NFD").repeat(50),
  "👩‍👩‍👧‍👦".repeat(20),
  "x".repeat(201),
  "x".repeat(70_000),
  "'; drop table spend.cost_events; --",
  "' or 1=1 --",
  "$$; select pg_sleep(10); $$",
  "\\'; select 1",
  "%00%0a%0d",
  "a\r\nX-Injected: 1",
  "../../../../etc/passwd",
  "$\u007bjndi:ldap://x}",
  "{{7*7}}",
  "<script>alert(1)</script>",
  "__proto__",
  "constructor",
  "toString",
  "NaN",
  "Infinity",
  "-0",
  "1e309",
  "0x10",
  "true",
  "2026-02-30",
  "openai/gpt-4o-mini",
  "openai/",
  "/gpt-4o",
  "openai/gpt-4o/../../x",
  "*",
  "test/*",
];

export const text = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...TEXTS) },
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.string({ maxLength: 30 }),
);
export const number = fc.oneof(fc.constantFrom(...NUMBERS), fc.double(), fc.integer());

/** Any JSON value, with hostile leaves. */
export const json: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthIdentifier: "json" },
    fc.oneof(text, number, fc.boolean(), fc.constant(null)),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(text, tie("value"), { maxKeys: 4 }),
  ),
})).value;

/** `depth` arrays or objects in each other: parsers and validators that recurse run out of stack. */
export function nested(depth: number, open: string, close: string): string {
  return `${open.repeat(depth)}1${close.repeat(depth)}`;
}

/** A JSON object with one thing changed: a value anywhere in it, a key that is missing, one too many. */
export function mutated(value: object): fc.Arbitrary<unknown> {
  return fc
    .tuple(fc.nat(), fc.constantFrom("replace", "replace", "replace", "remove", "add"), json, text)
    .map(([pick, how, other, key]) => {
      const copy = structuredClone(value);
      const places = placesOf(copy);
      const place = places[pick % places.length];
      if (place === undefined) return other;
      const [parent, name] = place;
      if (how === "replace") parent[name] = other;
      else if (how === "remove") delete parent[name];
      // An array's "length" would be taken for a number of elements.
      else if (Array.isArray(parent)) parent.push(other);
      else parent[key] = other;
      return copy;
    });
}

type Place = [Record<string, unknown>, string];

function placesOf(value: unknown): Place[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.keys(value).flatMap((name): Place[] => [
    [value as Record<string, unknown>, name],
    ...placesOf((value as Record<string, unknown>)[name]),
  ]);
}

/** What no answer may tell: where our code stands, what the database is made of. */
const INSIDE =
  /\n\s*at .*:\d+:\d+|node_modules|file:\/\/\/|\/functions\/|spend_private|PostgresError|postgres(ql)?:\/\/|pg_catalog|relation "|ECONNREFUSED|sb_secret_/;

/** The first thing in an answer that it must not tell, or null. */
export function tells(answer: string, secrets: string[]): string | null {
  return INSIDE.exec(answer)?.[0] ?? secrets.find((secret) => answer.includes(secret)) ?? null;
}
