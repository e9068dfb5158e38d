// What several test files read and none changes: the first that asks makes it, for the whole run.
import { mkdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inject } from "vitest";
import { until } from "./until.ts";

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

/** The folder that `make` has filled: now, or when another file asked. Whoever waits for one that fails tries it anew. */
export async function once(
  name: string,
  seconds: number,
  make: (folder: string) => Promise<unknown>,
): Promise<string> {
  const folder = join(inject("sharedFolder"), name);
  const made = `${folder}.made`;
  for (;;) {
    // Only one succeeds.
    const isOurs = await mkdir(folder).then(
      () => true,
      () => false,
    );
    if (isOurs) {
      try {
        await make(folder);
        await writeFile(made, "");
        return folder;
      } catch (error) {
        await rm(folder, { recursive: true, force: true });
        throw error;
      }
    }
    await until(
      `${name} is made`,
      async () => (await exists(made)) || !(await exists(folder)),
      seconds,
    );
    if (await exists(made)) return folder;
  }
}
