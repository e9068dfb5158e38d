// npx spendgate init, from the packed tarball: what it writes, what it leaves alone, and what it says.
import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "smol-toml";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { type InstalledPackage, installPackage, PACKAGE_MS, runNode } from "./package.ts";
import {
  emptyFolder,
  freshProject,
  livedInProject,
  OWN_CONFIG,
  removeProjects,
} from "./project.ts";

const NAMES = ["chat", "openai", "anthropic", "sandbox", "alerts", "maintenance"];

let installed: InstalledPackage;
beforeAll(async () => {
  installed = await installPackage();
}, PACKAGE_MS);
afterAll(async () => {
  await installed?.remove();
  await removeProjects();
});

const spendgate: InstalledPackage["spendgate"] = (cwd, ...args) =>
  installed.spendgate(cwd, ...args);

describe("in a project that supabase init made", () => {
  it("adds migrations, prices, five functions and their settings, and changes nothing the second time", async () => {
    const project = await freshProject();
    const before = await project.files();

    const first = await spendgate(project.root, "init", "--yes");
    const after = await project.files();
    const second = await spendgate(project.root, "init", "--yes");

    expect(first).toMatchObject({ code: 0, err: "" });
    expect(second).toEqual({ code: 0, err: "", out: "Nothing to change.\n" });
    expect(await project.files()).toEqual(after);
    const config = parse(after["supabase/config.toml"] ?? "") as unknown as {
      api: object;
      functions: Record<string, object>;
    };
    expect(config.api).toMatchObject({ schemas: ["public", "graphql_public", "spend"] });
    expect(Object.keys(config.functions)).toEqual(NAMES);
    for (const [name, { entrypoint, importMap }] of Object.entries(installed.manifest.functions)) {
      expect(config.functions[name]).toEqual({
        enabled: true,
        verify_jwt: false,
        entrypoint: `./functions/_spendgate/${entrypoint}`,
        ...(importMap && { import_map: `./functions/_spendgate/${importMap}` }),
      });
    }
    // Every line that was there is there, in its order, but the one that was changed.
    const lines = (text = "") => text.trimEnd().split("\n");
    const had = lines(before["supabase/config.toml"]).filter((line) => !/^schemas = /.test(line));
    const has = lines(after["supabase/config.toml"]).filter((line) => !/^schemas = /.test(line));
    expect(has.slice(0, had.length)).toEqual(had);
  });

  it("shows the plan without a terminal, and asks for --yes: code 2, and no file is there", async () => {
    const project = await freshProject();
    const before = await project.files();
    const asked = await spendgate(project.root, "init");
    expect(asked.code).toBe(2);
    expect(asked.err).toBe(
      "Nobody can be asked here: this is no terminal. Add --yes to go ahead, or --dry-run to see the plan only.\n",
    );
    const dry = await spendgate(project.root, "init", "--dry-run");
    expect(dry.code).toBe(0);
    expect(dry.out).toMatch(/add supabase\/migrations\/\d{14}_spendgate_baseline\.sql/);
    expect(dry.out).toMatch(/add supabase\/functions\/_spendgate\/ \(\d+ files\)/);
    expect(dry.out).toContain('+schemas = ["public", "graphql_public", "spend"]');
    expect(await project.files()).toEqual(before);
  });

  it("works from a folder deep in it, and prints no colours with NO_COLOR", async () => {
    const project = await freshProject();
    await mkdir(join(project.root, "app/src"), { recursive: true });
    const { code, out } = await spendgate(join(project.root, "app/src"), "init", "--dry-run");
    expect(code).toBe(0);
    expect(out).toContain(`In ${project.root}:`);
    expect(out).not.toContain("\u001b");
    const bin = join(installed.folder, "node_modules/.bin/spendgate");
    const coloured = await runNode(project.root, bin, ["init", "--dry-run"], {
      NO_COLOR: "",
      FORCE_COLOR: "1",
    });
    expect(coloured.out).toContain("\u001b[32m");
  });

  it("copies functions whose imports are all there", async () => {
    const project = await freshProject();
    await spendgate(project.root, "init", "--yes");
    const files = await project.files();
    const copied = Object.entries(files).filter(([path]) => path.includes("_spendgate/"));
    expect(copied.length).toBeGreaterThan(10);
    for (const [path, text] of copied) {
      for (const [, specifier] of text.matchAll(/(?:from|import) ?"(\.[^"]+\.[jt]s)"/g)) {
        expect(Object.keys(files), `${path}: ${specifier}`).toContain(
          join(path, "..", specifier as string),
        );
      }
    }
  });
});

describe("in a project with a life of its own", () => {
  it("keeps its settings, comments, seed, functions and migrations, and writes later time stamps", async () => {
    const project = await livedInProject();
    const before = await project.files();
    expect(await spendgate(project.root, "init", "--yes")).toMatchObject({ code: 0 });
    const after = await project.files();
    const config = after["supabase/config.toml"] ?? "";
    for (const [path, text] of Object.entries(before)) {
      if (path !== "supabase/config.toml") expect(after[path], path).toBe(text);
    }
    const lost = OWN_CONFIG.split("\n").filter((line) => line !== "" && !config.includes(line));
    expect(lost).toEqual([]);
    expect(parse(config)).toMatchObject({
      api: { schemas: ["public", "reports", "spend"] },
      db: { seed: { sql_paths: ["./seed.sql"] }, migrations: { schema_paths: ["./ours/*.sql"] } },
      functions: { hello: { verify_jwt: true }, chat: { verify_jwt: false } },
    });
    const migrations = await project.migrations();
    expect(migrations.slice(0, 2)).toEqual(["20240101000000_ours.sql", "20300615120000_later.sql"]);
    expect(migrations.slice(2).every((file) => /^2030061512\d{4}_spendgate_/.test(file))).toBe(
      true,
    );
    expect(migrations.at(-1)).toMatch(/_spendgate_prices\.sql$/);
  });

  it("leaves out a function that the project has under the same name, and says so", async () => {
    const project = await livedInProject();
    await project.write("supabase/functions/chat/index.ts", "export default { ours: true };\n");
    const { code, out } = await spendgate(project.root, "init", "--yes");
    expect(code).toBe(0);
    expect(out).toContain("! The project has a function chat of its own: it stays");
    const files = await project.files();
    expect(files["supabase/functions/chat/index.ts"]).toBe("export default { ours: true };\n");
    expect(Object.keys(files).some((path) => path.includes("_spendgate/chat/"))).toBe(false);
    expect(files["supabase/config.toml"]).not.toContain("[functions.chat]");
    expect(JSON.parse(files["supabase/spendgate.json"] ?? "").functions.names).toEqual(
      NAMES.slice(1),
    );
  });

  it("installs two of the functions, or none, when asked to, and stays with that", async () => {
    const project = await livedInProject();
    await spendgate(project.root, "init", "--yes", "--functions", "chat,maintenance");
    const files = await project.files();
    const { functions } = parse(files["supabase/config.toml"] ?? "");
    expect(Object.keys(functions as object)).toEqual(["hello", "chat", "maintenance"]);
    expect(Object.keys(files).some((path) => path.includes("_spendgate/openai/"))).toBe(false);
    expect((await spendgate(project.root, "init", "--yes")).out).toBe("Nothing to change.\n");

    const bare = await livedInProject();
    await spendgate(bare.root, "init", "--yes", "--functions", "none");
    expect(Object.keys(await bare.files()).some((path) => path.includes("_spendgate/"))).toBe(
      false,
    );
    expect((await spendgate(bare.root, "init", "--yes", "--functions", "chta")).err).toBe(
      "There is no function chta. Give some of chat,openai,anthropic,sandbox,alerts,maintenance, or none.\n",
    );
  });

  it("adds to settings in any form of TOML: inline tables, dotted keys, no [api], CRLF", async () => {
    for (const text of [
      'project_id = "x"\n[functions]\nhello = { verify_jwt = true } # ours\n',
      'project_id = "x"\nfunctions.hello.verify_jwt = true # ours\napi.schemas = ["public"]\n',
      'project_id = "x" # ours\nfunctions = { hello = { verify_jwt = true } }\n',
      '# ours\r\nproject_id = "x"\r\n[functions.hello]\r\nverify_jwt = true\r\n',
    ]) {
      const project = await emptyFolder();
      await project.write("supabase/config.toml", text);
      const { code, err } = await spendgate(project.root, "init", "--yes", "--no-prices");
      expect({ text, code, err }).toEqual({ text, code: 0, err: "" });
      const config = await project.read("supabase/config.toml");
      expect(config).toContain("# ours");
      expect(parse(config)).toMatchObject({
        project_id: "x",
        api: { schemas: expect.arrayContaining(["public", "spend"]) },
        functions: { hello: { verify_jwt: true }, maintenance: { verify_jwt: false } },
      });
    }
  });
});

describe("elsewhere", () => {
  it("begins a project in a folder that has none", async () => {
    const project = await emptyFolder("Ünïted & co");
    const { code, out } = await spendgate(project.root, "init", "--yes");
    expect(code).toBe(0);
    expect(out).toContain("There is no Supabase project");
    expect(parse(await project.read("supabase/config.toml"))).toMatchObject({
      project_id: "_n_ted_co",
      api: { schemas: ["public", "graphql_public", "spend"] },
    });
  });

  it("names a config.toml that is no TOML, with its reason: code 1, one line", async () => {
    const project = await emptyFolder();
    await project.write("supabase/config.toml", "[api\nschemas = 1\n");
    const { code, err } = await spendgate(project.root, "init", "--yes");
    expect(code).toBe(1);
    expect(err).toMatch(/^supabase\/config\.toml is not valid TOML: .+\n$/);
  });

  it("tells what to put into a config.json, which it does not change", async () => {
    const project = await emptyFolder();
    await project.write("supabase/config.json", '{ "project_id": "x" }\n');
    const { code, out } = await spendgate(project.root, "init", "--yes");
    expect(code).toBe(0);
    expect(out).toContain('supabase/config.json is not changed. Add "spend" to api.schemas');
    expect(await project.read("supabase/config.json")).toBe('{ "project_id": "x" }\n');
    expect(Object.keys(await project.files())).not.toContain("supabase/config.toml");
  });

  it("names a folder that it may not write to", async () => {
    const project = await freshProject();
    // Root may write anywhere: files stand where folders should be.
    await project.write("supabase/functions/_spendgate", "no folder");
    const written = await spendgate(project.root, "init", "--yes");
    expect(written.code).toBe(1);
    expect(written.err).toMatch(/^supabase\/functions\/\S+ cannot be written: E\w+\. .+\n$/);
    await project.remove("supabase/migrations");
    await project.write("supabase/migrations", "no folder");
    const read = await spendgate(project.root, "init", "--yes");
    expect(read.code).toBe(1);
    expect(read.err).toMatch(/supabase\/migrations cannot be used \(ENOTDIR at scandir\)\. .+\n$/);
  });

  it.each([
    [["upgrade"], 1, /^There is no supabase\/config\.toml in .*npx spendgate init/],
    [["prices", "update"], 1, /^There is no supabase\/config\.toml/],
    [["doctor"], 1, /^There is no Supabase project here/],
    [["init", "--dir", "nowhere"], 2, /^There is no folder .*nowhere/],
    [["frob"], 2, /unknown command 'frob'/],
    [["init", "--frob"], 2, /unknown option '--frob'/],
    [["sql", "--from", "x"], 2, /^x is not a version/],
  ])(
    "spendgate %j in an empty folder ends with code %i and says why",
    async (args, code, message) => {
      const project = await emptyFolder();
      const ran = await spendgate(project.root, ...args);
      expect(ran.code).toBe(code);
      expect(ran.err).toMatch(message);
      expect(ran.err).not.toContain("    at ");
      expect(await project.files()).toEqual({});
    },
  );
});

describe("functions that were changed by hand", () => {
  let file: string;
  beforeAll(() => {
    file = `supabase/functions/_spendgate/${installed.manifest.functions.chat?.entrypoint}`;
  });

  it("are kept, and named, until --force", async () => {
    const project = await freshProject();
    await spendgate(project.root, "init", "--yes");
    const published = await project.read(file);
    await project.write(file, "// ours\n");
    const kept = await spendgate(project.root, "init", "--yes");
    expect(kept.out).toBe(
      `! ${file} was changed by hand and is kept. --force replaces it.\nNothing to change.\n`,
    );
    expect(await project.read(file)).toBe("// ours\n");
    await spendgate(project.root, "upgrade", "--yes", "--force");
    expect(await project.read(file)).toBe(published);
  });

  it("are put back when they are gone; line ends that Git changed are no change", async () => {
    const project = await freshProject();
    await spendgate(project.root, "init", "--yes");
    const published = await project.read(file);
    await project.remove(file);
    await project.write(
      "supabase/spendgate.json",
      (await project.read("supabase/spendgate.json")).replaceAll("\n", "\r\n"),
    );
    await spendgate(project.root, "init", "--yes");
    expect(await project.read(file)).toBe(published);
    await project.write(file, published.replaceAll("\n", "\r\n"));
    expect((await spendgate(project.root, "init", "--yes")).out).toBe("Nothing to change.\n");
  });
});

it("spendgate sql prints what the project's own migrations are, with --prices the catalogue too", async () => {
  const { out } = await spendgate(PROJECT, "sql");
  expect(out).toContain("create function spend.reserve(");
  expect(out).not.toContain("claude-3-opus-latest");
  const { out: all } = await spendgate(PROJECT, "sql", "--prices");
  expect(all).toContain("('anthropic', 'claude-3-opus-latest'");
  expect(await spendgate(PROJECT, "sql", "--from", "999.0.0")).toEqual({
    code: 0,
    out: "",
    err: "There is no migration after 999.0.0.\n",
  });
});

it("Node 18 is told that it is too old, before anything else is loaded", async () => {
  const project = await emptyFolder();
  // A Node that says that it is 18, and loads cli.js.
  await project.write(
    "old.mjs",
    `Object.defineProperty(process.versions, "node", { value: "18.20.4" });
     await import(${JSON.stringify(join(installed.root, "dist/cli/cli.js"))});`,
  );
  expect(await runNode(project.root, join(project.root, "old.mjs"), ["init"])).toEqual({
    code: 1,
    out: "",
    err: "Node 18.20.4 is too old for spendgate. Install Node 20.12 or newer (https://nodejs.org).\n",
  });
});

it("The tarball is below 3 MB, and has nothing that the package does not need", async () => {
  expect((await readdir(installed.root)).sort()).toEqual([
    "LICENSE",
    "README.md",
    "dist",
    "package.json",
  ]);
  expect((await stat(installed.tarball)).size).toBeLessThan(3_000_000);
});
