// npm run test:mutants: breaks one thing at a time and demands that a test goes red for it.
//   npm run test:mutants -- --only 'policy|settle'    mutants whose name matches
//   npm run test:mutants -- --list                    their names alone
//   npm run test:mutants -- --jobs 1                  as many at a time (default 2)
//   npm run test:mutants -- --resume results.jsonl    passes over what that file says was killed or survived, and goes on in it
//   npm run test:mutants -- --patience 3              limits three times as long: a test that runs out of time proves nothing
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { appendFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import postgres, { type Sql } from "postgres";
import { applyDatabaseSettings, bootstrap } from "../../scripts/stack/bootstrap.ts";
import { type DatabaseServer, startDatabase } from "../../scripts/stack/database.ts";
import { main } from "../../scripts/stack/main.ts";
import { migrate } from "../../scripts/stack/migrate.ts";
import { PROJECT, STACK_DATA } from "../../scripts/stack/paths.ts";
import { pgtapFault, pgtapFiles, runPgtap } from "../support/pgtap.ts";
import { catalogueMutants } from "./catalogue.ts";
import { changedText, demandTexts } from "./change.ts";
import { functionMutants } from "./functions.ts";
import { guardMutants } from "./guards.ts";
import { lockMutants } from "./locks.ts";
import { type Change, type Mutant, pgtap } from "./mutant.ts";
import { isLate, type Red, redInVitest } from "./red.ts";

const BASE = "spendgate_base";
const PGTAP = "pgtap ";

/** What was red, and the test, or part of it, that shows it. */
interface RedRun extends Red {
  test: string;
}

/** What a test is to run on. */
interface Subject {
  /** The mutant as SQL; empty: none. */
  change: string;
  /** A database with it, to copy. */
  template: () => Promise<string>;
  /** The folder of the functions, unless it is the project's. */
  functions?: string;
}

const BASELINE: Subject = { change: "", template: async () => BASE };

/** Databases for pgTAP that no test runs in. */
const idlePgtap: Sql[] = [];

const OUTCOMES = ["killed", "timed out", "survived"] as const;

/** A line of the file of results. */
interface Verdict {
  name: string;
  /** Timed out: no assertion failed, but a test ran out of time, as it may on a busy machine. */
  outcome: (typeof OUTCOMES)[number];
  /** The tests that were red. */
  red: string[];
}

const { values: options } = parseArgs({
  options: {
    only: { type: "string" },
    list: { type: "boolean" },
    jobs: { type: "string", default: "2" },
    resume: { type: "string" },
    patience: { type: "string", default: "1" },
  },
});

/** A mutant that makes a test hang is noticed, too. */
const TEST_SECONDS = 240 * Number(options.patience);

await main(async () => {
  // What no crash is to survive need not wait for the disk.
  const server = await startDatabase({ settings: { fsync: "off" } });
  const admin = postgres(server.url, { max: 4, onnotice: () => {} });
  try {
    await admin.unsafe(`create database ${BASE}`);
    await bootstrap(server.urlOf(BASE));
    await migrate(server.urlOf(BASE), { seeds: ["./seeds/prices.sql"] });
    const mutants = await select(server.urlOf(BASE));
    if (options.list) return mutants.forEach(({ name }) => void console.log(name));
    await admin.unsafe(`alter database ${BASE} with allow_connections false`);

    const results = options.resume ?? join(STACK_DATA, `mutants-${randomUUID()}.jsonl`);
    const verdicts = new Map((await earlier(results)).map((verdict) => [verdict.name, verdict]));
    const open = mutants
      .filter(({ name }) => (verdicts.get(name)?.outcome ?? "timed out") === "timed out")
      .sort((one, other) => racesOf(one) - racesOf(other));
    console.log(`${open.length} of ${mutants.length} mutants; results go to ${results}`);

    const demandGreen = greenWithoutMutant((test) => redTest(test, server, BASELINE));
    await inParallel(open, Number(options.jobs), async (mutant, index) => {
      const verdict = await tryMutant(mutant, index, server, admin, demandGreen);
      verdicts.set(mutant.name, verdict);
      await appendFile(results, `${JSON.stringify(verdict)}\n`);
      console.log(`${verdict.outcome.padEnd(9)}  ${mutant.name}`);
    });
    report(mutants, verdicts);
  } finally {
    await Promise.all(idlePgtap.map((sql) => sql.end()));
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

/** What takes long; pgTAP takes seconds. */
function racesOf({ tests }: Mutant): number {
  return tests.filter((test) => !test.startsWith(PGTAP)).length;
}

/** The verdicts of a run that was broken off. */
async function earlier(results: string): Promise<Verdict[]> {
  await mkdir(dirname(results), { recursive: true });
  await appendFile(results, "");
  const lines = (await readFile(results, "utf8")).split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line));
}

/** Red proves nothing of a test that is red without a mutant: each that goes red runs without one, once. */
function greenWithoutMutant(
  run: (test: string) => Promise<RedRun | null>,
): (test: string) => Promise<void> {
  const runs = new Map<string, Promise<RedRun | null>>();
  return async (test) => {
    if (!runs.has(test)) runs.set(test, run(test));
    const red = await runs.get(test);
    if (red) throw new Error(`${test} is red without any mutant: ${red.names.join("; ")}`);
  };
}

async function tryMutant(
  mutant: Mutant,
  index: number,
  server: DatabaseServer,
  admin: Sql,
  demandGreen: (test: string) => Promise<void>,
): Promise<Verdict> {
  if ("file" in mutant.change && mutant.change.file.startsWith("functions/")) {
    return withFunctions(mutant.change, (functions) =>
      judge(mutant, (test) => redTest(test, server, { ...BASELINE, functions }), demandGreen),
    );
  }
  const name = `mutant_${index}`;
  const change = await statementOf(mutant.change);
  let made: Promise<string> | undefined;
  const template = () => {
    made ??= makeTemplate(name, change, server, admin);
    return made;
  };
  try {
    return await judge(mutant, (test) => redTest(test, server, { change, template }), demandGreen);
  } finally {
    if (made) await admin.unsafe(`drop database if exists ${name} with (force)`);
  }
}

async function makeTemplate(
  name: string,
  change: string,
  server: DatabaseServer,
  admin: Sql,
): Promise<string> {
  await admin.unsafe(`create database ${name} template ${BASE}`);
  const sql = postgres(server.urlOf(name), { max: 1, onnotice: () => {} });
  try {
    await sql.unsafe(change);
  } finally {
    await sql.end();
  }
  await admin.unsafe(`alter database ${name} with allow_connections false`);
  return name;
}

/** Runs the tests of a mutant until an assertion fails. */
async function judge(
  { name, tests }: Mutant,
  run: (test: string) => Promise<RedRun | null>,
  demandGreen: (test: string) => Promise<void>,
): Promise<Verdict> {
  const late: string[] = [];
  for (const test of tests) {
    const red = await run(test);
    if (red === null) continue;
    await demandGreen(red.test);
    if (!red.late) return { name, outcome: "killed", red: red.names };
    late.push(...red.names);
  }
  return { name, outcome: late.length > 0 ? "timed out" : "survived", red: late };
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

/** Runs a test until something in it is red; null: nothing is. */
async function redTest(
  test: string,
  server: DatabaseServer,
  { change, template, functions }: Subject,
): Promise<RedRun | null> {
  return test.startsWith(PGTAP)
    ? redPgtap(test.slice(PGTAP.length), server, change)
    : redVitest(test, server.url, await template(), functions);
}

/** The pgTAP files of that part of a path, each with the change in its transaction, which it rolls back. */
async function redPgtap(
  part: string,
  server: DatabaseServer,
  change: string,
): Promise<RedRun | null> {
  const files = pgtapFiles(part);
  if (files.length === 0) throw new Error(`no pgTAP file has ${part} in its path`);
  const sql = idlePgtap.pop() ?? (await openPgtap(server));
  try {
    for (const file of files) {
      // A mutant has written, so whatever is compared with it has, too.
      await sql.unsafe(`begin; select pg_current_xact_id(); ${change}`).simple();
      const outcome = await runPgtap(sql, file);
      await sql.unsafe("rollback");
      await sql.unsafe("discard all");
      const red = outcome.assertions.find(({ result }) => !result.ok && !result.todo);
      const fault = red ? red.result.name : pgtapFault(outcome);
      if (fault !== null) {
        return { test: pgtap(file), names: [`${file}: ${fault}`], late: isLate(fault) };
      }
    }
    return null;
  } finally {
    idlePgtap.push(sql);
  }
}

async function openPgtap(server: DatabaseServer): Promise<Sql> {
  const url = server.urlOf(`pgtap_${randomUUID().replaceAll("-", "")}`);
  const admin = postgres(server.url, { max: 1 });
  await admin.unsafe(`create database ${new URL(url).pathname.slice(1)} template ${BASE}`);
  await admin.end();
  await applyDatabaseSettings(url);
  return postgres(url, {
    max: 1,
    onnotice: () => {},
    connection: { statement_timeout: TEST_SECONDS * 1000 },
  });
}

async function redVitest(
  test: string,
  server: string,
  template: string,
  functions?: string,
): Promise<RedRun | null> {
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
        SPENDGATE_TEST_PATIENCE: options.patience,
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
  if (late) return { test, names: [`${test}: not done after ${TEST_SECONDS} s`], late };
  if (code === 0) return null;
  const red = redInVitest(output);
  return { test, ...(red ?? { names: [`${test}: ${output.trim().split("\n").at(-1)}`], late }) };
}

function report(mutants: Mutant[], verdicts: Map<string, Verdict>): void {
  const judged = mutants.map((mutant) => ({
    ...mutant,
    ...(verdicts.get(mutant.name) as Verdict),
  }));
  const kindOf = (name: string) => name.split(":")[0];
  console.log(`\n${OUTCOMES.join("  ")}  kind`);
  for (const kind of new Set(judged.map(({ name }) => kindOf(name)))) {
    const counts = OUTCOMES.map((outcome) => {
      const found = judged.filter((each) => kindOf(each.name) === kind && each.outcome === outcome);
      return String(found.length).padStart(outcome.length);
    });
    console.log(`${counts.join("  ")}  ${kind}`);
  }
  for (const { name, outcome, red, tests } of judged) {
    if (outcome === "killed") continue;
    console.log(`\n${outcome}: ${name}\n  ${(outcome === "survived" ? tests : red).join("\n  ")}`);
    process.exitCode = 1;
  }
}

async function inParallel<T>(
  items: T[],
  jobs: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: jobs }, async () => {
      while (next < items.length) {
        const index = next++;
        await work(items[index] as T, index);
      }
    }),
  );
}
