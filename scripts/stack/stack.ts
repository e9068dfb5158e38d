// All parts together, started in order and stopped in the opposite one.
import { join } from "node:path";
import { type Api, startApi } from "./api.ts";
import { bootstrap } from "./bootstrap.ts";
import { buildDashboard } from "./dashboard.ts";
import { type DatabaseServer, releaseDataDir, startDatabase } from "./database.ts";
import { type Functions, readEnvFile, startFunctions } from "./functions.ts";
import { type Keys, keepKeys } from "./keys.ts";
import { choosePorts, type LocalPorts, notePorts } from "./local_ports.ts";
import { type Mail, mailBy } from "./mail.ts";
import { startMaintenance } from "./maintenance.ts";
import { migrate } from "./migrate.ts";
import { freePort, releasePorts } from "./ports.ts";
import { makeDataFolder } from "./private_folders.ts";
import { PROVIDERS, type Providers, startProviders } from "./providers.ts";
import { type SandboxStandIn, startSandboxStandIn } from "./sandbox_standin.ts";
import { checkSettings, localSettings } from "./settings.ts";

type Report = (line: string) => void;

/** What runs on a database that is there: the stand-ins, the functions, the API. */
export interface Services {
  /** Origin of /rest/v1, /auth/v1 and /functions/v1. */
  url: string;
  keys: Keys;
  functions: Functions;
  /** Missing when every provider has a key. */
  providers?: Providers;
  /** The stand-in for E2B; missing when there is a key for the real one. */
  sandboxes?: SandboxStandIn;
  stop(): Promise<void>;
}

export interface ServicesOptions {
  databaseUrl: string;
  keys: Keys;
  /** Free ports when left out. */
  apiPort?: number;
  providersPort?: number;
  sandboxesPort?: number;
  /** Names of providers (`OpenAI`, …) that need no stand-in. */
  realProviders?: string[];
  /** E2B itself, with the key that the environment has. */
  realSandboxes?: boolean;
  /** Environment of the functions, beyond the platform's. */
  env?: Record<string, string>;
  /** A folder of functions other than functions/. */
  functionsFolder?: string;
  /** Sends what Auth sends. */
  mail?: Mail;
  onLog?: Report;
}

export async function startServices(options: ServicesOptions): Promise<Services> {
  const { databaseUrl, keys, env, mail, onLog } = options;
  const apiPort = options.apiPort ?? (await freePort());
  const url = `http://127.0.0.1:${apiPort}`;
  const steps = new Steps();
  try {
    const allReal = PROVIDERS.every(({ name }) => options.realProviders?.includes(name));
    const providers: Providers | undefined = allReal
      ? undefined
      : await steps.add(startProviders(options.providersPort));
    const sandboxes: SandboxStandIn | undefined = options.realSandboxes
      ? undefined
      : await steps.add(startSandboxStandIn(options.sandboxesPort));
    const functions: Functions = await steps.add(
      startFunctions({
        apiUrl: url,
        keys,
        standInUrl: providers?.url,
        sandboxesUrl: sandboxes?.url,
        env,
        folder: options.functionsFolder,
        onLog,
      }),
    );
    const api: Api = await steps.add(
      startApi({ databaseUrl, port: apiPort, keys, functionsPort: functions.port, mail }),
      // The functions' last settlements go through the API: it stops after them.
      { beforeLast: true },
    );
    return { url: api.url, keys, functions, providers, sandboxes, stop: () => steps.stop() };
  } catch (error) {
    await steps.stop();
    throw error;
  }
}

/** Makes the folder of the data ours: it can be written, and no server of an earlier run is left on it. */
async function claimData(report: Report): Promise<string> {
  const { data } = localSettings();
  await makeDataFolder(data, report);
  await releaseDataDir(data);
  return data;
}

/** The local database: its data in .spendgate/, migrated and seeded. `ports` were chosen once its data was claimed. */
export async function startLocalDatabase({
  fresh,
  ports,
  report = () => {},
}: {
  fresh?: boolean;
  ports?: LocalPorts;
  report?: Report;
}): Promise<DatabaseServer> {
  if (!ports) await claimData(report);
  const { database: port } = ports ?? (await choosePorts(["database"], report));
  report(fresh ? "starting PostgreSQL, empty" : "starting PostgreSQL");
  const server = await startDatabase({
    port,
    dataDir: localSettings().data,
    fresh,
  });
  try {
    await bootstrap(server.url);
    report("applying migrations and seeds (supabase db push)");
    await migrate(server.url);
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

export interface LocalStack extends Services {
  database: DatabaseServer;
  ports: LocalPorts;
  /** Resolves with what ended without having been asked to. */
  failed: Promise<string>;
}

/** Everything of `npm start`. */
export async function startLocalStack({
  fresh,
  report = () => {},
  onLog,
}: {
  fresh?: boolean;
  report?: Report;
  onLog?: Report;
}): Promise<LocalStack> {
  const file = await readEnvFile();
  checkSettings(file, report);
  const { smtpUrl } = localSettings();
  const data = await claimData(report);
  const realProviders = PROVIDERS.filter(
    ({ prefix }) => process.env[`${prefix}_API_KEY`] || file[`${prefix}_API_KEY`],
  ).map(({ name }) => name);

  const steps = new Steps();
  try {
    // Known before anything is started, so that nothing has to be stopped again.
    const ports = await choosePorts(["database", "api", "providers", "sandboxes"], report);
    const defaults = {
      DASHBOARD_URL: `http://127.0.0.1:${ports.api}/dashboard`,
      ALERT_ALLOW_PRIVATE_ADDRESSES: "true",
    };
    const unset = Object.entries(defaults).filter(([name]) => !(process.env[name] || file[name]));
    const database = await steps.add(startLocalDatabase({ fresh, ports, report }));
    await buildDashboard(report);
    report("starting the API, the functions and the stand-ins");
    const services = await steps.add(
      startServices({
        databaseUrl: database.url,
        keys: await keepKeys(data),
        apiPort: ports.api,
        providersPort: ports.providers,
        sandboxesPort: ports.sandboxes,
        realProviders,
        realSandboxes: Boolean(process.env.E2B_API_KEY || file.E2B_API_KEY),
        env: Object.fromEntries(unset),
        ...(smtpUrl && { mail: mailBy(smtpUrl) }),
        onLog,
      }),
    );
    const maintenance = startMaintenance({
      url: services.url,
      secretKey: services.keys.secret,
      functions: ["maintenance", "alerts"],
      onLog: onLog ?? (() => {}),
    });
    await steps.add(Promise.resolve(maintenance));
    const failed = Promise.race([
      database.exited.then(() => `PostgreSQL ended; see ${join(data, "postgres.log")}`),
      services.functions.exited.then(() => "the functions' process ended"),
    ]);
    await notePorts(data, ports);
    return { ...services, database, ports, failed, stop: () => steps.stop() };
  } catch (error) {
    await steps.stop();
    throw error;
  } finally {
    await releasePorts();
  }
}

interface Part {
  stop(): Promise<void>;
}

/** Parts that were started, stopped once, last first; a part that fails to stop does not keep the others. */
class Steps {
  private readonly parts: Part[] = [];
  private stopping: Promise<void> | undefined;

  async add<T extends Part>(starting: Promise<T>, { beforeLast = false } = {}): Promise<T> {
    const part = await starting;
    this.parts.splice(beforeLast ? -1 : this.parts.length, 0, part);
    return part;
  }

  stop(): Promise<void> {
    this.stopping ??= (async () => {
      for (const part of this.parts.reverse()) {
        await part.stop().catch((error) => console.error("while stopping:", error));
      }
    })();
    return this.stopping;
  }
}
