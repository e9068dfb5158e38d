// expected.md as data: the answers that a person reviews, one line per thing and command.
import { readFileSync } from "node:fs";

/** Columns of the tables in expected.md, in their order. */
export const ACTORS = [
  "anon",
  "member",
  "two",
  "admin",
  "owner",
  "removed",
  "other member",
  "other admin",
  "other owner",
  "viewer",
  "editor",
  "service",
] as const;
export type Actor = (typeof ACTORS)[number];

export type Answers = Record<Actor, string>;

/** Lines of the table under a heading: what comes before the actors' columns, joined by a space -> answers. */
export function expected(heading: string): Map<string, Answers> {
  const text = readFileSync(new URL("expected.md", import.meta.url), "utf8");
  const section = text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`expected.md has no section ${heading}`);
  const [header, , ...rows] = section
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) =>
      line
        .slice(1, -1)
        .split("|")
        .map((cell) => cell.trim()),
    );
  const keys = (header?.length ?? 0) - ACTORS.length;
  if (header?.slice(keys).join() !== ACTORS.join()) {
    throw new Error(`the columns of ${heading} are not ${ACTORS.join(", ")}`);
  }
  const lines = new Map<string, Answers>();
  for (const row of rows) {
    const key = row.slice(0, keys).join(" ");
    if (lines.has(key)) throw new Error(`${heading} has two lines for ${key}`);
    lines.set(key, Object.fromEntries(ACTORS.map((a, i) => [a, row[keys + i]])) as Answers);
  }
  return lines;
}

/** A line as it would stand in expected.md: what a failing test prints, to be judged and copied. */
export function asLine(key: string, answers: Answers): string {
  return `| ${key.split(" ").join(" | ")} | ${ACTORS.map((actor) => answers[actor]).join(" | ")} |`;
}
