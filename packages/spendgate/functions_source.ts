// Where the package takes the edge functions from: bundles, where the repository can make them (scripts/functions/bundle.ts), else
// the sources. The command copies what it is given: it knows neither form. SPENDGATE_FUNCTIONS_FORM chooses.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { PROJECT } from "../../scripts/stack/paths.ts";
import type { FunctionEntry } from "./src/cli/assets.ts";

export interface FunctionsSource {
  /** Text by path below the folder of the functions. */
  files: Map<string, string>;
  entries: Record<string, FunctionEntry>;
}

/** Functions of a project; `example` is for readers. */
export const NAMES = ["chat", "openai", "anthropic", "sandbox", "alerts", "maintenance"];

const FOLDER = join(PROJECT, "functions");
const IMPORT_MAP = "import_map.json";
const BUNDLER = join(PROJECT, "scripts/functions/bundle.ts");

/** A folder for each function, with an index.js and what that imports. */
type BundleFunctions = (folder: string, names: string[]) => Promise<unknown>;

export async function functionsSource(): Promise<FunctionsSource> {
  const form = process.env.SPENDGATE_FUNCTIONS_FORM;
  const wantsBundles = form === undefined ? existsSync(BUNDLER) : form === "bundles";
  return wantsBundles ? bundles() : sources();
}

function sources(): FunctionsSource {
  const paths = ["_shared", ...NAMES].flatMap((folder) =>
    below(FOLDER, folder).filter((path) => path.endsWith(".ts")),
  );
  return {
    files: read(FOLDER, [IMPORT_MAP, ...paths]),
    entries: Object.fromEntries(
      NAMES.map((name) => [name, { entrypoint: `${name}/index.ts`, importMap: IMPORT_MAP }]),
    ),
  };
}

async function bundles(): Promise<FunctionsSource> {
  const { bundleFunctions } = (await import(pathToFileURL(BUNDLER).href)) as {
    bundleFunctions: BundleFunctions;
  };
  const folder = await mkdtemp(join(tmpdir(), "spendgate-functions-"));
  try {
    await bundleFunctions(folder, NAMES);
    return {
      files: read(folder, below(folder, "")),
      entries: Object.fromEntries(NAMES.map((name) => [name, { entrypoint: `${name}/index.js` }])),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Files of a folder in `root`, as paths from there. */
function below(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
}

function read(folder: string, paths: string[]): Map<string, string> {
  return new Map(
    paths.map((path) => [path.replaceAll("\\", "/"), readFileSync(join(folder, path), "utf8")]),
  );
}
