// npm run package:release: records the hashes of the functions of this version, in releases/<version>.json. Upgrades tell by them
// which files of a project are as they were published.
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { main } from "../../scripts/stack/main.ts";
import { StackError } from "../../scripts/stack/ports.ts";
import { PACKAGE } from "./assets.ts";
import { functionsSource } from "./functions_source.ts";
import { sha256 } from "./src/cli/text.ts";

await main(async () => {
  const { version } = JSON.parse(await readFile(join(PACKAGE, "package.json"), "utf8"));
  const path = join(PACKAGE, "releases", `${version}.json`);
  if (existsSync(path)) throw new StackError(`${version} is recorded: raise the version first.`);
  const { files } = await functionsSource();
  const hashes = [...files].map(([file, text]) => [file, sha256(text)]);
  await writeFile(path, `${JSON.stringify({ functions: Object.fromEntries(hashes) }, null, 2)}\n`);
  console.log(`recorded ${hashes.length} files of ${version}`);
});
