// npm run docs:grafana writes docs/grafana: dashboards, alert rules and data sources, from the names that telemetry has and
// by Grafana's own types. With --check it only compares.
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { main } from "../stack/main.ts";
import { PROJECT } from "../stack/paths.ts";
import { grafanaFiles } from "./grafana/files.ts";

const FOLDER = join(PROJECT, "docs/grafana");

await main(async () => {
  const files = grafanaFiles();
  const entries = await readdir(FOLDER, { recursive: true, withFileTypes: true }).catch(() => []);
  const stale = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !Object.keys(files).some((name) => join(FOLDER, name) === path));

  if (!process.argv.includes("--check")) {
    for (const path of stale) await rm(path);
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(FOLDER, name)), { recursive: true });
      await writeFile(join(FOLDER, name), text);
    }
    return;
  }
  const problems = stale.map((path) => `${path} is nothing that is generated`);
  for (const [name, text] of Object.entries(files)) {
    const found = await readFile(join(FOLDER, name), "utf8").catch(() => "");
    if (found !== text)
      problems.push(`docs/grafana/${name} is not what scripts/docs/grafana makes`);
  }
  for (const problem of problems) console.error(`${problem}. Run: npm run docs:grafana`);
  if (problems.length > 0) process.exitCode = 1;
});
