// Mutants that are a change of a text: the text to change must be there, once.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { StackError } from "../../scripts/stack/ports.ts";
import type { Change, Mutant } from "./mutant.ts";

/** A text that is not there any more would break nothing, and look like a survivor. */
export async function demandTexts(mutants: Mutant[]): Promise<void> {
  const missing: string[] = [];
  for (const { name, change } of mutants) {
    if (!("file" in change)) continue;
    await changedText(change).catch((error) => missing.push(`${name}: ${error.message}`));
  }
  if (missing.length > 0) throw new StackError(missing.join("\n"));
}

/** The file with its change; the text to change must be there once. */
export async function changedText(
  change: Exclude<Change, { sql: string }>,
): Promise<{ text: string; at: number }> {
  const text = await readFile(join(PROJECT, change.file), "utf8");
  const found =
    typeof change.from === "string"
      ? text.split(change.from).length - 1
      : [...text.matchAll(new RegExp(change.from.source, `${change.from.flags}g`))].length;
  if (found !== 1) throw new Error(`${change.file} has ${found} times: ${change.from}`);
  const at = typeof change.from === "string" ? text.indexOf(change.from) : text.search(change.from);
  const changed = text.replace(change.from, () => change.to);
  if (changed === text) throw new Error(`${change.file}: nothing changes in ${change.from}`);
  return { text: changed, at };
}
