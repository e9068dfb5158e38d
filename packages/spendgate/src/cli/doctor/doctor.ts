// npx spendgate doctor: what is wrong, and what to do.
import { Failure, USAGE } from "../failure.ts";
import { readRecord } from "../functions.ts";
import { paint, say } from "../output.ts";
import { findProject, type Project } from "../project.ts";
import { count } from "../text.ts";
import { lookAtDatabase } from "./database.ts";
import { lookAtFiles } from "./files.ts";
import type { Finding } from "./findings.ts";
import { lookAtHosted } from "./hosted.ts";

export interface DoctorOptions {
  dir: string;
  dbUrl?: string;
  url?: string;
  secretKey?: string;
  json?: boolean;
}

/** Prints each finding. The exit code is 1 where one is wrong. */
export async function doctor(options: DoctorOptions): Promise<void> {
  const project = findProject(options.dir);
  if (project === undefined && !options.dbUrl && !options.url) {
    throw new Failure(
      "There is no Supabase project here, and none was named.",
      "Change to it, or give --url and --secret-key, or --db-url.",
    );
  }
  const findings = [
    ...(project ? lookAtFiles(project) : []),
    ...(await lookAtServer(options, project)),
  ];
  if (options.json) say(JSON.stringify(findings, null, 2));
  else show(findings);
  if (findings.some(({ status }) => status === "wrong")) process.exitCode = 1;
}

async function lookAtServer(options: DoctorOptions, project?: Project): Promise<Finding[]> {
  if (options.url === undefined) {
    return lookAtDatabase(
      options.dbUrl ?? process.env.SUPABASE_DB_URL ?? localUrl(project),
      project,
    );
  }
  const secretKey = options.secretKey ?? secretKeyOf(process.env);
  if (!secretKey) {
    throw new Failure(
      "Of a hosted project the secret key is needed.",
      "Give --secret-key, or set SUPABASE_SECRET_KEY.",
      USAGE,
    );
  }
  return lookAtHosted(
    originOf(options.url),
    secretKey,
    project && readRecord(project)?.functions.names,
  );
}

/** @throws Failure where it is no URL. */
function originOf(url: string): string {
  try {
    return new URL(url).origin;
  } catch {
    throw new Failure(`${url} is no URL.`, "Give the project's: https://<ref>.supabase.co.", USAGE);
  }
}

function secretKeyOf(env: NodeJS.ProcessEnv): string | undefined {
  return env.SUPABASE_SECRET_KEY ?? env.SUPABASE_SERVICE_ROLE_KEY;
}

/** Where `supabase start` has the project's database. */
function localUrl(project?: Project): string {
  const port = project?.config.db?.port ?? 54322;
  return `postgresql://postgres:postgres@127.0.0.1:${port}/postgres`;
}

const SIGNS = {
  ok: paint("green", "ok     "),
  warning: paint("yellow", "warning"),
  wrong: paint("red", "wrong  "),
};

function show(findings: Finding[]): void {
  for (const { check, status, message, remedy } of findings) {
    say(`${SIGNS[status]} ${check}: ${message}`);
    if (remedy) say(`        ${remedy}`);
  }
  const number = (status: Finding["status"]) =>
    findings.filter((finding) => finding.status === status).length;
  say("", `${number("wrong")} wrong, ${count(number("warning"), "warning")}, ${number("ok")} ok`);
}
