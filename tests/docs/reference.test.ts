// The reference pages against what they describe: nothing is missing, nothing is stale.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { SETTING_GROUPS } from "../../functions/_shared/runtime/settings.ts";
import { envExample, settingsReference } from "../../scripts/docs/settings.ts";
import { sqlReference, sqlReferencePath } from "../../scripts/docs/sql.ts";
import { cloneDatabase } from "../support/database.ts";
import { read, textOf } from "./pages.ts";

/** The cells of a row of a table. */
function cellsOf(line: string): string[] {
  return line
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());
}

/** The rows of the tables under a heading, without their heads. */
function rowsUnder(page: string, heading: string): string[][] {
  const section = read(page)
    .split(new RegExp(`^## ${heading}$`, "m"))[1]
    ?.split(/^## /m)[0];
  if (section === undefined) throw new Error(`${page} has no ## ${heading}`);
  const rows = section
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .map(cellsOf);
  return rows.filter(([first]) => !/^(---|status|SQLSTATE|variable|client)$/.test(first ?? ""));
}

const codesIn = (cell = "") => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code ?? "");

it("docs/reference/sql.md is what `npm run docs:sql` writes today", async () => {
  const { sql, close } = await cloneDatabase();
  try {
    expect(readFileSync(sqlReferencePath, "utf8"), "run: npm run docs:sql").toBe(
      await sqlReference(sql),
    );
  } finally {
    await close();
  }
});

it("docs/reference/errors.md has every code of the functions, with its status", () => {
  const statuses = read("functions/_shared/errors.ts").match(/const STATUS.*?\{(.*?)\};/s)?.[1];
  const inCode = [...(statuses ?? "").matchAll(/(\w+): (\d+),/g)].map(([, code, status]) => [
    status,
    code,
  ]);
  expect(inCode.length).toBeGreaterThan(15);
  const rows = rowsUnder("docs/reference/errors.md", "HTTP");
  const documented = rows.map(([status, code]) => [status, codesIn(code)[0]].join(" "));
  // A provider that is busy is an upstream_error of another status, in the same row.
  for (const [status, code] of inCode) {
    expect(documented, code).toContain(`${status} ${code}`);
  }
  expect(documented.sort()).toEqual(inCode.map((pair) => pair.join(" ")).sort());
  for (const row of rows) {
    expect(
      row.slice(3).every((cell) => cell !== ""),
      `${row[1]}: cause and remedy`,
    ).toBe(true);
  }
});

/** `SQLSTATE message` of all that the schema files raise by name. */
function raisedByName(): string[] {
  const schemas = textOf("supabase/schemas").replace(/--.*$/gm, "");
  const calls = schemas.matchAll(/(?:fail|error_answer)\(\s*'(\w{5})',\s*'([a-z]\w*[a-z])'/g);
  const raises = schemas.matchAll(/errcode = '(\w{5})', message = '(\w+)'/g);
  // SGROO never leaves the function that raises it.
  return [...calls, ...raises]
    .filter(([, sqlstate]) => sqlstate !== "SGROO")
    .map(([, sqlstate, message]) => `${sqlstate} ${message}`);
}

it("docs/reference/errors.md has every SQLSTATE and message that SQL raises", async () => {
  const { sql, close } = await cloneDatabase();
  try {
    // Triggers that answer for constraints: their arguments say what a row is, the catalogue what it refers to.
    const triggers = await sql<{ name: string; table: string; row: string }[]>`
      select t.tgname as name, t.tgrelid::regclass::text as table,
        split_part(encode(t.tgargs, 'escape'), '\\000', 1) as row
      from pg_trigger as t join pg_proc as p on p.oid = t.tgfoid
      where p.proname in ('explain_mistakes', 'explain_uses') and t.tgparentid = 0`;
    const references = await sql<{ row: string }[]>`
      select distinct rtrim(g.relname, 's') as row
      from pg_constraint as c
      join pg_class as g on g.oid = c.confrelid
      where c.contype = 'f' and c.conrelid in (
        select t.tgrelid from pg_trigger as t join pg_proc as p on p.oid = t.tgfoid
        where p.proname = 'explain_references'
      )`;
    const isMistake = ({ name }: { name: string }) => /mistakes/i.test(name);
    const raised = new Set([
      ...raisedByName(),
      ...triggers
        .filter(isMistake)
        .flatMap(({ row }) => [`22023 invalid_${row}`, `PT409 duplicate_${row}`]),
      ...triggers.filter((each) => !isMistake(each)).map(({ row }) => `PT409 ${row}_in_use`),
      ...references.map(({ row }) => `PT404 unknown_${row}`),
    ]);
    expect(raised.size).toBeGreaterThan(45);

    const rows = rowsUnder("docs/reference/errors.md", "SQL");
    const documented = new Set(
      rows
        .filter(([, message]) => !message?.startsWith("("))
        .flatMap(([sqlstate, message]) => codesIn(message).map((code) => `${sqlstate} ${code}`)),
    );
    expect([...documented].sort()).toEqual([...raised].sort());
    for (const row of rows) {
      expect(
        row.slice(2).every((cell) => cell !== ""),
        `${row[1]}: cause and remedy`,
      ).toBe(true);
    }
  } finally {
    await close();
  }
});

it("docs/reference/settings.md and .env.example are what `npm run docs:settings` writes today", () => {
  const page = read("docs/reference/settings.md");
  expect(page, "run: npm run docs:settings").toBe(settingsReference(page));
  expect(read(".env.example"), "run: npm run docs:settings").toBe(envExample());
});

it("every setting is read, and no other one is", () => {
  const names = Object.values(SETTING_GROUPS).flatMap((settings) => Object.keys(settings));
  expect(names.length).toBeGreaterThan(50);
  const table = read("functions/_shared/runtime/settings.ts");
  const code = `${textOf("functions")}${textOf("scripts")}`.replace(table, "");
  expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(code))).toEqual([]);
  const others = [...code.matchAll(/\b(?:process\.env|values|env)\.([A-Z][A-Z0-9]*_[A-Z0-9_]+)/g)];
  expect(others.map(([, name]) => name).filter((name = "") => !names.includes(name))).toEqual([]);
});

it("docs/guides/llm.md names the versions of the clients that are tried", () => {
  const { dependencies, devDependencies } = JSON.parse(read("package.json"));
  const root = { ...dependencies, ...devDependencies };
  const node22 = JSON.parse(read("tests/node22/package.json")).dependencies;
  const rows = rowsUnder("docs/guides/llm.md", "Clients");
  expect(rows).toHaveLength(8);
  for (const [clients, versions] of rows) {
    const tried = codesIn(clients).flatMap((name) => [root[name], node22[name]].filter(Boolean));
    expect(versions, clients).toBe(tried.join(", "));
  }
});
