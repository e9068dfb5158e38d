// Valid answers of providers, broken in every way that a wire, a gateway or a bad release breaks them.
import type { Random } from "../support/random.ts";
import type { Target } from "../wire/cases/case.ts";
import { COMPATIBLE_TARGETS, FORMATS } from "../wire/cases/targets.ts";
import { events, json, type Piece, type RawAnswer } from "../wire/provider.ts";
import type { Told } from "../wire/shapes/wire.ts";

export interface MutatedAnswer {
  target: Target;
  stream: boolean;
  answer: RawAnswer;
  /** What was done to it, in words. */
  changes: string[];
  /** The end of the answer is missing: it must not look finished. */
  isCut: boolean;
}

const TARGETS = [...Object.values(FORMATS), ...Object.values(COMPATIBLE_TARGETS)];
const WORD = "word ";

/** Values in the place of others: of another type, or beyond what can be. */
const ODD: unknown[] = [
  null,
  0,
  -1,
  1.5,
  1e9,
  1e300,
  "",
  "7",
  "text",
  true,
  [],
  [null],
  {},
  { a: 1 },
  [[]],
];

function toldBy(random: Random, { wire }: Target): Told {
  const words = random.int(1, 40);
  return {
    text: WORD.repeat(words).trim(),
    ...(random.chance(0.2) && { reasoning: WORD.repeat(random.int(1, 20)).trim() }),
    ...(random.chance(0.2) && {
      tools: [{ id: "call_1", name: "weather", arguments: '{"city":"Paris"}' }],
      finish: "tools" as const,
    }),
    // Few of the input, so that no price of it hides what the output costs.
    usage: wire.usage(random.int(1, 5), words + random.int(30, 60)),
  };
}

/** An event's or a body's JSON with one value changed; as it was when there is none. */
function changeJson(text: string, change: (value: unknown) => unknown): string {
  const start = text.indexOf("{");
  if (start < 0) return text;
  const end = text.trimEnd().length;
  try {
    const value = change(JSON.parse(text.slice(start, end)));
    return text.slice(0, start) + JSON.stringify(value) + text.slice(end);
  } catch {
    return text;
  }
}

/** Paths of all values in it. */
function pathsOf(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, each]) => pathsOf(each, [...path, key]))];
}

function setAt(value: unknown, path: string[], replacement: unknown): unknown {
  if (path.length === 0) return replacement;
  const copy = structuredClone(value) as Record<string, unknown>;
  let place = copy;
  for (const key of path.slice(0, -1)) place = place[key] as Record<string, unknown>;
  const last = path.at(-1) as string;
  if (replacement === undefined) delete place[last];
  else place[last] = replacement;
  return copy;
}

const USAGE = /^(usage|usageMetadata)$/;

/** Another value at a path that `isMeant`. */
function changeValue(
  random: Random,
  text: string,
  isMeant: (path: string[]) => boolean,
  odd: unknown[],
) {
  return changeJson(text, (value) => {
    const paths = pathsOf(value).filter(isMeant);
    return paths.length === 0 ? value : setAt(value, random.pick(paths), random.pick(odd));
  });
}

type Mutation = (random: Random, pieces: string[]) => string[];

/** What leaves the end of the answer in its place. */
const MUTATIONS: Record<string, Mutation> = {
  "drop a chunk": (random, pieces) => {
    const at = random.int(0, pieces.length - 1);
    return pieces.filter((_, index) => index !== at);
  },
  "repeat a chunk": (random, pieces) => {
    const at = random.int(0, pieces.length - 1);
    return [...pieces.slice(0, at + 1), ...pieces.slice(at)];
  },
  "swap two chunks": (random, pieces) => {
    const [a, b] = [random.int(0, pieces.length - 1), random.int(0, pieces.length - 1)];
    return pieces.map((piece, at) => pieces[at === a ? b : at === b ? a : at] ?? piece);
  },
  "drop the usage": (random, pieces) =>
    pieces.map((piece) =>
      changeValue(random, piece, (path) => USAGE.test(path.at(-1) ?? ""), [undefined]),
    ),
  "falsify the usage": (random, pieces) =>
    pieces.map((piece) =>
      changeValue(
        random,
        piece,
        (path) => path.some((key) => USAGE.test(key)) && !USAGE.test(path.at(-1) ?? ""),
        ODD,
      ),
    ),
  "say 0 of all usage": (_, pieces) =>
    pieces.map((piece) => piece.replaceAll(/("\w*(?:_tokens|TokenCount)":)\d+/g, "$10")),
  "change a type": (random, pieces) => {
    const at = random.int(0, pieces.length - 1);
    return pieces.map((piece, index) =>
      index === at ? changeValue(random, piece, () => true, ODD) : piece,
    );
  },
  "drop a field": (random, pieces) => {
    const at = random.int(0, pieces.length - 1);
    return pieces.map((piece, index) =>
      index === at ? changeValue(random, piece, (path) => path.length > 0, [undefined]) : piece,
    );
  },
  "put garbage between": (random, pieces) => {
    const at = random.int(0, pieces.length);
    const garbage = random.pick([
      ": comment\n\n",
      "data: \n\n",
      "data: {\n\n",
      "data: null\n\n",
      "data: []\n\n",
      "event: ping\ndata: {}\n\n",
      "\u0000\ufffd\n\n",
      "retry: 10\n\n",
      "<html>\n\n",
    ]);
    return [...pieces.slice(0, at), garbage, ...pieces.slice(at)];
  },
};

/** A valid answer of some provider, with one to three changes. */
export function mutatedAnswer(random: Random): MutatedAnswer {
  const target = random.pick(TARGETS);
  const stream = random.chance(0.7);
  const told = toldBy(random, target);
  const end = target.wire.end(told);
  let pieces = stream
    ? [...target.wire.begin(told), ...target.wire.content(told), ...end]
    : [JSON.stringify(target.wire.whole(told))];
  const changes: string[] = [];

  if (random.chance(0.3)) {
    const cut = truncated(random, pieces, stream ? end : pieces);
    return {
      target,
      stream,
      changes: [cut.change],
      answer: answerOf(stream, cut),
      isCut: cut.isCut,
    };
  }
  for (let count = random.int(1, 3); count > 0; count--) {
    const names = stream
      ? Object.keys(MUTATIONS)
      : [
          "drop the usage",
          "falsify the usage",
          "say 0 of all usage",
          "change a type",
          "drop a field",
        ];
    const name = random.pick(names);
    changes.push(name);
    pieces = pieces.length > 0 ? (MUTATIONS[name] as Mutation)(random, pieces) : pieces;
  }
  const delayed: Piece[] = random.chance(0.1)
    ? pieces.flatMap((piece): Piece[] => [piece, { waitMs: random.int(0, 5) }])
    : pieces;
  return { target, stream, changes, answer: answerOf(stream, { pieces: delayed }), isCut: false };
}

/** Ended, or broken off, at any byte. */
function truncated(random: Random, pieces: string[], end: string[]) {
  const bytes = Buffer.from(pieces.join(""));
  const length = random.int(0, bytes.length - 1);
  const ending = random.pick(["end", "cut"] as const);
  // What says that the answer is whole is in the first event of its end.
  const finished = bytes.length - Buffer.byteLength(end.slice(1).join(""));
  return {
    pieces: [bytes.subarray(0, length)],
    ending,
    change: `${ending} at byte ${length} of ${bytes.length}`,
    isCut: length < finished - 2,
  };
}

function answerOf(
  stream: boolean,
  { pieces, ending }: { pieces: Piece[]; ending?: "end" | "cut" },
) {
  if (stream) return events(pieces, ending);
  return { ...json({}), pieces, ending };
}
