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
    console.error(describeFailure(error));
    process.exitCode = 1;
  }
}

/** What a person can put right, in words alone; anything else with its stack trace. */
export function describeFailure(error: unknown): unknown {
  if (error instanceof StackError) return error.message;
  const { code = "", path } = error as NodeJS.ErrnoException;
  if (!path || !["EACCES", "EPERM", "EROFS", "ENOSPC"].includes(code)) return error;
  if (code === "ENOSPC") return `The disk is full: ${path} cannot be written.`;
  return `${path} cannot be used (${code}). Make it yours: \`sudo chown -R "$(id -un)" ${path}\`.`;
}
