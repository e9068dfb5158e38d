import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";

/** Whether the machine has a program of that name. */
export async function isInstalled(program: string): Promise<boolean> {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const found = await Promise.allSettled(folders.map((folder) => access(join(folder, program))));
  return found.some(({ status }) => status === "fulfilled");
}
