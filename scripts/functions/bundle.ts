// Bundles of the functions, as they are deployed: minified, with the versions that node_modules has. What a function does
// not need at its start stands in files beside it, which it imports at their first use.
import { readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { basename, join, relative, resolve, sep } from "node:path";
import { gzipSync } from "node:zlib";
import { build, type Metafile, type Plugin } from "esbuild";
import { parse } from "smol-toml";
import { PROJECT } from "../stack/paths.ts";
import { englishOnly, usedClients } from "./plugins.ts";

/** Where supabase/config.toml finds the bundles: a folder for each function, with an index.js. */
export const BUNDLES = join(PROJECT, "dist/functions");

export interface Bundle {
  name: string;
  /** Size of what a worker reads before its first request. */
  startBytes: number;
  /** Size of all files. */
  bytes: number;
  /** The same, compressed. */
  gzipBytes: number;
  files: number;
  /** Packages of npm that a worker reads before its first request. */
  startPackages: string[];
}

/** The functions that supabase/config.toml deploys. */
export function deployedFunctions(): string[] {
  const config = parse(readFileSync(join(PROJECT, "supabase/config.toml"), "utf8"));
  return Object.keys(config.functions as object);
}

/** Bundles functions into a folder, each into one of its own, which is emptied first. */
export async function bundleFunctions(
  folder = BUNDLES,
  names = deployedFunctions(),
): Promise<Bundle[]> {
  const bundles: Bundle[] = [];
  for (const name of names) bundles.push(await bundle(name, join(folder, name)));
  return bundles;
}

async function bundle(name: string, folder: string): Promise<Bundle> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const { outputFiles, metafile } = await build({
    absWorkingDir: PROJECT,
    entryPoints: { index: `functions/${name}/index.ts` },
    outdir: folder,
    bundle: true,
    minify: true,
    splitting: true,
    chunkNames: "[name]-[hash]",
    format: "esm",
    platform: "node",
    target: "es2022",
    charset: "utf8",
    legalComments: "none",
    mainFields: ["module", "main"],
    conditions: ["deno", "import", "module"],
    banner: { js: REQUIRE },
    inject: [join(PROJECT, "scripts/functions/node_globals.ts")],
    plugins: [nodeBuiltins, englishOnly, usedClients],
    metafile: true,
    write: false,
    logLevel: "warning",
  });
  const index = `${relative(PROJECT, folder).split(sep).join("/")}/index.js`;
  const [, ...chunks] = reachable(index, metafile.outputs);
  const atStart = reachable(index, metafile.outputs, ["import-statement"]);
  const contentOf = (path: string) =>
    outputFiles.find((file) => file.path === resolve(PROJECT, path))?.text ?? "";
  const files = [
    { path: index, content: Buffer.from(uploadList(chunks) + contentOf(index)) },
    ...chunks.map((path) => ({ path, content: Buffer.from(contentOf(path)) })),
  ];
  for (const { path, content } of files) await writeFile(resolve(PROJECT, path), content);
  const sizeOf = (of: typeof files) => of.reduce((sum, { content }) => sum + content.length, 0);
  return {
    name,
    startBytes: sizeOf(files.filter(({ path }) => atStart.includes(path))),
    bytes: sizeOf(files),
    gzipBytes: files.reduce((sum, { content }) => sum + gzipSync(content).length, 0),
    files: files.length,
    startPackages: packagesIn(atStart, metafile.outputs),
  };
}

/** CommonJS packages ask for Node's modules as they run. */
const REQUIRE =
  'import{createRequire as nodeRequire}from"node:module";const require=nodeRequire(import.meta.url);';

/** Deno knows Node's modules by their whole names alone. */
const nodeBuiltins: Plugin = {
  name: "node-builtins",
  setup({ onResolve }) {
    onResolve({ filter: /^[a-z_]+(\/[a-z_]+)*$/ }, ({ path }) =>
      isBuiltin(path) ? { path: `node:${path}`, external: true, sideEffects: false } : undefined,
    );
  },
};

/** index.js and what it imports, now or later; the rest was left over when unused code was dropped. */
function reachable(
  index: string,
  outputs: Metafile["outputs"],
  kinds = ["import-statement", "dynamic-import"],
): string[] {
  const found = new Set([index]);
  for (const path of found) {
    for (const { path: next, kind, external } of outputs[path]?.imports ?? []) {
      if (!external && kinds.includes(kind)) found.add(next);
    }
  }
  return [...found];
}

function packagesIn(paths: string[], outputs: Metafile["outputs"]): string[] {
  const packages = paths.flatMap((path) =>
    Object.keys(outputs[path]?.inputs ?? {}).flatMap(
      (input) => /node_modules\/((?:@[^/]+\/)?[^/]+)(?!.*\/node_modules\/)/.exec(input)?.[1] ?? [],
    ),
  );
  return [...new Set(packages)].sort();
}

/**
 * The Supabase CLI finds what to upload by a pattern, which does not know the imports of minified code, but reads
 * comments too: this one names all files.
 */
function uploadList(chunks: string[]): string {
  const imports = chunks.map((path) => `import "./${basename(path)}"\n`).join("");
  return `/* For the upload:\n${imports}*/\n`;
}
