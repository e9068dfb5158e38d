// The edge functions, in one Deno process.
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { parseEnv } from "node:util";
import { findDeno } from "./binaries.ts";
import type { Keys } from "./keys.ts";
import { PROJECT } from "./paths.ts";
import { StackError } from "./ports.ts";
import { PROVIDERS } from "./providers.ts";
import { publicKeys } from "./user_tokens.ts";

export interface FunctionsOptions {
  /** Where the functions find the Data API and Auth. */
  apiUrl: string;
  keys: Keys;
  /** The stand-in for the providers whose key is not set; none when all are. */
  standInUrl?: string;
  /** The stand-in for E2B; none when E2B's key is set. */
  sandboxesUrl?: string;
  /** Beyond what is named above, and stronger than it. */
  env?: Record<string, string>;
  /** A folder of functions; `functions/` when left out. */
  folder?: string;
  /** Gets each line that the functions print. */
  onLog?: (line: string) => void;
  /** Seconds that they may take to start. */
  startSeconds?: number;
}

export interface Functions {
  port: number;
  pid: number;
  /** Resolves when the process has ended, whoever ended it. */
  exited: Promise<void>;
  /** Lets calls under way and background work finish, for ten seconds at most. */
  stop(): Promise<void>;
}

const STOP_SECONDS = 15;

/** Deno's advice to whoever calls Deno.serve, at the first request: not for users. */
const DENO_NOTICE = "Deno.serve: request.signal aborts on successful responses";

/** Starts the router; a function is loaded at its first call. */
export async function startFunctions(options: FunctionsOptions): Promise<Functions> {
  const folder = options.folder ?? join(PROJECT, "functions");
  const main = join(PROJECT, "scripts/stack/functions_main.ts");
  // A folder of somebody else's may use the library.
  const library = ["functions", "node_modules", "package.json", "deno.json"].map(inProject);
  const readable = [folder, main, ...library];
  const child = spawn(
    await findDeno(),
    [
      "run",
      "--quiet",
      "--no-prompt",
      `--config=${inProject("deno.json")}`,
      // What the platform gives, and no more: the network and the environment, its own files.
      "--allow-net",
      "--allow-env",
      // A dependency of the AI SDK asks for the name of the machine when it is loaded.
      "--allow-sys=hostname",
      `--allow-read=${readable.join(",")}`,
      main,
      folder,
    ],
    {
      cwd: PROJECT,
      env: { ...systemEnv(), ...(await functionsEnv(options)) },
      // Its own process group: a Ctrl-C in the terminal must reach us alone, who stop it in order.
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
    },
  );
  const exited = new Promise<void>((done) => child.once("close", () => done()));
  const port = await listeningPort(child, exited, options);
  let stopping: Promise<void> | undefined;
  return {
    port,
    pid: child.pid as number,
    exited,
    stop() {
      stopping ??= (async () => {
        child.stdin?.end();
        await Promise.race([exited, sleep(STOP_SECONDS * 1000, undefined, { ref: false })]);
        child.kill("SIGKILL");
        await exited;
      })();
      return stopping;
    },
  };
}

function inProject(path: string): string {
  return join(PROJECT, path);
}

/** Waits for the line that says it, and passes on every other; a process that says nothing in time is killed. */
function listeningPort(
  child: ChildProcess,
  exited: Promise<void>,
  { onLog = () => {}, startSeconds = 30 }: FunctionsOptions,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const early: string[] = [];
    let isListening = false;
    const fail = (reason: string) => {
      if (isListening) return;
      child.kill("SIGKILL");
      reject(new StackError(`The functions did not start (${reason}):\n${early.join("\n")}`));
    };
    const late = setTimeout(() => fail(`no answer in ${startSeconds} s`), startSeconds * 1000);
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on("line", (line) => {
        const announced = isListening ? null : /^listening (\d+)$/.exec(line);
        if (announced) {
          isListening = true;
          clearTimeout(late);
          resolve(Number(announced[1]));
        } else {
          if (!isListening) early.push(line);
          if (!line.startsWith(DENO_NOTICE)) onLog(line);
        }
      });
    }
    child.stdin?.on("error", () => {});
    child.once("error", (error) => fail(error.message));
    void exited.then(() => {
      clearTimeout(late);
      fail("it ended");
    });
  });
}

/** What Deno itself needs of our environment. */
function systemEnv(): Record<string, string> {
  const names = [
    "PATH",
    "HOME",
    "TMPDIR",
    "DENO_DIR",
    "XDG_CACHE_HOME",
    "SSL_CERT_FILE",
    "NO_COLOR",
  ];
  return { ...pick(names), DENO_NO_UPDATE_CHECK: "1" };
}

/** The platform's variables, the providers', and those of `.env` and of our own environment. */
async function functionsEnv(options: FunctionsOptions): Promise<Record<string, string>> {
  const { apiUrl, keys, standInUrl, sandboxesUrl, env } = options;
  const file = await readEnvFile();
  const settings = Object.keys(process.env).filter((name) =>
    /^(ALERT_|DASHBOARD_URL$|ENFORCE_|E2B_|OTEL_|SPENDGATE_)/.test(name),
  );
  const providers = process.env.SPENDGATE_PROVIDERS || file.SPENDGATE_PROVIDERS;
  return {
    // Two stacks may use one account of E2B: each tells its own sandboxes by its own key.
    SPENDGATE_PROJECT: `local-${createHash("sha256").update(keys.secret).digest("hex").slice(0, 16)}`,
    ...file,
    ...pick([...Object.keys(file), ...settings, ...keysNamedIn(providers)]),
    SUPABASE_URL: apiUrl,
    SUPABASE_ANON_KEY: keys.publishable,
    SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: keys.publishable }),
    SUPABASE_SERVICE_ROLE_KEY: keys.secret,
    SUPABASE_SECRET_KEYS: JSON.stringify({ default: keys.secret }),
    ...(keys.signingKey && { SUPABASE_JWKS: JSON.stringify(publicKeys(keys.signingKey)) }),
    ...providersEnv(file, standInUrl),
    ...(sandboxesUrl && {
      E2B_API_KEY: `e2b_${"0".repeat(40)}`,
      E2B_API_URL: sandboxesUrl,
      E2B_SANDBOX_URL: sandboxesUrl,
    }),
    ...env,
  };
}

/** Variables that hold the keys of `SPENDGATE_PROVIDERS`; what is wrong in it the functions themselves say. */
function keysNamedIn(providers = "{}"): string[] {
  const names = providers.matchAll(/"apiKeyEnv"\s*:\s*"(\w+)"/g);
  return [...names].map(([, name]) => name as string);
}

function providersEnv(file: Record<string, string>, standInUrl?: string): Record<string, string> {
  const result: Record<string, string> = {};
  for (const { prefix, path } of PROVIDERS) {
    const [key, base] = [`${prefix}_API_KEY`, `${prefix}_BASE_URL`] as const;
    const own = process.env[key] || file[key];
    if (own) {
      result[key] = own;
      const url = process.env[base] || file[base];
      if (url) result[base] = url;
    } else if (standInUrl !== undefined) {
      result[key] = "local";
      result[base] = `${standInUrl}${path}`;
    }
  }
  return result;
}

/** `.env` of the project, where secrets of a developer live; empty when there is none. */
export async function readEnvFile(): Promise<Record<string, string>> {
  const text = await readFile(inProject(".env"), "utf8").catch(() => "");
  return parseEnv(text) as Record<string, string>;
}

function pick(names: string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] ? [[name, process.env[name] as string]] : [])),
  );
}
