// npx spendgate doctor: green where all is well; and each thing that is broken on purpose is named, with its remedy.
import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { closedPort, forward, startServer, type TestServer } from "../support/server.ts";
import { startTestStack, type TestStack } from "../support/stack.ts";
import { type EmptyDatabase, emptyDatabase } from "./database.ts";
import { type InstalledPackage, installPackage, PACKAGE_MS, runNode } from "./package.ts";
import { emptyFolder, freshProject, removeProjects, type TestProject } from "./project.ts";

interface Finding {
  check: string;
  status: "ok" | "warning" | "wrong";
  message: string;
  remedy?: string;
}

let installed: InstalledPackage;
beforeAll(async () => {
  installed = await installPackage();
}, PACKAGE_MS);
afterAll(async () => {
  await installed?.remove();
  await removeProjects();
});

/** What is not well, as `status check`; each has a remedy. */
async function notWell(cwd: string, ...args: string[]) {
  const { code, out, err } = await installed.spendgate(cwd, "doctor", "--json", ...args);
  expect(err).toBe("");
  const findings = JSON.parse(out) as Finding[];
  const found = findings.filter(({ status }) => status !== "ok");
  expect(found.filter(({ remedy }) => !remedy)).toEqual([]);
  expect(code).toBe(found.some(({ status }) => status === "wrong") ? 1 : 0);
  return found.map(({ status, check }) => `${status} ${check}`);
}

describe("a project and its database", () => {
  let project: TestProject;
  let database: EmptyDatabase;
  let files: Record<string, string>;
  beforeAll(async () => {
    project = await freshProject();
    database = await emptyDatabase();
    await installed.spendgate(project.root, "init", "--yes");
    await database.push(project.root);
    await database.sql`
      with who as (insert into auth.users (id) values (gen_random_uuid()) returning id)
      insert into spend.operators (user_id, role) select id, 'editor' from who`;
    await database.sql`insert into spend.tenants (name) values ('Acme')`;
    await database.sql`call spend.run_maintenance()`;
    files = await project.files();
  });
  afterAll(() => database?.close());
  afterEach(async () => {
    for (const path of Object.keys(await project.files())) {
      if (!(path in files)) await project.remove(path);
    }
    for (const [path, text] of Object.entries(files)) await project.write(path, text);
  });
  const look = () => notWell(project.root, "--db-url", database.url);

  it("are well: code 0, and each line says what was looked at", async () => {
    expect(await look()).toEqual([]);
    const { code, out } = await installed.spendgate(
      project.root,
      "doctor",
      "--db-url",
      database.url,
    );
    expect(code).toBe(0);
    expect(out).toContain("ok      maintenance: maintenance runs\n");
    expect(out).toMatch(/\n\n0 wrong, 0 warnings, \d+ ok\n$/);
  });

  const config = "supabase/config.toml";
  const replace = async (path: string, what: string | RegExp, by: string) => {
    const text = await project.read(path);
    expect(text.replace(what, by)).not.toBe(text);
    await project.write(path, text.replace(what, by));
  };
  const baseline = async () => {
    const [file] = (await project.migrations()).filter((name) => name.includes("baseline"));
    return `supabase/migrations/${file}`;
  };
  const functions = "supabase/functions/_spendgate";

  const broken: [string, () => Promise<unknown>, string[]][] = [
    [
      "config.toml does not expose spend",
      () => replace(config, ', "spend"]', "]"),
      ["wrong config.schemas"],
    ],
    [
      "config.toml exposes spend_private",
      () => replace(config, '"spend"]', '"spend", "spend_private"]'),
      ["wrong config.schemas"],
    ],
    [
      "a migration is edited",
      async () => replace(await baseline(), "lock_timeout = '5s'", "lock_timeout = '6s'"),
      ["wrong migrations.edited"],
    ],
    [
      "a migration is deleted",
      async () => project.remove(await baseline()),
      ["wrong migrations.missing"],
    ],
    [
      "the migration with the prices is deleted",
      async () => project.remove(`supabase/migrations/${(await project.migrations()).at(-1)}`),
      ["warning prices.files"],
    ],
    [
      "the section of a function is deleted",
      () => replace(config, "[functions.chat]", "[functions.chatter]"),
      ["wrong functions.config"],
    ],
    [
      "the platform verifies JWTs",
      () => replace(config, "verify_jwt = false", "verify_jwt = true"),
      ["wrong functions.verify_jwt"],
    ],
    [
      "an entrypoint is another file",
      () => replace(config, /chat\/index\.[jt]s/, "chat/main.ts"),
      ["wrong functions.entrypoint"],
    ],
    [
      "a file of the functions is deleted",
      async () => {
        const { files } = JSON.parse(await project.read("supabase/spendgate.json")).functions;
        const part = Object.keys(files).find((path) => !/index\.|import_map/.test(path));
        await project.remove(`${functions}/${part}`);
      },
      ["wrong functions.missing"],
    ],
    [
      "a function is changed by hand",
      () =>
        project.write(`${functions}/${installed.manifest.functions.chat?.entrypoint}`, "// ours\n"),
      ["warning functions.edited"],
    ],
    [
      "two settings of the functions are wrong",
      () =>
        project.write(
          "supabase/functions/.env",
          "ENFORCE_COST_QUOTAS=0\nSPENDGATE_MAX_STEPS=5\nALERT_WEBHOOK_URL=example.com\n",
        ),
      ["wrong settings", "wrong settings"],
    ],
    [
      "a migration is not pushed",
      async () => {
        const path = await baseline();
        const text = await project.read(path);
        await project.remove(path);
        await project.write(path.replace(/\d{14}/, "20300101000000"), text);
      },
      ["wrong database.migrations"],
    ],
  ];

  it.each(broken)("%s", async (_, breakIt, expected) => {
    await breakIt();
    expect(await look()).toEqual(expected);
  });

  const brokenSql: [string, string, string, string[]][] = [
    [
      "the database has another contract version",
      "create or replace function spend.contract_version() returns integer language sql immutable as 'select 0'",
      "create or replace function spend.contract_version() returns integer language sql immutable as 'select 1'",
      ["wrong contract"],
    ],
    [
      "maintenance has not run for two hours",
      "update spend_private.job_runs set done_at = done_at - interval '2 hours'",
      "update spend_private.job_runs set done_at = done_at + interval '2 hours'",
      ["wrong maintenance"],
    ],
    [
      "there are no prices",
      "create table kept as table spend.prices; delete from spend.prices",
      `insert into spend.prices (resource_type, provider, product, meter, unit_size, usd, tier_from, effective_from)
        select resource_type, provider, product, meter, unit_size, usd, tier_from, effective_from from kept; drop table kept`,
      ["wrong prices"],
    ],
    [
      "the Data API does not expose spend",
      "do $$ begin execute format('alter database %I set pgrst.db_schemas = %L', current_database(), 'public'); end $$",
      "do $$ begin execute format('alter database %I set pgrst.db_schemas = %L', current_database(), 'public, spend'); end $$",
      ["wrong exposed"],
    ],
    [
      "the Data API exposes spend_private",
      "do $$ begin execute format('alter database %I set pgrst.db_schemas = %L', current_database(), 'spend, spend_private'); end $$",
      "do $$ begin execute format('alter database %I set pgrst.db_schemas = %L', current_database(), 'public, spend'); end $$",
      ["wrong exposed"],
    ],
    [
      "there is no operator",
      "create table kept as table spend.operators; delete from spend.operators",
      "insert into spend.operators select * from kept; drop table kept",
      ["warning operators"],
    ],
  ];

  it.each(brokenSql)("%s", async (_, breakIt, mend, expected) => {
    await database.sql.unsafe(breakIt);
    try {
      expect(await look()).toEqual(expected);
    } finally {
      await database.sql.unsafe(mend);
    }
  });

  it("a database that is not there, that has no Spendgate, or whose URL is none", async () => {
    const port = await closedPort();
    const away = await installed.spendgate(
      project.root,
      "doctor",
      "--db-url",
      `postgresql://postgres:hunter2@127.0.0.1:${port}/postgres`,
    );
    expect(away.code).toBe(1);
    expect(away.out).toContain(`The database at 127.0.0.1:${port}/postgres cannot be reached: E`);
    expect(away.out).not.toContain("hunter2");

    const empty = await emptyDatabase();
    expect(await notWell(project.root, "--db-url", empty.url)).toEqual(["wrong database"]);
    await empty.close();
    expect(await notWell(project.root, "--db-url", "nonsense")).toEqual(["wrong database"]);
  });

  it("an older project is told to upgrade; one without Spendgate to begin", async () => {
    const record = JSON.parse(await project.read("supabase/spendgate.json"));
    await project.write("supabase/spendgate.json", JSON.stringify({ ...record, version: "0.0.9" }));
    // Its migrations are as new as the command: those count.
    expect(await look()).toEqual([]);
    const bare = await freshProject();
    expect(await notWell(bare.root, "--db-url", database.url)).toEqual(["wrong project"]);
  });
});

describe("a hosted project, by its URL and secret key", () => {
  let stack: TestStack;
  let folder: string;
  let proxy: TestServer;
  /** Answers in the place of the project; true where it did. */
  let instead: (request: IncomingMessage, response: ServerResponse) => boolean;

  beforeAll(async () => {
    stack = await startTestStack({ env: { ALERT_WEBHOOK_URL: "https://example.com/hook" } });
    folder = (await emptyFolder()).root;
    const user = await stack.signUp();
    await stack.createTenant();
    await stack.sql`insert into spend.operators (user_id, role) values (${user.id}, 'editor')`;
    const sql = postgres(stack.database.url, { max: 1, onnotice: () => {} });
    await sql`call spend.run_maintenance()`;
    await sql.end();
    proxy = await startServer((request, response) => {
      if (!instead(request, response)) forward(stack.url, request, response);
    });
  });
  beforeEach(() => {
    instead = () => false;
  });
  afterAll(async () => {
    await proxy?.stop();
    await stack?.stop();
  });

  const look = (key = stack.keys.secret, url = proxy.url) =>
    notWell(folder, "--url", url, "--secret-key", key);
  const answer = (path: string, status: number, body: object) => {
    instead = ({ url }, response) => {
      if (url?.split("?")[0] !== path) return false;
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
      return true;
    };
  };

  it("is well, with the key from the environment", async () => {
    const bin = join(installed.folder, "node_modules/.bin/spendgate");
    const { code, out, err } = await runNode(folder, bin, ["doctor", "--url", stack.url], {
      SUPABASE_SECRET_KEY: stack.keys.secret,
    });
    expect({ code, err, out }).toMatchObject({ code: 0, err: "" });
    expect(out).toContain("ok      exposed: the Data API exposes spend\n");
    expect(out).toContain("ok      function.chat: chat works\n");
    expect(out).toMatch(/\n0 wrong, 0 warnings, \d+ ok\n$/);
  });

  it("names a key that is publishable, of another project, or none", async () => {
    expect(await look(stack.keys.publishable)).toEqual(["wrong key"]);
    expect(await look(`sb_secret_${randomUUID()}`)).toEqual(["wrong key"]);
    expect(await look("hunter2")).toEqual(["wrong key"]);
    const none = await runNode(
      folder,
      join(installed.folder, "node_modules/.bin/spendgate"),
      ["doctor", "--url", stack.url],
      { SUPABASE_SECRET_KEY: "", SUPABASE_SERVICE_ROLE_KEY: "" },
    );
    expect(none).toMatchObject({ code: 2, out: "" });
    expect(none.err).toContain("Give --secret-key, or set SUPABASE_SECRET_KEY.");
  });

  it("names a URL where nobody answers", async () => {
    const url = `http://127.0.0.1:${await closedPort()}`;
    expect(await look(undefined, url)).toEqual([
      "wrong url",
      ...["chat", "openai", "anthropic", "sandbox", "alerts", "maintenance"].map(
        (n) => `wrong function.${n}`,
      ),
    ]);
  });

  const functions = "/functions/v1";
  it.each<[string, string, number, object, string[]]>([
    [
      "a schema that is not exposed",
      "/rest/v1/rpc/contract_version",
      406,
      { code: "PGRST106" },
      ["wrong exposed"],
    ],
    ["spend_private exposed", "/rest/v1/quota_balances", 200, [], ["wrong exposed"]],
    [
      "a database without Spendgate",
      "/rest/v1/rpc/contract_version",
      404,
      { code: "PGRST202" },
      ["wrong database"],
    ],
    [
      "another contract",
      "/rest/v1/rpc/contract_version",
      200,
      2 as unknown as object,
      ["wrong contract"],
    ],
    [
      "no prices",
      "/rest/v1/rpc/newest_price_from",
      200,
      null as unknown as object,
      ["wrong prices"],
    ],
    [
      "a function that is not deployed",
      `${functions}/openai/health`,
      404,
      {},
      ["warning function.openai"],
    ],
    [
      "a function behind the platform's JWT check",
      `${functions}/chat/health`,
      401,
      { msg: "Missing authorization header" },
      ["wrong function.chat"],
    ],
    [
      "a function without its settings",
      `${functions}/alerts/health`,
      503,
      { error: "not_configured", message: "Missing or wrong: SUPABASE_URL." },
      ["wrong function.alerts"],
    ],
  ])("names %s", async (_, path, status, body, expected) => {
    answer(path, status, body);
    expect(await look()).toEqual(expected);
  });
});
