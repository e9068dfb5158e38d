// npm run build: the package as it is published. The command is bundled with what it needs, so that it runs from the
// tarball alone. With `--out <folder>` the whole package is made there.
import { chmod, copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { build, type Metafile, type Plugin } from "esbuild";
import { englishOnly, usedClients } from "../../scripts/functions/plugins.ts";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { PACKAGE, writeAssets } from "./assets.ts";
import { writeTypes } from "./declarations.ts";

const { values } = parseArgs({ options: { out: { type: "string", default: PACKAGE } } });
const OUT = resolve(values.out);
const DIST = join(OUT, "dist");

const ENTRIES = {
  index: "src/index.ts",
  ai: "src/ai.ts",
  server: "src/server.ts",
  e2b: "src/e2b.ts",
  client: "src/client.ts",
};

/** A library does without OpenTelemetry's SDK. */
const withoutTelemetrySdk: Plugin = {
  name: "without-telemetry-sdk",
  setup({ onResolve, onLoad }) {
    // Spans go to the SDK that the program itself has set up.
    onResolve({ filter: /^\.\/sdk\.ts$/ }, () => ({ path: "sdk", namespace: "none" }));
    onLoad({ filter: /.*/, namespace: "none" }, () => ({
      contents: "export function startSdk() { throw new Error('no SDK'); }",
    }));
  },
};

await rm(DIST, { recursive: true, force: true });
await mkdir(DIST, { recursive: true });
const command = await buildCommand();
await writeAssets(join(DIST, "cli/assets"));
const library = await buildLibrary();
await writeTypes(DIST, Object.values(ENTRIES));
await writeLicenses([command, library]);
await copyFile(join(PROJECT, "LICENSE"), join(OUT, "LICENSE"));
if (OUT !== PACKAGE) {
  for (const file of ["package.json", "README.md"]) {
    await copyFile(join(PACKAGE, file), join(OUT, file));
  }
}

async function buildCommand(): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: PROJECT,
    entryPoints: { cli: join(PACKAGE, "src/cli/cli.ts") },
    outdir: join(DIST, "cli"),
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20.12",
    chunkNames: "[name]-[hash]",
    minifySyntax: true,
    metafile: true,
    plugins: [englishOnly],
    // CommonJS packages require Node's own modules.
    banner: {
      js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
    },
    logLevel: "warning",
  });
  await chmod(join(DIST, "cli/cli.js"), 0o755);
  return metafile;
}

/**
 * The entries for programs, for any runtime with fetch. What they share is in common files, so that a gate of one is known to
 * the others. Peers stay outside.
 */
async function buildLibrary(): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: PROJECT,
    entryPoints: Object.fromEntries(
      Object.entries(ENTRIES).map(([name, file]) => [name, join(PACKAGE, file)]),
    ),
    outdir: DIST,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: ["module", "import"],
    target: "es2022",
    external: ["node:*", "ai", "@e2b/code-interpreter"],
    plugins: [usedClients, withoutTelemetrySdk, englishOnly],
    minifySyntax: true,
    metafile: true,
    logLevel: "warning",
  });
  for (const name of Object.keys(ENTRIES)) {
    const file = join(DIST, `${name}.js`);
    const text = await readFile(file, "utf8");
    // For Deno and JSR, which look for types in the file itself.
    await writeFile(file, `/* @ts-self-types="./${name}.d.ts" */\n${text}`);
  }
  return metafile;
}

/** Licences of the packages that are part of what is built. */
async function writeLicenses(metafiles: Metafile[]): Promise<void> {
  const inputs = metafiles.flatMap(({ inputs }) => Object.keys(inputs));
  const names = inputs.flatMap((path) => {
    const [, folder] = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path) ?? [];
    return folder ? [folder] : [];
  });
  const texts = await Promise.all(
    [...new Set(names)].sort().map(async (folder) => {
      const { name, version, license } = JSON.parse(
        await readFile(join(PROJECT, folder, "package.json"), "utf8"),
      );
      const candidates = ["LICENSE", "LICENSE.md", "UNLICENSE", "license"].map((file) =>
        readFile(join(PROJECT, folder, file), "utf8").catch(() => ""),
      );
      const text = (await Promise.all(candidates)).find(Boolean) ?? "";
      return `${name} ${version} (${license})\n\n${text.trim()}\n`;
    }),
  );
  await writeFile(join(DIST, "THIRD_PARTY_LICENSES"), texts.join(`\n${"-".repeat(80)}\n\n`));
}
