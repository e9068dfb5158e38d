import { fileURLToPath } from "node:url";
import { StackError } from "./ports.ts";

/** Whether a module is what was run, and not imported by something else. */
export function isCommand({ url }: { url: string }): boolean {
  return process.argv[1] === fileURLToPath(url);
}

/** Runs a command: what a person can put right is shown without a stack trace. */
export async function main(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    console.error(error instanceof StackError ? error.message : error);
    process.exitCode = 1;
  }
}
