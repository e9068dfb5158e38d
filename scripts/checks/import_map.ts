// npm run import-map: writes functions/import_map.json, by which hosted functions find the dependencies that
// node_modules holds here: the same names, the same versions. With --check it only compares.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PROJECT } from "../stack/paths.ts";

const FILE = join(PROJECT, "functions/import_map.json");

const { dependencies } = JSON.parse(await readFile(join(PROJECT, "package.json"), "utf8")) as {
  dependencies: Record<string, string>;
};
const imports = Object.fromEntries(
  Object.entries(dependencies).map(([name, version]) => [name, `npm:${name}@${version}`]),
);
const wanted = `${JSON.stringify({ imports }, null, 2)}\n`;

if (!process.argv.includes("--check")) {
  await writeFile(FILE, wanted);
} else if ((await readFile(FILE, "utf8")) !== wanted) {
  console.error("functions/import_map.json is not what package.json says. Run: npm run import-map");
  process.exitCode = 1;
}
