// What the project's files say: config.toml, migrations, functions, their settings.
import { existsSync } from "node:fs";
import { parseEnv } from "node:util";
import {
  ALERTS_AND_TELEMETRY,
  E2B,
  LLM,
  PROVIDERS,
  readSettings,
  SANDBOXES,
} from "../../../../../functions/_shared/runtime/settings.ts";
import { manifest } from "../assets.ts";
import { SCHEMA } from "../config.ts";
import { filesOf, fromRoot, functionChanges, functionsRoot } from "../functions.ts";
import { type Installed, lookAt } from "../install.ts";
import { installedPrices, missingMigrations } from "../migrations.ts";
import { priceUpdate } from "../prices.ts";
import type { Config, Project } from "../project.ts";
import { compareVersions, count } from "../text.ts";
import { type Finding, ok, warning, wrong } from "./findings.ts";

const PRIVATE_SCHEMA = "spend_private";

export function lookAtFiles(project: Project): Finding[] {
  const installed = lookAt(project);
  if (installed.version === undefined) {
    return [
      wrong("project", `Spendgate is not in ${project.root}.`, "Run `npx spendgate init` there."),
    ];
  }
  const { config } = project;
  return [
    versionFinding(installed),
    ...(project.hasConfig ? schemaFindings(config) : []),
    ...migrationFindings(installed),
    priceFinding(project, config),
    ...functionFindings(project, config, installed),
    ...settingFindings(project),
  ];
}

function versionFinding({ version }: Installed): Finding {
  if (version !== undefined && compareVersions(version, manifest.version) < 0) {
    return warning(
      "version",
      `The project has Spendgate ${version}; this is ${manifest.version}.`,
      "Run `npx spendgate upgrade`.",
    );
  }
  return ok("version", `Spendgate ${version}`);
}

function schemaFindings(config: Config): Finding[] {
  const schemas = config.api?.schemas ?? [];
  if (schemas.includes(PRIVATE_SCHEMA)) {
    return [
      wrong(
        "config.schemas",
        `[api] schemas of supabase/config.toml exposes ${PRIVATE_SCHEMA}.`,
        `Take "${PRIVATE_SCHEMA}" out of it.`,
      ),
    ];
  }
  if (schemas.includes(SCHEMA)) return [ok("config.schemas", "config.toml exposes spend")];
  return [
    wrong(
      "config.schemas",
      "[api] schemas of supabase/config.toml does not expose spend.",
      'Run `npx spendgate init`, or add "spend" to it.',
    ),
  ];
}

function migrationFindings({ migrations }: Installed): Finding[] {
  const missing = missingMigrations(migrations);
  const edited = migrations.filter(({ isEdited }) => isEdited);
  const findings = edited.map(({ file }) =>
    wrong(
      "migrations.edited",
      `supabase/migrations/${file} is not what was published.`,
      "Restore it from Git, and put the change into a migration of your own.",
    ),
  );
  if (missing.length > 0) {
    const names = missing.map(({ file }) => file).join(", ");
    findings.push(
      wrong(
        "migrations.missing",
        `The project lacks ${count(missing.length, "migration")}: ${names}.`,
        "Run `npx spendgate upgrade`.",
      ),
    );
  }
  if (findings.length > 0) return findings;
  return [ok("migrations", `${count(migrations.length, "migration")}, as published`)];
}

function priceFinding(project: Project, config: Config): Finding {
  if (installedPrices(project).length === 0) {
    return warning(
      "prices.files",
      `The project has no price catalogue${config.db?.seed?.sql_paths ? " among its migrations" : ""}.`,
      "Run `npx spendgate prices update`, unless you insert every price yourself.",
    );
  }
  const { prices } = priceUpdate(project, new Date().toISOString().slice(0, 10));
  if (prices.length === 0) return ok("prices.files", "every price of the package");
  return warning(
    "prices.files",
    `The package has ${count(prices.length, "price")} that the project lacks.`,
    "Run `npx spendgate prices update`.",
  );
}

function functionFindings(project: Project, config: Config, { record }: Installed): Finding[] {
  const root = functionsRoot(project, record);
  const names = record?.functions.names ?? [];
  const findings: Finding[] = [];
  for (const name of project.hasConfig ? names : []) {
    const own = config.functions?.[name];
    const add = `Run \`npx spendgate init\`, or correct [functions.${name}] of supabase/config.toml`;
    if (own === undefined) {
      findings.push(
        wrong("functions.config", `supabase/config.toml has no [functions.${name}].`, `${add}.`),
      );
      continue;
    }
    if (own.verify_jwt !== false) {
      findings.push(
        wrong(
          "functions.verify_jwt",
          `[functions.${name}] lets the platform verify JWTs, which refuses secret keys.`,
          "Set verify_jwt = false: the function verifies its caller itself.",
        ),
      );
    }
    for (const key of ["entrypoint", "import_map"] as const) {
      const path = own[key];
      if (path === undefined || existsSync(project.inSupabase(path))) continue;
      findings.push(
        wrong(
          `functions.${key}`,
          `[functions.${name}] has ${key} ${path}, which is not there.`,
          `${add}.`,
        ),
      );
    }
  }
  if (record) findings.push(...fileFindings(project, root, record));
  if (findings.length > 0) return findings;
  if (names.length === 0) return [];
  return [ok("functions", `${names.join(", ")}: as published`)];
}

function fileFindings(
  project: Project,
  root: string,
  record: NonNullable<Installed["record"]>,
): Finding[] {
  const wanted = filesOf(record.functions.names);
  const { add, change, kept } = functionChanges(project, root, wanted, record, false);
  const findings: Finding[] = [];
  if (add.size > 0) {
    const [first = ""] = add.keys();
    findings.push(
      wrong(
        "functions.missing",
        `${count(add.size, "file")} of the functions ${add.size === 1 ? "is" : "are"} missing: ${fromRoot(project, root, first)}${add.size > 1 ? ", …" : ""}.`,
        "Run `npx spendgate init`, or `upgrade` where that says so.",
      ),
    );
  }
  if (change.size > 0) {
    findings.push(
      warning(
        "functions.old",
        `${count(change.size, "file")} of the functions ${change.size === 1 ? "is" : "are"} older than this version.`,
        "Run `npx spendgate upgrade`.",
      ),
    );
  }
  for (const path of kept) {
    findings.push(
      warning(
        "functions.edited",
        `${fromRoot(project, root, path)} was changed by hand.`,
        "Upgrades keep it as it is; `npx spendgate upgrade --force` replaces it.",
      ),
    );
  }
  return findings;
}

/** Settings of the functions where they run on this machine. */
function settingFindings(project: Project): Finding[] {
  const path = "supabase/functions/.env";
  const text = project.read(path);
  if (text === undefined) return [];
  const settings = { ...PROVIDERS, ...LLM, ...E2B, ...SANDBOXES, ...ALERTS_AND_TELEMETRY };
  const { problems } = readSettings(settings, parseEnv(text) as Record<string, string>);
  if (problems.length === 0) return [ok("settings", path)];
  return problems.map(({ problem, allowed, remedy }) =>
    wrong("settings", `${path}: ${problem}. Allowed: ${allowed}.`, remedy),
  );
}
