import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root. */
export const PROJECT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** What the local stack keeps between runs: the database, its log, the keys. */
export const STACK_DATA = join(PROJECT, ".spendgate");
