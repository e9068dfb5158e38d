// The pages of the documentation, and the blocks of code in them.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PROJECT } from "../../scripts/stack/paths.ts";

export interface Block {
  page: string;
  line: number;
  /** What stands behind the opening fence. */
  language: string;
  code: string;
}

export function read(file: string): string {
  return readFileSync(join(PROJECT, file), "utf8");
}

/** All files of a folder as one text. */
export function textOf(folder: string): string {
  const files = readdirSync(join(PROJECT, folder), { recursive: true, encoding: "utf8" });
  return files
    .filter((file) => /\.(sql|ts)$/.test(file) && !file.endsWith("types.ts"))
    .map((file) => read(`${folder}/${file}`))
    .join("\n");
}

/** Every page that the project writes for readers, as a path from its root. */
export const PAGES = [
  ...readdirSync(PROJECT).filter((file) => file.endsWith(".md")),
  ...readdirSync(join(PROJECT, "docs"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .map((file) => `docs/${file.replaceAll("\\", "/")}`),
].sort();

/** @throws Error for a fence that is not closed. */
export function blocksOf(page: string): Block[] {
  const blocks: Block[] = [];
  let open: Block | undefined;
  for (const [index, line] of read(page).split("\n").entries()) {
    const fence = /^\s*```(.*)$/.exec(line);
    if (fence === null) {
      if (open) open.code += `${line}\n`;
    } else if (open) {
      blocks.push(open);
      open = undefined;
    } else {
      open = { page, line: index + 1, language: fence[1] ?? "", code: "" };
    }
  }
  if (open) throw new Error(`${page}:${open.line}: the block is not closed`);
  return blocks;
}

export const BLOCKS = PAGES.flatMap(blocksOf);

/** The statements of SQL blocks, without comments. */
export function statementsOf(code: string): string[] {
  return code
    .replace(/--.*$/gm, "")
    .split(/;\s*$/m)
    .filter((statement) => statement.trim() !== "");
}
