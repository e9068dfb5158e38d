// The four ports of this clone's stack: those that the environment demands, or else free ones.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LOCAL_STACK, readSettings } from "../../functions/_shared/runtime/settings.ts";
import type { DashboardConfig } from "./dashboard.ts";
import { type Keys, keepKeys } from "./keys.ts";
import { keepFreePort, keepPort } from "./ports.ts";

const PARTS = {
  database: { what: "PostgreSQL", variable: "SPENDGATE_DB_PORT" },
  api: { what: "API", variable: "SPENDGATE_API_PORT" },
  providers: { what: "stand-in for the providers", variable: "SPENDGATE_PROVIDERS_PORT" },
  sandboxes: { what: "stand-in for E2B", variable: "SPENDGATE_SANDBOXES_PORT" },
} as const;

type Part = keyof typeof PARTS;
export type LocalPorts = Record<Part, number>;

/** Beside the data: the ports of the run that began last. */
const FILE = "ports.json";

/**
 * Ports of these parts, kept until the parts start: those demanded, or else the usual ones, or the next that are free,
 * which is said.
 * @throws StackError when the environment demands one that is taken.
 */
export async function choosePorts<const P extends Part>(
  parts: P[],
  report: (line: string) => void,
): Promise<Record<P, number>> {
  const settings = readSettings(LOCAL_STACK, process.env).values;
  const ports: Partial<LocalPorts> = {};
  const isDemanded = (part: Part) => Boolean(process.env[PARTS[part].variable]);
  // First, so that none of them is chosen for another part.
  for (const part of parts.filter(isDemanded)) {
    const { what, variable } = PARTS[part];
    ports[part] = settings[variable];
    await keepPort(settings[variable], what, variable);
  }
  for (const part of parts.filter((each) => !isDemanded(each))) {
    const { what, variable } = PARTS[part];
    const port = await keepFreePort(settings[variable]);
    ports[part] = port;
    if (port === settings[variable]) continue;
    report(`port ${settings[variable]} (${what}) is taken: ${port} instead (${variable})`);
  }
  return ports as Record<P, number>;
}

/** For whoever looks for the stack that runs. */
export async function notePorts(data: string, ports: LocalPorts): Promise<void> {
  await writeFile(join(data, FILE), `${JSON.stringify(ports)}\n`);
}

export interface RunningStack {
  url: string;
  databaseUrl: string;
  keys: Keys;
}

/** This clone's stack, if it runs: one of another clone has other keys. */
export async function runningStack(data: string): Promise<RunningStack | null> {
  const text = await readFile(join(data, FILE), "utf8").catch(() => null);
  if (text === null) return null;
  const { api, database } = JSON.parse(text) as LocalPorts;
  const url = `http://127.0.0.1:${api}`;
  const [keys, config] = await Promise.all([
    keepKeys(data),
    fetch(`${url}/dashboard/config.json`)
      .then((response) => response.json() as Promise<DashboardConfig>)
      .catch(() => null),
  ]);
  if (config?.publishableKey !== keys.publishable) return null;
  return { url, databaseUrl: databaseUrl(database), keys };
}

const databaseUrl = (port: number) => `postgresql://postgres:postgres@127.0.0.1:${port}/postgres`;
