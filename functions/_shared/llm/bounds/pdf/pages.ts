// How many pages a PDF has, and how much text they can show at most: what a provider makes tokens of. Not a reader of
// PDFs: it looks at all objects of the file, old versions too, and says so where pages could hide from it.
import { InflateError, inflate } from "./inflate.ts";

export interface PdfSize {
  /** Never fewer than a reader finds. */
  pages: number;
  /** Bytes of what draws the pages, unpacked: a letter is at least one. Infinity where nothing bounds it. */
  textBytes: number;
}

/** Says why the pages of a file cannot be counted. */
export class UncountablePdf extends Error {}

/** Unpacked bytes of one file that are looked at. */
const UNPACK_LIMIT = 8_000_000;
/** Versions of one object. */
const MOST_VERSIONS = 1000;
/** Contents of all pages together. */
const MOST_CONTENTS = 200_000;

interface PdfObject {
  /** Its number; a file that was changed has several of the same. */
  id: string;
  /** What stands before its stream, names without escapes. */
  head: string;
  stream?: Uint8Array;
}

/** @throws UncountablePdf for a file whose pages cannot be counted. */
export function measurePdf(file: Uint8Array): PdfSize {
  const text = latin1(file);
  if (/\/Encrypt\b/.test(text)) throw new UncountablePdf("it is encrypted");
  const unpacker = new Unpacker();
  const objects = readObjects(file, text);
  const packed = objects.filter(({ head, stream }) => stream && /\/ObjStm\b/.test(head));
  const all = [...objects, ...packed.flatMap((object) => unpackObjects(object, unpacker))];
  return { pages: countPages(all), textBytes: textBytes(all, unpacker) };
}

/**
 * The objects of the file in the order of their bytes. A stream ends at `endstream`, whatever length it states: what
 * it states may be wrong, and would then hide what follows.
 */
function readObjects(file: Uint8Array, text: string): PdfObject[] {
  const starts = [...text.matchAll(/(?<!\d)(\d{1,10})\s+\d{1,10}\s+obj\b/g)];
  let end = 0;
  return starts.map((start, index) => {
    const id = start[1] ?? "";
    const from = start.index + start[0].length;
    const body = text.slice(from, starts[index + 1]?.index);
    const stream = /\bstream(\r\n|\n|\r)/.exec(body);
    if (!stream) return { id, head: plain(body) };
    const begin = from + stream.index + stream[0].length;
    // Looked for once, however many streams there are before it.
    if (end < begin) {
      const found = text.indexOf("endstream", begin);
      end = found < 0 ? text.length : found;
    }
    return { id, head: plain(body.slice(0, stream.index)), stream: file.subarray(begin, end) };
  });
}

/** The objects in an object stream: pairs of number and place, then the objects. */
function unpackObjects({ head, stream }: PdfObject, unpacker: Unpacker): PdfObject[] {
  const bytes = stream && unpacker.unpack(head, stream);
  if (!bytes) throw new UncountablePdf("it has objects that cannot be unpacked");
  const text = latin1(bytes);
  const count = numberOf(head, "N");
  const first = numberOf(head, "First");
  if (count === undefined || first === undefined) {
    throw new UncountablePdf("it has packed objects without a table");
  }
  const table = [...text.slice(0, first).matchAll(/(\d+)\s+(\d+)/g)].slice(0, count);
  const places = table.map(([, , place]) => first + Number(place));
  return table.map(([, id = ""], index) => ({
    id,
    head: plain(text.slice(places[index], places[index + 1])),
  }));
}

/**
 * The most that any way to count gives: pages by their type, the leaves of the tree, and what the tree says of itself.
 */
function countPages(objects: PdfObject[]): number {
  const heads = headsOf(objects);
  const pages = new Set<string>();
  const parents = new Map<string, string>();
  let stated = 0;
  for (const { id, head } of objects) {
    if (HIDDEN.test(head)) throw new UncountablePdf("it hides what its objects are");
    if (/\/Type\s*\/Page(?![\w#])/.test(head)) pages.add(id);
    const counts = [...head.matchAll(/\/Count\s+(\d+)/g)].map(([, count]) => Number(count));
    // Forms and tables of names have kids too: a tree of pages says its type or its count.
    if (counts.length === 0 && !/\/Type\s*\/Pages\b/.test(head)) continue;
    for (const [, list, elsewhere] of head.matchAll(KIDS)) {
      stated = Math.max(stated, ...counts);
      const lists = list === undefined ? (heads.get(elsewhere ?? "") ?? []) : [list];
      for (const each of lists) addKids(parents, id, each);
    }
  }
  const count = Math.max(pages.size, parents.size, stated);
  if (count === 0) throw new UncountablePdf("it has no pages that can be found");
  return count;
}

const KIDS = /\/Kids\s*(?:\[([^\][]*)\]|(\d+)\s+\d+\s+R)/g;
/** A type, or a list of kids, that does not follow its name. */
const HIDDEN = /\/Type(?![\w.-])(?!\s*\/)|\/Kids(?![\w.-])(?!\s*(\[|\d+\s+\d+\s+R))/;

/** Pages that stand in the tree twice are shown twice; a tree that shares its branches may have any number. */
function addKids(parents: Map<string, string>, parent: string, list: string): void {
  const kids = references(list);
  if (new Set(kids).size < kids.length) throw new UncountablePdf("it shows a page more than once");
  for (const kid of kids) {
    if ((parents.get(kid) ?? parent) !== parent) {
      throw new UncountablePdf("it shows a page more than once");
    }
    parents.set(kid, parent);
  }
}

/** All versions of each object. */
function headsOf(objects: PdfObject[]): Map<string, string[]> {
  const heads = new Map<string, string[]>();
  for (const { id, head } of objects) {
    const versions = heads.get(id);
    if (versions) versions.push(head);
    else heads.set(id, [head]);
    // Whoever looks an object up looks at all of them.
    if (versions && versions.length > MOST_VERSIONS)
      throw new UncountablePdf("it was changed too often");
  }
  return heads;
}

/** What pages draw, as often as they draw it. */
function textBytes(objects: PdfObject[], unpacker: Unpacker): number {
  const shown = timesShown(objects);
  if (!shown) return Number.POSITIVE_INFINITY;
  let drawn = 0;
  let draws = 0;
  let largestForm = 0;
  let formsDraw = false;
  for (const { id, head, stream } of objects) {
    const times = shown.get(id) ?? 0;
    if (!stream || (times === 0 && NO_TEXT.test(head))) continue;
    const bytes = unpacker.unpack(head, stream);
    if (!bytes) return Number.POSITIVE_INFINITY;
    const calls = [...latin1(bytes).matchAll(/\sDo\b/g)].length;
    draws += calls * Math.max(times, 1);
    drawn += bytes.length * Math.max(times, 1);
    if (/\/Subtype\s*\/Form\b/.test(head)) {
      largestForm = Math.max(largestForm, bytes.length);
      formsDraw ||= calls > 0;
    }
  }
  // A form may be drawn any number of times; one that draws others, any number of times again.
  return formsDraw ? Number.POSITIVE_INFINITY : drawn + draws * largestForm;
}

/** How many pages have an object as their content; undefined where they are too many to say. */
function timesShown(objects: PdfObject[]): Map<string, number> | undefined {
  const heads = headsOf(objects);
  const shown = new Map<string, number>();
  let left = MOST_CONTENTS;
  for (const { head } of objects) {
    for (const [, list, one = ""] of head.matchAll(CONTENTS)) {
      const lists = list === undefined ? (heads.get(one) ?? []).filter(isArray) : [list];
      const ids = [one, ...lists.flatMap(references)];
      left -= ids.length + lists.length;
      if (left < 0) return undefined;
      for (const id of ids) shown.set(id, (shown.get(id) ?? 0) + 1);
    }
  }
  return shown;
}

const CONTENTS = /\/Contents\s*(?:\[([^\][]*)\]|(\d+)\s+\d+\s+R)/g;

function isArray(head: string): boolean {
  return /^\s*\[/.test(head);
}

/** The objects that a list names. */
function references(list: string): string[] {
  return [...list.matchAll(/(?<!\d)(\d{1,10})\s+\d{1,10}\s+R/g)].map(([, id = ""]) => id);
}

/** Streams that draw nothing, unless a page says that they are its content. */
const NO_TEXT =
  /\/Subtype\s*\/(Image|Type1C|CIDFontType0C|OpenType|XML)\b|\/Type\s*\/(ObjStm|XRef|Metadata|EmbeddedFile)\b|\/Length1\b|\/Alternate\b|\/CMapName\b/;

/** Unpacks streams, all of a file together up to a limit. */
class Unpacker {
  #left = UNPACK_LIMIT;

  /** Undefined for what is packed in a way that is not known, and past the limit. */
  unpack(head: string, stream: Uint8Array): Uint8Array | undefined {
    const [, list, name] = /\/Filter\s*(?:\[([^\][]*)\]|\/(\w+))/.exec(head) ?? [];
    const filters = (list ?? (name ? `/${name}` : "")).match(/\w+/g) ?? [];
    if (/\/Filter\b/.test(head) && filters.length === 0) return undefined;
    let bytes = stream;
    this.#left -= stream.length;
    for (const filter of filters) {
      const next = this.#apply(filter, bytes, head);
      if (!next) return undefined;
      bytes = next;
    }
    this.#left -= bytes.length;
    return this.#left < 0 ? undefined : bytes;
  }

  #apply(filter: string, bytes: Uint8Array, head: string): Uint8Array | undefined {
    if (filter === "ASCII85Decode" || filter === "A85") return fromAscii85(bytes);
    if (filter !== "FlateDecode" && filter !== "Fl") return undefined;
    if (/\/Predictor\s+([2-9]|\d\d)/.test(head)) return undefined;
    try {
      return inflate(bytes, Math.max(this.#left, 0));
    } catch (error) {
      if (error instanceof InflateError) return undefined;
      throw error;
    }
  }
}

/** Five characters of 85 for four bytes, `z` for four zeros, `~>` at the end. */
function fromAscii85(text: Uint8Array): Uint8Array {
  const bytes: number[] = [];
  let group: number[] = [];
  const flush = (size: number) => {
    while (group.length < 5) group.push(84);
    const value = group.reduce((sum, digit) => sum * 85 + digit, 0);
    for (let at = 0; at < size; at++) bytes.push(Math.floor(value / 256 ** (3 - at)) % 256);
    group = [];
  };
  for (const code of text) {
    if (code === 126) break;
    if (code === 122 && group.length === 0) bytes.push(0, 0, 0, 0);
    if (code < 33 || code > 117) continue;
    group.push(code - 33);
    if (group.length === 5) flush(4);
  }
  if (group.length > 1) flush(group.length - 1);
  return Uint8Array.from(bytes);
}

/**
 * Names as they are meant: `/P#61ge` is `/Page`. After a `%` may stand a comment, or the rest of a string's line: both
 * readings are looked at.
 */
function plain(text: string): string {
  const meant = text.replace(/#([\da-fA-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return meant.includes("%") ? `${meant}\n${meant.replace(/%[^\r\n]*/g, " ")}` : meant;
}

function numberOf(head: string, name: string): number | undefined {
  const [, digits] = new RegExp(`/${name}\\s+(\\d+)(?!\\d|\\s+\\d+\\s+R)`).exec(head) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

function latin1(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes);
}
