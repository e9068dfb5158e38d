// What the documentation shows is what runs: every block of code, every link.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import type { Sql } from "postgres";
import { expect, it } from "vitest";
import { PROJECT } from "../scripts/stack/paths.ts";
import { BLOCKS, blocksOf, PAGES, read, statementsOf } from "./docs/pages.ts";
import { cloneDatabase } from "./support/database.ts";

const GPT_4O = { provider: "openai", model: "gpt-4o", input_tokens: 1200, output_tokens: 500 };

/** Blocks that this file does not run, by page and language: who does. */
const RUN_ELSEWHERE: Record<string, string> = {
  "docs/guides/attach.md sql": "supabase/tests/tenants/attach.test.sql",
  "docs/guides/grafana.md sql": "tests/docs/grafana.test.ts",
  "docs/guides/prices.md sql": "tests/prices/docs.test.ts",
};

const where = ({ page, line }: { page: string; line: number }) => `${page}:${line}`;

it("Every block says its language, and there is somebody to run it", () => {
  const languages = ["sql", "sh", "ts", "json", "mermaid", "text"];
  expect(BLOCKS.filter(({ language }) => !languages.includes(language)).map(where)).toEqual([]);
  expect(BLOCKS.length).toBeGreaterThan(60);
  for (const [block, file] of Object.entries(RUN_ELSEWHERE)) {
    const [page, language] = block.split(" ");
    expect(blocksOf(page as string).some((each) => each.language === language)).toBe(true);
    expect(read(file)).toContain(page);
  }
});

it("docs/guides/attach.md shows the SQL of supabase/tests/tenants/attach.test.sql", () => {
  const shown = blocksOf("docs/guides/attach.md").find(({ language }) => language === "sql");
  const tested = read("supabase/tests/tenants/attach.test.sql").match(
    /^-- docs\/guides\/attach\.md: begin\n(.*?)^-- docs\/guides\/attach\.md: end$/ms,
  )?.[1];
  expect(shown?.code.trim()).toBe(tested?.trim());
  expect(shown?.code).toContain("create trigger");
});

it("README.md shows the lines of functions/example, which is tested", () => {
  const shown = blocksOf("README.md").find(({ code }) => code.startsWith("const metering"));
  const lines = (shown?.code ?? "").trim().split("\n");
  expect(lines).toHaveLength(3);
  for (const line of lines) expect(read("functions/example/index.ts")).toContain(line);
});

it("docs/guides/alerts.md shows the lines of tests/support/functions/hooked, which is tested", () => {
  const shown = blocksOf("docs/guides/alerts.md").find(({ code }) => code.includes("onQuota"));
  expect(shown?.code).toContain("onQuotaExceeded");
  expect(read("tests/support/functions/hooked/index.ts")).toContain(shown?.code.trim());
});

/** What a statement may name: a tenant with a member, and a call that is open. */
async function world(sql: Sql): Promise<Record<string, string>> {
  // What hosted projects have and this server lacks.
  await sql.unsafe(`
    create schema if not exists vault;
    create table vault.decrypted_secrets (name text, decrypted_secret text);
    create schema if not exists net;
    create function net.http_post(url text, headers jsonb, timeout_milliseconds integer) returns bigint
      language sql as 'select 1::bigint';
    create schema if not exists cron;
    create function cron.schedule(name text, schedule text, command text) returns bigint
      language plpgsql as 'begin execute command; return 1; end';`);
  const [user] = await sql`insert into auth.users (id) values (gen_random_uuid()) returning id`;
  const [tenant] = await sql`insert into spend.tenants (name) values ('Acme') returning id`;
  await sql`insert into spend.tenant_members (tenant_id, user_id) values (${tenant?.id}, ${user?.id})`;
  const [call] = await sql`
    select (spend.reserve(${tenant?.id}, ${user?.id}, 'llm', ${sql.json(GPT_4O)})).reservation_id as id`;
  return {
    "<tenant>": tenant?.id,
    "<user>": user?.id,
    "<reservation_id>": call?.id,
    "<project>": "project",
  };
}

const sqlPages = PAGES.filter(
  (page) =>
    !(`${page} sql` in RUN_ELSEWHERE) && blocksOf(page).some(({ language }) => language === "sql"),
);

it.each(sqlPages)("Every SQL statement of %s runs, in its order", async (page) => {
  const { sql, close } = await cloneDatabase();
  try {
    const names = await world(sql);
    for (const block of blocksOf(page).filter(({ language }) => language === "sql")) {
      for (const statement of statementsOf(block.code)) {
        const text = statement.replace(/<\w+>/g, (name) => names[name] ?? name);
        const [row] = await sql.unsafe(text).catch((error) => {
          throw new Error(`${where(block)}: ${error.message}\n${text}`);
        });
        if (row?.reservation_id) names["<reservation_id>"] = row.reservation_id;
      }
    }
    expect(await sql`select * from spend.verify_balances()`).toEqual([]);
  } finally {
    await close();
  }
});

it("The call that README.md settles costs 1,130 × $2.50 + 212 × $10.00 per million", async () => {
  const { sql, close } = await cloneDatabase();
  try {
    const names = await world(sql);
    const [block] = blocksOf("README.md").filter(({ language }) => language === "sql");
    for (const statement of statementsOf(block?.code ?? "")) {
      const [row] = await sql.unsafe(statement.replace(/<\w+>/g, (name) => names[name] ?? name));
      names["<reservation_id>"] = row?.reservation_id;
    }
    expect(await sql`select kind, cost_usd::float8 from spend.cost_events`).toEqual([
      { kind: "charge", cost_usd: 0.004945 },
    ]);
  } finally {
    await close();
  }
});

it("Every command names a script of package.json, and a file that is there", () => {
  const { scripts } = JSON.parse(read("package.json"));
  const code = PAGES.flatMap((page) => [
    ...[...read(page).matchAll(/`([^`\n]+)`/g)].map(([, text]) => ({ page, text: text ?? "" })),
    ...blocksOf(page)
      .filter(({ language }) => language === "sh")
      .map(({ code }) => ({ page, text: code })),
  ]);
  for (const { page, text } of code) {
    for (const [, name] of text.matchAll(/npm run (?:--silent |-s )?([\w:-]+)/g)) {
      expect(Object.keys(scripts), `${page}: npm run ${name}`).toContain(name);
    }
    for (const [, path] of text.matchAll(/(?:vitest run|tsx) ([\w/.]+)/g)) {
      expect(existsSync(join(PROJECT, path as string)), `${page}: ${path}`).toBe(true);
    }
  }
});

it("Every block of sh, ts and json can be read as such", () => {
  for (const block of BLOCKS) {
    const check = () => {
      if (block.language === "json") JSON.parse(block.code);
      if (block.language === "sh")
        execFileSync("bash", ["-n"], { input: block.code.replace(/<[\w ]+>/g, "x") });
      if (block.language === "ts") {
        const biome = join(PROJECT, "node_modules/.bin/biome");
        const args = ["format", "--stdin-file-path=block.ts"];
        execFileSync(biome, args, { cwd: PROJECT, input: block.code });
      }
    };
    expect(check, where(block)).not.toThrow();
  }
});

/** The anchor that a heading gets. */
function anchorOf(heading: string): string {
  return heading
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

it("Every link leads to a file, and to a heading of it", () => {
  const broken = PAGES.flatMap((page) => {
    const text = read(page).replaceAll(/^\s*```.*?^\s*```$/gms, "");
    return [...text.matchAll(/\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)/g)].flatMap(
      ([link, path = "", anchor]) => {
        const target = path === "" ? page : normalize(join(dirname(page), path));
        if (!existsSync(join(PROJECT, target))) return [`${page}: ${link}`];
        if (anchor === undefined || !target.endsWith(".md")) return [];
        const headings = [...read(target).matchAll(/^#+ (.*)$/gm)].map(([, title]) => title ?? "");
        return headings.map(anchorOf).includes(anchor) ? [] : [`${page}: ${link}`];
      },
    );
  });
  expect(broken).toEqual([]);
});

it("Every page of docs is reached from README.md", () => {
  const linked = new Set(["README.md"]);
  for (const page of linked) {
    for (const [, path] of read(page).matchAll(/\]\((?!https?:)([^)#\s]+\.md)/g)) {
      linked.add(normalize(join(dirname(page), path as string)));
    }
  }
  expect(PAGES.filter((page) => !linked.has(page))).toEqual([]);
});

it("CONTRIBUTING.md names files that are there", () => {
  const files = execFileSync("git", ["ls-files"], { cwd: PROJECT, encoding: "utf8" }).split("\n");
  const table = read("CONTRIBUTING.md")
    .split(/^## /m)
    .find((section) => section.startsWith("Ten tasks"));
  const names = [...(table ?? "").matchAll(/`([\w./{},*-]+\.(?:ts|sql|md|json|toml))`/g)]
    .flatMap(([, name = ""]) => {
      const braces = /^(.*)\{(.*)\}(.*)$/.exec(name);
      if (braces === null) return [name];
      return (braces[2] ?? "").split(",").map((part) => `${braces[1]}${part}${braces[3]}`);
    })
    .filter((name) => !name.includes("*"));
  expect(names.length).toBeGreaterThan(40);
  const missing = names.filter((name) => !files.some((file) => `/${file}`.endsWith(`/${name}`)));
  expect(missing).toEqual([]);
});

it("README.md has 150 lines at most", () => {
  expect(read("README.md").trimEnd().split("\n").length).toBeLessThanOrEqual(150);
});

it("The code names no page that is not there", () => {
  const files = execFileSync(
    "git",
    ["grep", "-lE", "docs/[a-z/_-]+\\.md", "--", ":!docs", ":!*.md"],
    {
      cwd: PROJECT,
      encoding: "utf8",
    },
  );
  for (const file of files.trim().split("\n")) {
    for (const [page] of read(file).matchAll(/\bdocs\/[a-z/_-]+\.md/g)) {
      expect(existsSync(join(PROJECT, page)), `${file}: ${page}`).toBe(true);
    }
  }
});
