// Where the package takes the edge functions from: one bundled file for each, where `npm run functions:build` made them
// (functions/dist), else the sources. The command copies what it is given: it knows neither form.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PROJECT } from "../../scripts/stack/paths.ts";
import type { FunctionEntry } from "./src/cli/assets.ts";

export interface FunctionsSource {
  /** Text by path below the folder of the functions. */
  files: Map<string, string>;
  entries: Record<string, FunctionEntry>;
}

/** Functions of a project; `example` is for readers. */
export const NAMES = ["chat", "openai", "sandbox", "alerts", "maintenance"];

const FOLDER = join(PROJECT, "functions");
const IMPORT_MAP = "import_map.json";

export function functionsSource(form = process.env.SPENDGATE_FUNCTIONS_FORM): FunctionsSource {
  return form === "bundles" ? bundles(join(FOLDER, "dist")) : sources();
}

function sources(): FunctionsSource {
  const paths = ["_shared", ...NAMES].flatMap((folder) =>
    readdirSync(join(FOLDER, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
      .map((entry) => join(entry.parentPath, entry.name).slice(FOLDER.length + 1)),
  );
  return {
    files: read(FOLDER, [IMPORT_MAP, ...paths.sort()]),
    entries: Object.fromEntries(
      NAMES.map((name) => [name, { entrypoint: `${name}/index.ts`, importMap: IMPORT_MAP }]),
    ),
  };
}

/** `<name>.js` in one folder. */
function bundles(folder: string): FunctionsSource {
  const missing = NAMES.filter((name) => !existsSync(join(folder, `${name}.js`)));
  if (missing.length > 0) throw new Error(`${folder} lacks ${missing.join(", ")}`);
  return {
    files: read(
      folder,
      NAMES.map((name) => `${name}.js`),
    ),
    entries: Object.fromEntries(NAMES.map((name) => [name, { entrypoint: `${name}.js` }])),
  };
}

function read(folder: string, paths: string[]): Map<string, string> {
  return new Map(
    paths.map((path) => [path.replaceAll("\\", "/"), readFileSync(join(folder, path), "utf8")]),
  );
}
