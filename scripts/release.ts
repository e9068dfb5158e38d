// npm run db:release: freezes the migrations that no release has yet, for the version of package.json.
import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { isReleased, linesOfRelease, releaseMarker, releaseProblems } from "./releases.ts";
import { main } from "./scratch.ts";
import { PROJECT } from "./stack/paths.ts";
import { StackError } from "./stack/ports.ts";

const HEADER = `# Released migrations: version, file, SHA-256. Written by \`npm run db:release\`; checked by \`npm run check:drift\`.
# Databases have run these files. Never edit one: add a migration (\`npm run db:diff -- <name>\`).
`;

await main(async () => {
  const problems = await releaseProblems();
  if (problems.length > 0) throw new StackError(problems.join("\n"));
  const { version } = JSON.parse(await readFile(join(PROJECT, "package.json"), "utf8"));
  const lines = await linesOfRelease(version);
  if (lines.length === 0) return console.log("nothing to do: every migration is released");
  const header = (await isReleased()) ? "" : HEADER;
  await appendFile(releaseMarker, `${header}${lines.map((line) => `${line}\n`).join("")}`);
  console.log(`froze for ${version}:\n${lines.join("\n")}`);
});
