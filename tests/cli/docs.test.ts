// docs/reference/cli.md has what the command has: its commands, options, checks and exit codes.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { BLOCKS, read, textOf } from "../docs/pages.ts";

const PAGE = "docs/reference/cli.md";
const COMMANDS = ["init", "upgrade", "doctor", "sql", "prices update"];

/** The options of a command, as its source says: `--name`. */
const options = new Map<string, string[]>();

beforeAll(() => {
  const source = read("packages/spendgate/src/cli/main.ts");
  const common = optionsIn(
    source.slice(source.indexOf("const changing"), source.indexOf('changing("init"')),
  );
  const [, ...parts] = source.split(
    /(?:changing\(|\.command\()\s*"(?=init|upgrade|doctor|sql|update)/,
  );
  for (const part of parts) {
    const [, name = ""] = /^(\w+)"/.exec(part) ?? [];
    const isChanging = ["init", "upgrade", "update"].includes(name);
    options.set(name, [
      ...optionsIn(part.split(".action(")[0] ?? ""),
      ...(isChanging ? common : []),
    ]);
  }
});

function optionsIn(text: string): string[] {
  return [...text.matchAll(/\.option\("(?:-\w, )?(--[\w-]+)/g)].map(([, name]) => name as string);
}

const sectionOf = (command: string) =>
  read(PAGE)
    .split(/^## /m)
    .find((section) => section.startsWith(`${command}\n`)) ?? "";

it("each of the five commands has a section with each of its options", () => {
  expect([...options.keys()].sort()).toEqual(["doctor", "init", "sql", "update", "upgrade"]);
  for (const command of COMMANDS) {
    const known = options.get(command.split(" ").at(-1) as string) as string[];
    const head = read(PAGE).split(/^## /m)[0] ?? "";
    const isChanging = known.includes("--dry-run");
    const text = sectionOf(command) + (isChanging ? head : "");
    for (const option of known)
      expect(text, `${command} ${option}`).toMatch(new RegExp(`\`${option}[\` ]`));
    const documented = [...sectionOf(command).matchAll(/^\| `(--[\w-]+)/gm)].map(
      ([, name]) => name,
    );
    for (const option of documented) expect(known, `${command} ${option}`).toContain(option);
  }
});

it("each check of doctor is in its table, and no other", () => {
  const source = textOf("packages/spendgate/src/cli/doctor");
  const inCode = [...source.matchAll(/\b(?:ok|warning|wrong)\(\s*"([\w.]+)"/g)].map(
    ([, name]) => name as string,
  );
  const rows = sectionOf("doctor")
    .split("\n")
    .filter((line) => /^\| `[a-z]/.test(line));
  const documented = rows.flatMap((row) =>
    [...(row.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)].map(([, name]) => name as string),
  );
  const expected = [
    ...new Set(inCode),
    "functions.entrypoint",
    "functions.import_map",
    "function.<name>",
  ];
  expect([...new Set(documented)].sort()).toEqual([...new Set(expected)].sort());
});

it("each npx spendgate of the documentation is a command with options that it has", () => {
  const lines = BLOCKS.filter(({ language }) => language === "sh").flatMap(({ code }) =>
    code.split("\n"),
  );
  const used = lines.flatMap((line) => /npx spendgate(?:@latest)? ([^#>]*)/.exec(line)?.[1] ?? []);
  expect(used.length).toBeGreaterThan(8);
  for (const line of used) {
    const command = COMMANDS.find((name) => line.startsWith(name));
    expect(command, line).toBeDefined();
    const known = options.get(command?.split(" ").at(-1) ?? "") as string[];
    for (const [option] of line.matchAll(/--[\w-]+/g)) expect(known, line).toContain(option);
  }
});

it("npm, JSR and db:release name one version, and npm and JSR the same entries", () => {
  const [root, npm, jsr] = [
    "package.json",
    "packages/spendgate/package.json",
    "packages/spendgate/jsr.json",
  ].map((file) => JSON.parse(read(file)));
  expect([npm.version, jsr.version]).toEqual([root.version, root.version]);
  const { "./package.json": _, ...entries } = npm.exports as Record<string, { default: string }>;
  const files = Object.entries(entries).map(([name, { default: file }]) => [name, file]);
  expect(jsr.exports).toEqual(Object.fromEntries(files));
  expect(readdirSync(join(PROJECT, "packages/spendgate/releases"))).toContain("0.1.0.json");
});
