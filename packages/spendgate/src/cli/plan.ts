// What the command is going to do to a project: shown first, then done.
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { createTwoFilesPatch } from "diff";
import { Failure, USAGE } from "./failure.ts";
import { canAsk, paint, say } from "./output.ts";
import type { Project } from "./project.ts";
import { count } from "./text.ts";

export interface Change {
  /** From the project's root. */
  path: string;
  /** Undefined: the file is deleted. */
  content?: string;
  /** The folder under whose name many files are shown as one line. */
  within?: string;
  /** Show what changes in it. */
  showsDiff?: boolean;
}

export interface Plan {
  /** In the order in which they are made. */
  changes: Change[];
  /** What the reader should know, and nothing does. */
  notes: string[];
}

export interface PlanOptions {
  yes?: boolean;
  dryRun?: boolean;
}

/** Whether there is anything to do; a file that says already what it should is no change. */
export function pending(project: Project, { changes }: Plan): Change[] {
  return changes.filter(({ path, content }) => project.read(path) !== content);
}

/**
 * Shows the plan, asks, and carries it out. Answers whether it was carried out.
 * @throws Failure where nobody is there to ask.
 */
export async function carryOut(
  project: Project,
  plan: Plan,
  { yes, dryRun }: PlanOptions,
): Promise<boolean> {
  const changes = pending(project, plan);
  if (changes.length === 0) {
    for (const note of plan.notes) say(`${paint("yellow", "!")} ${note}`);
    say("Nothing to change.");
    return false;
  }
  show(project, changes, plan.notes);
  if (dryRun) {
    say("", "Nothing was changed (--dry-run).");
    return false;
  }
  if (!yes) await ask(changes.length);
  for (const change of changes) make(project, change);
  say("", `${paint("green", "Done:")} ${count(changes.length, "file")}.`);
  return true;
}

/** @throws Failure where the answer is no, or nobody is there to give one. */
async function ask(changes: number): Promise<void> {
  if (!canAsk()) {
    throw new Failure(
      "Nobody can be asked here: this is no terminal.",
      "Add --yes to go ahead, or --dry-run to see the plan only.",
      USAGE,
    );
  }
  const { confirm, isCancel } = await import("@clack/prompts");
  const answer = await confirm({ message: `Change ${count(changes, "file")} as above?` });
  if (isCancel(answer) || !answer) throw new Failure("Nothing was changed.", undefined, 130);
}

function show(project: Project, changes: Change[], notes: string[]): void {
  say(`In ${project.root}:`, "");
  const signs = { add: paint("green", "add"), change: paint("yellow", "change"), delete: "delete" };
  const groups = new Map<string, number>();
  for (const change of changes) {
    const kind = kindOf(project, change);
    const name =
      change.within === undefined
        ? `${signs[kind]} ${change.path}`
        : `${signs[kind]} ${change.within}/`;
    groups.set(name, (groups.get(name) ?? 0) + 1);
  }
  for (const [name, files] of groups) {
    say(`  ${name}${name.endsWith("/") ? ` (${count(files, "file")})` : ""}`);
  }
  for (const { path, content, showsDiff } of changes) {
    const before = project.read(path);
    if (!showsDiff || content === undefined || before === undefined) continue;
    const diff = createTwoFilesPatch(path, path, before, content, undefined, undefined, {
      context: 2,
    });
    say("", ...diff.trimEnd().split("\n").slice(1).map(paintDiff));
  }
  if (notes.length > 0) say("");
  for (const note of notes) say(`${paint("yellow", "!")} ${note}`);
}

function paintDiff(line: string): string {
  if (line.startsWith("+")) return paint("green", line);
  return line.startsWith("-") ? paint("red", line) : line;
}

function kindOf(project: Project, { path, content }: Change): "add" | "change" | "delete" {
  if (content === undefined) return "delete";
  return project.read(path) === undefined ? "add" : "change";
}

/** A file is there as a whole or not at all: a run that is stopped can be repeated. */
function make(project: Project, { path, content }: Change): void {
  const full = project.path(path);
  try {
    if (content === undefined) {
      rmSync(full);
      return;
    }
    mkdirSync(dirname(full), { recursive: true });
    const temporary = `${full}.${process.pid}.tmp`;
    writeFileSync(temporary, content);
    renameSync(temporary, full);
  } catch (error) {
    throw new Failure(
      `${path} cannot be written: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}.`,
      "See to its permissions, and run the command again: it goes on where it stopped.",
    );
  }
}
