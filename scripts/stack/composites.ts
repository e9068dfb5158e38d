// PostgREST answers rows within rows as JSON objects; lite passes on the text that Postgres prints
// for them: (t,"a ""b""",{1,2}). These parsers make the one from the other.
import type { Sql } from "postgres";

type Parse = (text: string) => unknown;

interface Attribute {
  composite: number;
  name: string;
  type: number;
}

const SCALARS: Record<number, Parse> = {
  16: (text) => text === "t", // boolean
  20: Number, // bigint
  21: Number, // smallint
  23: Number, // integer
  114: JSON.parse, // json
  700: Number, // real
  701: Number, // double precision
  1114: (text) => text.replace(" ", "T"), // timestamp
  1184: isoTime, // timestamptz
  1700: Number, // numeric
  3802: JSON.parse, // jsonb
};

/** A timestamptz of a UTC session, as PostgREST prints it: 2026-01-31T12:00:00.5+00:00. */
export function isoTime(text: string): string {
  return text.replace(" ", "T").replace(/([+-]\d\d)$/, "$1:00");
}

/**
 * For each composite type of the schemas (a table's row type too), and for the array of it: its
 * oid and a parser of its text.
 */
export async function compositeParsers(sql: Sql, schemas: string[]): Promise<Map<number, Parse>> {
  const attributes = await sql<Attribute[]>`
    select c.reltype::int as composite, a.attname as name, a.atttypid::int as type
    from pg_catalog.pg_class c
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace::regnamespace::text = any (${schemas}) and c.reltype <> 0
      and c.relkind in ('c', 'r', 'p', 'v', 'm')
    order by c.oid, a.attnum`;
  const arrays = await sql<{ array: number; element: number }[]>`
    select typarray::int as array, oid::int as element from pg_catalog.pg_type where typarray <> 0`;
  // A domain prints as the type below it.
  const domains = await sql<{ domain: number; base: number }[]>`
    select oid::int as domain, typbasetype::int as base from pg_catalog.pg_type where typtype = 'd'`;

  const fields = new Map<number, Attribute[]>();
  for (const attribute of attributes) {
    fields.set(attribute.composite, [...(fields.get(attribute.composite) ?? []), attribute]);
  }
  const elementOf = new Map(arrays.map(({ array, element }) => [array, element]));
  const baseOf = new Map(domains.map(({ domain, base }) => [domain, base]));

  const parse = (type: number, text: string | null): unknown => {
    if (text === null) return null;
    const element = elementOf.get(type);
    if (element !== undefined) return splitArray(text).map((item) => parse(element, item));
    const attributes = fields.get(type);
    if (attributes === undefined) {
      const base = baseOf.get(type);
      return base === undefined ? (SCALARS[type]?.(text) ?? text) : parse(base, text);
    }
    const values = split(text, "");
    return Object.fromEntries(
      attributes.map(({ name, type }, i) => [name, parse(type, values[i] ?? null)]),
    );
  };
  const arrayOf = new Map(arrays.map(({ array, element }) => [element, array]));
  const oids = [...fields.keys()].flatMap((type) => [type, arrayOf.get(type) ?? type]);
  return new Map(oids.map((type) => [type, (text: string) => parse(type, text)]));
}

function splitArray(text: string): (string | null)[] {
  if (text === "{}") return [];
  return split(text, "NULL");
}

/**
 * Items of a printed row or one-dimensional array; `bare` is how it prints a null. Within quotes
 * a backslash escapes, and in rows a doubled quote is a quote.
 */
function split(text: string, bare: string): (string | null)[] {
  const items: (string | null)[] = [];
  let item = "";
  let quoted = false;
  let wasQuoted = false;
  const end = () => {
    items.push(item === bare && !wasQuoted ? null : item);
    item = "";
    wasQuoted = false;
  };
  for (let i = 1; i < text.length - 1; i++) {
    const character = text[i];
    if (character === "\\") item += text[++i];
    else if (character === '"' && quoted && text[i + 1] === '"') item += text[++i];
    else if (character === '"') {
      quoted = !quoted;
      wasQuoted = true;
    } else if (character === "," && !quoted) end();
    else item += character;
  }
  end();
  return items;
}
