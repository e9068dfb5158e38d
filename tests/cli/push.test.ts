// What npx spendgate writes is pushed by the real CLI: into a project's own database, and over 0.1.0 with data in it.
import { createHash } from "node:crypto";
import {
  copyFile,
  cp,
  mkdir,
  readdir,
  readFile,
  rename,
  symlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import type { Sql } from "postgres";
import { parse } from "smol-toml";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { releasedMigrations } from "../../scripts/database/release.ts";
import { generateKeys } from "../../scripts/stack/keys.ts";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { startServices } from "../../scripts/stack/stack.ts";
import { until } from "../support/until.ts";
import { fillOldWorld } from "../upgrade/world.ts";
import { type EmptyDatabase, emptyDatabase } from "./database.ts";
import { type InstalledPackage, installPackage, PACKAGE_MS } from "./package.ts";
import { emptyFolder, livedInProject, removeProjects, type TestProject } from "./project.ts";

let installed: InstalledPackage;
let next: InstalledPackage;
beforeAll(async () => {
  installed = await installPackage();
  next = await installPackage({ from: installed, change: makeNext });
}, PACKAGE_MS);
afterAll(async () => {
  await installed?.remove();
  await next?.remove();
  await removeProjects();
});

const NEW_MIGRATION = "alter table spend.plans add column note_of_the_next text;\n";
const GPT_4O = { provider: "openai", model: "gpt-4o", input_tokens: 1000, output_tokens: 0 };

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** The package as release 99.0.0 might be: a migration, a function and prices that this one has not. */
async function makeNext(folder: string): Promise<void> {
  const edit = async (path: string, change: (text: string) => string) => {
    const file = join(folder, path);
    await writeFile(file, change(await readFile(file, "utf8")));
  };
  await edit("package.json", (text) => text.replace(/"version": "[^"]+"/, '"version": "99.0.0"'));
  // One function is another file than before, as a bundle is in the place of sources.
  const functions = join(folder, "dist/cli/assets/functions");
  const { chat, maintenance } = JSON.parse(
    await readFile(join(folder, "dist/cli/assets/manifest.json"), "utf8"),
  ).functions;
  await rename(join(functions, maintenance.entrypoint), join(functions, "maintenance/main.js"));
  await edit("dist/cli/assets/manifest.json", (text) => {
    const manifest = JSON.parse(text);
    manifest.functions.maintenance = { entrypoint: "maintenance/main.js" };
    manifest.version = "99.0.0";
    const file = "99990101000000_next.sql";
    manifest.migrations.push({ file, release: "99.0.0", sha256: sha256(NEW_MIGRATION) });
    return JSON.stringify(manifest);
  });
  await writeFile(
    join(folder, "dist/cli/assets/migrations/99990101000000_next.sql"),
    NEW_MIGRATION,
  );
  await edit(`dist/cli/assets/functions/${chat.entrypoint}`, (text) => `${text}// Of 99.\n`);
  // As if the sources that are here had been a release.
  const sources = await readdir(join(PROJECT, "functions"), { recursive: true });
  const hashes = sources
    .filter((path) => /\.(ts|json)$/.test(path))
    .map(async (path) => [path, sha256(await readFile(join(PROJECT, "functions", path), "utf8"))]);
  const published = Object.fromEntries(await Promise.all(hashes));
  await edit("dist/cli/assets/releases.json", (text) =>
    JSON.stringify({ ...JSON.parse(text), "98.0.0": { functions: published } }),
  );
  await edit("dist/cli/assets/CHANGELOG.md", (text) =>
    text.replace(
      /^## \[/m,
      "## [99.0.0] - 2099-01-01\n\n### Added\n\n- A note of the next.\n\n## [",
    ),
  );
  await edit("dist/cli/assets/prices.sql", (text) =>
    text
      .replace(
        /\('openai', 'gpt-4o', 'input_tokens', 1000000, [\d.]+, 0, '2020-01-01'\),/,
        "('openai', 'gpt-4o', 'input_tokens', 1000000, 3.25, 0, '2020-01-01'),\n" +
          "  ('openai', 'gpt-of-99', 'input_tokens', 1000000, 9, 0, '2020-01-01'),\n" +
          "  ('openai', 'gpt-of-99', 'output_tokens', 1000000, 99, 0, '2099-01-01'),",
      )
      .replace(
        /\('openai', 'gpt-4.1-nano', 'input_tokens', 1000000, [\d.]+, 0, '2020-01-01'\),/,
        "('openai', 'gpt-4.1-nano', 'input_tokens', 1000000, 0.5, 0, '2020-01-01'),",
      ),
  );
}

const priceOf = async (sql: Sql, product: string) => {
  const [row] = await sql`
    select usd::float8 from spend.current_prices
    where provider = 'openai' and product = ${product} and meter = 'input_tokens' and tenant_id is null`;
  return row?.usd;
};

async function createTenant(sql: Sql, limit: number) {
  const [user] = await sql`insert into auth.users (id) values (gen_random_uuid()) returning id`;
  const [tenant] = await sql`insert into spend.tenants (name) values ('Acme') returning id`;
  await sql`insert into spend.tenant_members (tenant_id, user_id) values (${tenant?.id}, ${user?.id})`;
  await sql`
    update spend.cost_quotas set limit_usd = ${limit} where tenant_id = ${tenant?.id} and resource_type = 'llm'`;
  const reserve = async () => {
    const [answer] = await sql`
      select allowed, reason, reservation_id as id
      from spend.reserve(${tenant?.id}, ${user?.id}, 'llm', ${sql.json(GPT_4O)})`;
    return answer as unknown as { allowed: boolean; reason: string; id: string };
  };
  return reserve;
}

describe("a project with migrations of its own, the last of the year 2030", () => {
  let project: TestProject;
  let database: EmptyDatabase;
  beforeAll(async () => {
    database = await emptyDatabase();
    project = await livedInProject();
    // Its own migrations are applied already.
    await database.push(project.root);
    expect(await installed.spendgate(project.root, "init", "--yes")).toMatchObject({ code: 0 });
    await database.push(project.root);
  });
  afterAll(() => database?.close());

  it("pushes it, admits a call of $0.0025, refuses the third within $0.005, and runs no seed of its own", async () => {
    const { sql } = database;
    const reserve = await createTenant(sql, 0.005);
    const first = await reserve();
    expect(first).toMatchObject({ allowed: true });
    await sql`select spend.settle(${first.id}, ${sql.json(GPT_4O)})`;
    expect(await reserve()).toMatchObject({ allowed: true });
    expect(await reserve()).toMatchObject({ allowed: false, reason: "in_flight" });
    expect(await sql`select * from public.orders`).toEqual([]);
    expect(await sql`select * from spend.verify_balances()`).toEqual([]);
  });

  it("serves the functions that were copied: a chat is answered and booked, the next one is a 429, and doctor finds nothing wrong", async () => {
    const { sql, url } = database;
    // As in a program's folder: the packages that the import map names.
    await symlink(join(PROJECT, "node_modules"), join(project.root, "node_modules"));
    await project.write("package.json", "{}");
    const keys = await generateKeys();
    const services = await startServices({
      databaseUrl: url,
      keys,
      functionsFolder: join(project.root, "supabase/functions/_spendgate"),
      env: { ALERT_WEBHOOK_URL: "https://example.com/hook" },
    });
    try {
      const post = (path: string, body: object, token: string = keys.publishable) =>
        fetch(`${services.url}${path}`, {
          method: "POST",
          headers: {
            apikey: keys.publishable,
            authorization: `Bearer ${token}`,
            "content-type": "application/json",
          },
          body: JSON.stringify(body),
        });
      const signUp = await post("/auth/v1/signup", {
        email: "ada@example.com",
        password: "correct horse",
      });
      const { access_token, user } = (await signUp.json()) as {
        access_token: string;
        user: { id: string };
      };
      const [tenant] = await sql`insert into spend.tenants (name) values ('Ada') returning id`;
      await sql`insert into spend.tenant_members (tenant_id, user_id) values (${tenant?.id}, ${user.id})`;
      await sql`insert into spend.operators (user_id, role) values (${user.id}, 'editor')`;
      const chat = () =>
        post(
          "/functions/v1/chat",
          {
            model: "openai/gpt-4o-mini",
            stream: false,
            messages: [{ role: "user", content: "Hello" }],
          },
          access_token,
        );
      expect((await chat()).status).toBe(200);
      await sql`update spend.cost_quotas set limit_usd = 0.00001 where tenant_id = ${tenant?.id}`;
      const refused = await chat();
      expect([refused.status, await refused.json()]).toMatchObject([
        429,
        { error: "quota_exceeded" },
      ]);
      await until("the first is booked", async () => {
        const rows =
          await sql`select status from spend.reservations where tenant_id = ${tenant?.id}`;
        return rows.every(({ status }) => status === "settled");
      });

      await sql`call spend.run_maintenance()`;
      const doctor = ["doctor", "--url", services.url, "--secret-key", keys.secret];
      const { code, out } = await installed.spendgate(project.root, ...doctor);
      expect(out).toMatch(/\n0 wrong, 0 warnings, \d+ ok\n$/);
      expect(code).toBe(0);
    } finally {
      await services.stop();
      await project.remove("node_modules");
      await project.remove("package.json");
    }
  });

  it("takes 99.0.0 by upgrade: one migration, the functions, and the changelog between", async () => {
    const before = await project.migrations();
    const { code, out } = await next.spendgate(project.root, "upgrade", "--yes");
    expect(code).toBe(0);
    expect(out).toContain("A note of the next.");
    expect(out).not.toContain("Idempotency keys. Refusals that name the quota.");
    expect(out).toContain("The package has 4 new prices: `npx spendgate prices update`.");
    const added = (await project.migrations()).filter((file) => !before.includes(file));
    expect(added).toEqual([expect.stringMatching(/^2030061512\d{4}_spendgate_next\.sql$/)]);
    const root = "supabase/functions/_spendgate";
    const { chat, maintenance } = installed.manifest.functions;
    expect(await project.read(`${root}/${chat?.entrypoint}`)).toContain("// Of 99.");
    // The function that has another file now: the section says so, and the old file is gone.
    const { functions } = parse(await project.read("supabase/config.toml")) as {
      functions: Record<string, object>;
    };
    expect(functions.maintenance).toEqual({
      enabled: true,
      verify_jwt: false,
      entrypoint: "./functions/_spendgate/maintenance/main.js",
    });
    const files = Object.keys(await project.files());
    expect(files).toContain(`${root}/maintenance/main.js`);
    expect(files).not.toContain(`${root}/${maintenance?.entrypoint}`);
    await database.push(project.root);
    expect(await database.sql`select note_of_the_next from spend.plans`).not.toEqual([]);
    expect((await next.spendgate(project.root, "upgrade", "--yes")).out).toMatch(
      /^Nothing to change\.\nThe package has 4 new prices/,
    );
    // The older command does not take it back.
    const older = await installed.spendgate(project.root, "init", "--yes");
    expect(older).toMatchObject({ code: 1 });
    expect(older.err).toMatch(/^The project has Spendgate 99\.0\.0, and this command is .*@latest/);
  });

  it("takes newer prices: new ones, and changed ones where nobody set another; then there are none left", async () => {
    const { sql } = database;
    // The DBA has set a price of gpt-4.1-nano in January: it stays.
    await sql`
      insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
      values ('llm', 'openai', 'gpt-4.1-nano', 'input_tokens', 0.77, '2026-01-15')`;
    const { code, out } = await next.spendgate(project.root, "prices", "update", "--yes");
    expect(code).toBe(0);
    expect(out).toContain("2 new prices, 2 changed prices, 0 new names.");
    expect(out).toMatch(/openai\/gpt-4o input_tokens: \$2\.5 -> \$3\.25 from \d{4}-\d\d-\d\d/);
    await database.push(project.root);
    expect(await priceOf(sql, "gpt-4o")).toBe(3.25);
    expect(await priceOf(sql, "gpt-of-99")).toBe(9);
    expect(await priceOf(sql, "gpt-4.1-nano")).toBe(0.77);
    expect(
      await sql`
        select usd::float8, effective_from from spend.prices
        where product = 'gpt-of-99' and meter = 'output_tokens'`,
    ).toEqual([{ usd: 99, effective_from: new Date("2099-01-01") }]);
    const again = await next.spendgate(project.root, "prices", "update", "--yes");
    expect(again.out).toMatch(/^The project has every price of the package\./);
  });
});

describe("0.1.0, copied by hand, with data in it", () => {
  let project: TestProject;
  let database: EmptyDatabase;
  const functions = ["_shared", "chat", "maintenance"];
  const edited = "functions/_shared/runtime/log.ts";

  beforeAll(async () => {
    database = await emptyDatabase();
    project = await emptyFolder();
    await project.write(
      "supabase/config.toml",
      `project_id = "old"

[api]
schemas = ["public", "spend"]
${["chat", "maintenance"]
  .map(
    (name) => `
[functions.${name}]
verify_jwt = false
entrypoint = "../functions/${name}/index.ts"
import_map = "../functions/import_map.json"
`,
  )
  .join("")}`,
    );
    const migrations = join(project.root, "supabase/migrations");
    await mkdir(migrations, { recursive: true });
    for (const { version, file } of await releasedMigrations()) {
      if (version !== "0.1.0") continue;
      // Under a time stamp of the day on which it was copied.
      await copyFile(
        join(PROJECT, "supabase/migrations", file),
        join(migrations, file.replace(/^\d+/, "20260301000000")),
      );
    }
    for (const name of [...functions, "import_map.json"]) {
      const copy = join(project.root, "functions", name);
      await cp(join(PROJECT, "functions", name), copy, { recursive: true });
    }
    await project.write(edited, `${await project.read(edited)}// Ours.\n`);
    await database.push(project.root);
  });
  afterAll(() => database?.close());

  it("is upgraded where it is: the data stays, open calls settle, and what was changed by hand is kept", async () => {
    const { sql } = database;
    const world = await fillOldWorld(sql);
    const events = await sql`select * from spend.cost_events`;

    const { code, out } = await next.spendgate(project.root, "upgrade", "--yes");
    expect(code).toBe(0);
    expect(out).toContain(`! ${edited} was changed by hand`);
    expect(await project.read(edited)).toContain("// Ours.");
    const { entrypoint } = next.manifest.functions.chat as { entrypoint: string };
    expect(await project.read(`functions/${entrypoint}`)).toContain("// Of 99.");
    expect(parse(await project.read("supabase/config.toml"))).toMatchObject({
      functions: {
        chat: {
          verify_jwt: false,
          entrypoint: expect.stringMatching(`../functions/${entrypoint}`),
        },
        maintenance: { entrypoint: "../functions/maintenance/main.js" },
      },
    });
    expect(Object.keys(await project.files()).some((path) => path.includes("_spendgate/"))).toBe(
      false,
    );
    expect((await project.migrations()).at(-1)).toMatch(/_spendgate_next\.sql$/);

    await database.push(project.root);
    expect(await sql`select * from spend.cost_events`).toEqual(events);
    const [settled] = await sql`
      select status from spend.settle(${world.held.plain}, ${sql.json({ provider: "old", model: "model", input_tokens: 10, output_tokens: 0 })})`;
    expect(settled).toEqual({ status: "settled" });
    expect(await sql`select * from spend.verify_balances()`).toEqual([]);
    const again = await next.spendgate(project.root, "upgrade", "--yes");
    expect(again.out).toContain("Nothing to change.");
  });
});
