// Supabase projects for tests: as `supabase init` makes them, and one that has a life of its own.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { findSupabase } from "../../scripts/stack/binaries.ts";

export interface TestProject {
  root: string;
  read(path: string): Promise<string>;
  write(path: string, text: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Every file below the root with its text, but what the CLI keeps for itself. */
  files(): Promise<Record<string, string>>;
  migrations(): Promise<string[]>;
}

const folders: string[] = [];

/** An empty folder. */
export async function emptyFolder(name = "my project"): Promise<TestProject> {
  const base = await mkdtemp(join(tmpdir(), "spendgate-cli-"));
  folders.push(base);
  const root = join(base, name);
  await mkdir(root);
  return {
    root,
    read: (path) => readFile(join(root, path), "utf8"),
    async write(path, text) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    },
    remove: (path) => rm(join(root, path), { recursive: true, force: true }),
    async files() {
      const entries = await readdir(root, { recursive: true, withFileTypes: true });
      const paths = entries
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
        .filter((path) => !path.includes(".temp"))
        .sort();
      const texts = await Promise.all(paths.map((path) => readFile(join(root, path), "utf8")));
      return Object.fromEntries(paths.map((path, i) => [path, texts[i] as string]));
    },
    async migrations() {
      return (await readdir(join(root, "supabase/migrations")).catch(() => [])).sort();
    },
  };
}

/** What `supabase init` makes, in a folder whose name has a space. */
export async function freshProject(): Promise<TestProject> {
  const project = await emptyFolder();
  await promisify(execFile)(await findSupabase(), ["init", "--workdir", project.root]);
  return project;
}

export const OWN_CONFIG = `# Our project. Ask Ada before you change the ports.
project_id = "ours"

[api]
port = 54321
schemas = [
  "public", # the app
  "reports",
]

# The database
[db]
port = 54322
major_version = 17

[db.migrations]
schema_paths = ["./ours/*.sql"] # kept

[db.seed]
enabled = true
sql_paths = ["./seed.sql"]

[functions.hello]
verify_jwt = true # only for members
`;

/** A project with migrations, one of them of the year 2030, a seed, functions and settings of its own. */
export async function livedInProject(): Promise<TestProject> {
  const project = await emptyFolder();
  await project.write("supabase/config.toml", OWN_CONFIG);
  await project.write(
    "supabase/migrations/20240101000000_ours.sql",
    "create schema reports;\ncreate table public.orders (id bigint primary key, what text);\n",
  );
  await project.write(
    "supabase/migrations/20300615120000_later.sql",
    "alter table public.orders add column at timestamptz;\n",
  );
  await project.write(
    "supabase/seed.sql",
    "insert into public.orders (id, what) values (1, 'DEV TEST DATA');\n",
  );
  await project.write("supabase/functions/hello/index.ts", "export default {};\n");
  await project.write("supabase/functions/_shared/errors.ts", "export const ours = true;\n");
  return project;
}

export async function removeProjects(): Promise<void> {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
}
