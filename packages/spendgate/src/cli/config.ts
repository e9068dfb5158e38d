// supabase/config.toml with what Spendgate needs in it. All that was there stays: values, order, comments.
import { posix } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { parse, patch } from "@decimalturn/toml-patch";
import { Failure } from "./failure.ts";
import { type FunctionConfig, readConfig } from "./project.ts";

export const SCHEMA = "spend";
/** What the CLI exposes where config.toml does not say. */
const DEFAULT_SCHEMAS = ["public", "graphql_public"];

type Table = Record<string, unknown>;

/** A new project's config.toml; what it does not say has the CLI's defaults. */
export function newConfig(projectId: string): string {
  return `# Configuration of the Supabase CLI: https://supabase.com/docs/guides/local-development/cli/config
project_id = ${JSON.stringify(projectId)}

[api]
schemas = ${list([...DEFAULT_SCHEMAS, SCHEMA])}

[db]
major_version = 17
`;
}

/**
 * Exposes the schema spend, adds the functions that have no section, and corrects the entrypoints of those that have one:
 * `functions` are Spendgate's own alone.
 * @throws Failure where that cannot be done without losing something.
 */
export function mergeConfig(text: string, functions: Record<string, FunctionConfig>): string {
  const config = readConfig(text);
  const schemas = config.api?.schemas ?? DEFAULT_SCHEMAS;
  let merged = text;
  if (!schemas.includes(SCHEMA)) {
    const wanted = structuredClone(config);
    wanted.api = { ...wanted.api, schemas: [...schemas, SCHEMA] };
    merged = patch(text, wanted);
    demandKept(text, merged, wanted);
  }
  merged = withEntrypoints(merged, functions);
  const added = Object.entries(functions).filter(([name]) => !config.functions?.[name]);
  if (added.length === 0) return merged;
  const wanted = parse(merged) as Table;
  wanted.functions = { ...(wanted.functions as Table), ...Object.fromEntries(added) };
  const extended = withSections(merged, added, wanted) ?? patch(merged, wanted);
  demandKept(text, extended, wanted);
  return extended;
}

/** Sections that name another file than the function has now: a release may bring bundles where there were sources. */
function withEntrypoints(text: string, functions: Record<string, FunctionConfig>): string {
  const wanted = structuredClone(readConfig(text));
  for (const [name, { entrypoint = "", import_map }] of Object.entries(functions)) {
    const own = wanted.functions?.[name];
    const found = own?.entrypoint ?? `functions/${name}/index.ts`;
    if (!own || posix.normalize(found) === posix.normalize(entrypoint)) continue;
    own.entrypoint = entrypoint;
    if (import_map) own.import_map = import_map;
    else delete own.import_map;
  }
  if (saysTheSame(wanted, readConfig(text))) return text;
  const changed = patch(text, wanted);
  demandKept(text, changed, wanted);
  return changed;
}

/** Sections at the end; undefined where the file has its functions in another form, which forbids sections. */
function withSections(
  text: string,
  functions: [string, FunctionConfig][],
  wanted: Table,
): string | undefined {
  const newline = text.includes("\r\n") ? "\r\n" : "\n";
  const lines = [
    "# Spendgate's functions. Each verifies its caller itself: the secret key, or a user's JWT.",
    ...functions.flatMap(([name, config]) => [
      `[functions.${name}]`,
      ...Object.entries(config).map(([key, value]) => `${key} = ${JSON.stringify(value)}`),
      "",
    ]),
  ];
  const extended = `${text.trimEnd()}${newline}${newline}${lines.join(newline)}`;
  try {
    return saysTheSame(parse(extended), wanted) ? extended : undefined;
  } catch {
    return undefined;
  }
}

/** @throws Failure where the new text does not say what is wanted, or has lost a comment. */
function demandKept(before: string, after: string, wanted: unknown): void {
  const isRight = saysTheSame(parse(after), wanted);
  const kept = new Set(comments(after));
  if (isRight && comments(before).every((comment) => kept.has(comment))) return;
  throw new Failure(
    "supabase/config.toml cannot be changed without losing something of it.",
    `Add "${SCHEMA}" to [api] schemas by hand, and run the command again with --no-config.`,
  );
}

/** The parser's tables have another prototype than a copy of them. */
function saysTheSame(a: unknown, b: unknown): boolean {
  const plain = (value: unknown) =>
    JSON.parse(
      JSON.stringify(value, (_, each) => (typeof each === "bigint" ? String(each) : each)),
    );
  return isDeepStrictEqual(plain(a), plain(b));
}

function comments(text: string): string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line.startsWith("#"));
}

function list(values: string[]): string {
  return `[${values.map((value) => JSON.stringify(value)).join(", ")}]`;
}
