// The commands but doctor.
import { existsSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { changesSince, manifest, migrationText, pricesText } from "./assets.ts";
import { Failure, USAGE } from "./failure.ts";
import { copiedRoot, isTheirs } from "./functions.ts";
import { functionNames, installPlan, lookAt, nextSteps } from "./install.ts";
import { installedPrices, pricesFile, TimeStamps } from "./migrations.ts";
import { paint, say, warn } from "./output.ts";
import { carryOut, type PlanOptions } from "./plan.ts";
import { priceUpdate, updateSql } from "./prices.ts";
import { expectProject, findProject, Project } from "./project.ts";
import { compareVersions, count } from "./text.ts";

interface ChangeOptions extends PlanOptions {
  dir: string;
  config: boolean;
  force?: boolean;
}

export interface InitOptions extends ChangeOptions {
  functions?: string;
  prices: boolean;
}

export async function init({ dir, functions, prices, config, force, ...options }: InitOptions) {
  const names = functionNames(functions);
  const project = findProject(expectFolder(dir)) ?? new Project(resolve(dir));
  if (!project.hasConfig && !project.otherConfig) {
    say(`There is no Supabase project in ${project.root} or above it: one is begun here.`);
  }
  const installed = lookAt(project);
  if (installed.version !== undefined && compareVersions(installed.version, manifest.version) < 0) {
    throw new Failure(
      `Spendgate ${installed.version} is in this project already.`,
      `Run \`npx spendgate upgrade\` to take ${manifest.version}.`,
    );
  }
  // What a first run left out stays out, unless it is asked for.
  const wanted = functions === undefined ? (installed.record?.functions.names ?? names) : names;
  const plan = installPlan(project, installed, { names: wanted, prices, config, force: !!force });
  if (await carryOut(project, plan, options)) {
    say("", ...nextSteps(lookAt(project).record?.functions.names ?? []));
  }
}

export async function upgrade({ dir, config, force, ...options }: ChangeOptions) {
  const project = expectProject(expectFolder(dir));
  const installed = lookAt(project);
  if (installed.version === undefined) {
    throw new Failure("Spendgate is not in this project.", "Run `npx spendgate init`.");
  }
  const root = copiedRoot(project);
  const copied = Object.keys(manifest.functions).filter(
    (name) =>
      root !== undefined &&
      existsSync(project.inSupabase(root, name)) &&
      !isTheirs(project, project.config, name, root),
  );
  const names = installed.record?.functions.names ?? copied;
  const plan = installPlan(project, installed, { names, prices: false, config, force: !!force });
  const changes = changesSince(installed.version);
  if (changes) say(`From ${installed.version} to ${manifest.version}:`, "", changes, "");
  const isDone = await carryOut(project, plan, options);
  const { prices } = priceUpdate(project, today());
  if (prices.length > 0) {
    say(`The package has ${count(prices.length, "new price")}: \`npx spendgate prices update\`.`);
  }
  if (isDone) {
    say(
      "",
      "Next, in this order: npx supabase db push, npx supabase functions deploy --use-api, npx spendgate doctor.",
      "UPGRADING.md of Spendgate says where a version needs more.",
    );
  }
}

export interface SqlOptions {
  from?: string;
  prices?: boolean;
}

export function sql({ from, prices }: SqlOptions): void {
  if (from !== undefined && !/^\d+\.\d+\.\d+/.test(from)) {
    throw new Failure(`${from} is not a version.`, "Give one such as 0.1.0.", USAGE);
  }
  const wanted = manifest.migrations.filter(
    ({ release }) => from === undefined || compareVersions(release, from) > 0,
  );
  for (const migration of wanted) {
    say(`-- Spendgate ${migration.release}: ${migration.file}`, migrationText(migration).trimEnd());
  }
  if (prices) say(`-- Spendgate ${manifest.version}: prices`, pricesText().trimEnd());
  if (wanted.length === 0) warn(`There is no migration after ${from}.`);
}

export async function updatePrices({ dir, ...options }: PlanOptions & { dir: string }) {
  const project = expectProject(expectFolder(dir));
  const stamps = new TimeStamps(project);
  const isFirst = installedPrices(project).length === 0;
  const update = priceUpdate(project, today());
  if (update.prices.length === 0 && update.aliases.length === 0) {
    return say("The project has every price of the package. `npx spendgate@latest` may have more.");
  }
  const replaced = update.prices.filter(({ was }) => was !== undefined);
  const added = update.prices.length - replaced.length;
  say(
    `${count(added, "new price")}, ${count(replaced.length, "changed price")}, ${count(update.aliases.length, "new name")}.`,
  );
  for (const { provider, product, meter, was, usd, day } of replaced.slice(0, 20)) {
    say(`  ${provider}/${product} ${meter}: $${was} -> ${paint("bold", `$${usd}`)} from ${day}`);
  }
  if (replaced.length > 20) say(`  … and ${count(replaced.length - 20, "more", "more")}`);
  const body = isFirst ? pricesText() : updateSql(update);
  const plan = { changes: [pricesFile(body, stamps)], notes: [] };
  if (await carryOut(project, plan, options)) say("Next: npx supabase db push.");
}

function today(): string {
  return new Date().toISOString().slice(0, 10);
}

/** @throws Failure where it is no folder. */
function expectFolder(dir: string): string {
  if (statSync(dir, { throwIfNoEntry: false })?.isDirectory()) return dir;
  throw new Failure(
    `There is no folder ${resolve(dir)}.`,
    "Create it, or give another --dir.",
    USAGE,
  );
}
