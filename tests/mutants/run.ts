// npm run test:mutants: breaks one thing at a time and demands that a test goes red for it.
//   npm run test:mutants -- --only 'policy|settle'    mutants whose name matches
//   npm run test:mutants -- --list                    their names alone
//   npm run test:mutants -- --jobs 1                  as many at a time (default 2)
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import postgres, { type Sql } from "postgres";
import { applyDatabaseSettings, bootstrap } from "../../scripts/stack/bootstrap.ts";
import { startDatabase } from "../../scripts/stack/database.ts";
import { main } from "../../scripts/stack/main.ts";
import { migrate } from "../../scripts/stack/migrate.ts";
import { PROJECT, STACK_DATA } from "../../scripts/stack/paths.ts";
import { pgtapFault, pgtapFiles, runPgtap } from "../support/pgtap.ts";
import { catalogueMutants } from "./catalogue.ts";
import { changedText, demandTexts } from "./change.ts";
import { functionMutants } from "./functions.ts";
import { guardMutants } from "./guards.ts";
import { lockMutants } from "./locks.ts";
import type { Change, Mutant } from "./mutant.ts";

const BASE = "spendgate_base";
/** A mutant that makes a test hang is noticed, too. */
const TEST_SECONDS = 240;
const PGTAP = "pgtap ";

interface Verdict {
  mutant: Mutant;
  /** The test that went red; null: none did. */
  killedBy: string | null;
}

const { values: options } = parseArgs({
  options: {
    only: { type: "string" },
    list: { type: "boolean" },
    jobs: { type: "string", default: "2" },
  },
});

await main(async () => {
  const server = await startDatabase();
  const admin = postgres(server.url, { max: 4, onnotice: () => {} });
  try {
    await admin.unsafe(`create database ${BASE}`);
    await bootstrap(server.urlOf(BASE));
    await migrate(server.urlOf(BASE), { seeds: ["./seeds/prices.sql"] });
    const mutants = await select(server.urlOf(BASE));
    if (options.list) return mutants.forEach(({ name }) => void console.log(name));
    await admin.unsafe(`alter database ${BASE} with allow_connections false`);

    const run = (test: string, template: string, functions?: string) =>
      redTest(test, { server: server.url, template, functions });
    await demandGreen(mutants, (test) => run(test, BASE));
    const verdicts = await inParallel(mutants, Number(options.jobs), async (mutant, index) => {
      const verdict = {
        mutant,
        killedBy: await tryMutant(mutant, index, admin, server.urlOf, run),
      };
      console.log(`${verdict.killedBy === null ? "SURVIVED" : "killed  "}  ${mutant.name}`);
      return verdict;
    });
    report(verdicts);
  } finally {
    await admin.end();
    await server.stop();
  }
});

async function select(url: string): Promise<Mutant[]> {
  const sql = postgres(url, { max: 1 });
  try {
    const all = [
      ...guardMutants,
      ...(await lockMutants()),
      ...functionMutants,
      ...(await catalogueMutants(sql)),
    ];
    await demandTexts(all);
    const only = new RegExp(options.only ?? "", "i");
    const chosen = all.filter(({ name }) => only.test(name));
    if (chosen.length === 0) throw new Error(`no mutant matches ${only}`);
    return chosen;
  } finally {
    await sql.end();
  }
}

/** Red proves nothing of a test that is red without a mutant. */
async function demandGreen(
  mutants: Mutant[],
  run: (test: string) => Promise<string | null>,
): Promise<void> {
  const tests = [...new Set(mutants.flatMap((mutant) => mutant.tests))];
  await inParallel(tests, Number(options.jobs), async (test) => {
    const red = await run(test);
    if (red !== null) throw new Error(`${test} is red without any mutant: ${red}`);
  });
  console.log(`${tests.length} runs are green without a mutant; ${mutants.length} mutants`);
}

type Run = (test: string, template: string, functions?: string) => Promise<string | null>;

async function tryMutant(
  mutant: Mutant,
  index: number,
  admin: Sql,
  urlOf: (database: string) => string,
  run: Run,
): Promise<string | null> {
  const { change, tests } = mutant;
  if ("file" in change && change.file.startsWith("functions/")) {
    return withFunctions(change, (folder) => firstRed(tests, (test) => run(test, BASE, folder)));
  }
  const name = `mutant_${index}`;
  await admin.unsafe(`create database ${name} template ${BASE}`);
  try {
    const sql = postgres(urlOf(name), { max: 1, onnotice: () => {} });
    try {
      await sql.unsafe(await statementOf(change)).catch((error) => {
        throw new Error(`${mutant.name}: ${error.message}`);
      });
    } finally {
      await sql.end();
    }
    await admin.unsafe(`alter database ${name} with allow_connections false`);
    return await firstRed(tests, (test) => run(test, name));
  } finally {
    await admin.unsafe(`drop database ${name} with (force)`);
  }
}

async function firstRed(
  tests: string[],
  run: (test: string) => Promise<string | null>,
): Promise<string | null> {
  for (const test of tests) {
    const red = await run(test);
    if (red !== null) return red;
  }
  return null;
}

async function statementOf(change: Change): Promise<string> {
  if ("sql" in change) return change.sql;
  const { text, at } = await changedText(change);
  // The function around the change, over the one that is there.
  const start = text.lastIndexOf("create function", at);
  const end = text.indexOf("\n$$;", at);
  if (start < 0 || end < 0) throw new Error(`${change.file}: the change is in no function`);
  return `set check_function_bodies = off; ${text
    .slice(start, end + 4)
    .replace("create function", "create or replace function")}`;
}

async function withFunctions<T>(
  change: Exclude<Change, { sql: string }>,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  // In the project, where Deno finds node_modules.
  await mkdir(STACK_DATA, { recursive: true });
  const folder = await mkdtemp(join(STACK_DATA, "mutant-"));
  try {
    await cp(join(PROJECT, "functions"), folder, { recursive: true });
    const { text } = await changedText(change);
    await writeFile(join(folder, change.file.slice("functions/".length)), text);
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Place {
  server: string;
  template: string;
  functions?: string;
}

/** Runs a test; answers the first thing that is red in it, or null. */
async function redTest(test: string, place: Place): Promise<string | null> {
  return test.startsWith(PGTAP)
    ? redPgtap(test.slice(PGTAP.length), place)
    : redVitest(test, place);
}

/** The pgTAP files of that part of a path, in a copy of the template, without a process of their own for each mutant. */
async function redPgtap(part: string, { server, template }: Place): Promise<string | null> {
  const name = `pgtap_${randomUUID().replaceAll("-", "")}`;
  const url = Object.assign(new URL(server), { pathname: `/${name}` }).href;
  const admin = postgres(server, { max: 1, onnotice: () => {} });
  await admin.unsafe(`create database ${name} template ${template}`);
  await applyDatabaseSettings(url);
  const sql = postgres(url, {
    max: 1,
    onnotice: () => {},
    connection: { statement_timeout: TEST_SECONDS * 1000 },
  });
  try {
    const files = pgtapFiles(part);
    if (files.length === 0) throw new Error(`no pgTAP file has ${part} in its path`);
    for (const file of files) {
      const outcome = await runPgtap(sql, file);
      const red = outcome.assertions.find(({ result }) => !result.ok && !result.todo);
      const fault = red ? red.result.name : pgtapFault(outcome);
      if (fault !== null) return `${file}: ${fault}`;
    }
    return null;
  } finally {
    await sql.end({ timeout: 5 });
    await admin.unsafe(`drop database ${name} with (force)`);
    await admin.end();
  }
}

async function redVitest(
  test: string,
  { server, template, functions }: Place,
): Promise<string | null> {
  const [file, name] = test.split(" -t ");
  const child = spawn(
    process.execPath,
    [
      join(PROJECT, "node_modules/vitest/vitest.mjs"),
      "run",
      "--bail=1",
      `tests/${file}.test.ts`,
      ...(name ? ["-t", name] : []),
    ],
    {
      cwd: PROJECT,
      env: {
        ...process.env,
        NO_COLOR: "1",
        SPENDGATE_TEST_SERVER: server,
        SPENDGATE_TEST_TEMPLATE: template,
        // What storms for a minute in `npm test` finds a missing lock in seconds.
        SPENDGATE_DEADLOCK_SECONDS: "10",
        ...(functions && { SPENDGATE_TEST_FUNCTIONS: functions }),
      },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, TEST_SECONDS * 1000);
  const code = await new Promise<number | null>((done) => child.once("close", done));
  clearTimeout(timer);
  if (late) return `${test}: not done after ${TEST_SECONDS} s`;
  if (code === 0) return null;
  return /^ FAIL {2}(.*)$/m.exec(output)?.[1] ?? `${test}: ${output.trim().split("\n").at(-1)}`;
}

function report(verdicts: Verdict[]): void {
  const kinds = new Map<string, { killed: number; survived: number }>();
  for (const { mutant, killedBy } of verdicts) {
    const kind = mutant.name.split(":")[0] ?? "";
    const counts = kinds.get(kind) ?? { killed: 0, survived: 0 };
    counts[killedBy === null ? "survived" : "killed"] += 1;
    kinds.set(kind, counts);
  }
  console.log("\nkilled  survived  kind");
  for (const [kind, { killed, survived }] of kinds) {
    console.log(`${String(killed).padStart(6)}  ${String(survived).padStart(8)}  ${kind}`);
  }
  const survivors = verdicts.filter(({ killedBy }) => killedBy === null);
  if (survivors.length === 0) return;
  console.log("\nNo test went red for:");
  for (const { mutant } of survivors) {
    console.log(`  ${mutant.name}\n    tried: ${mutant.tests.join("; ")}`);
  }
  process.exitCode = 1;
}

async function inParallel<T, R>(
  items: T[],
  jobs: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  await Promise.all(
    Array.from({ length: jobs }, async () => {
      while (next < items.length) {
        const index = next++;
        results[index] = await work(items[index] as T, index);
      }
    }),
  );
  return results;
}
