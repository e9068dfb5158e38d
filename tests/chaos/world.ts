// Everything that can break, put together so that each part can be broken: the database server, the networks, the
// functions, the provider.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres, { type Sql } from "postgres";
import { type Api, startApi } from "../../scripts/stack/api.ts";
import { bootstrap } from "../../scripts/stack/bootstrap.ts";
import { type DatabaseServer, startDatabase } from "../../scripts/stack/database.ts";
import { type Functions, startFunctions } from "../../scripts/stack/functions.ts";
import { generateKeys, type Keys } from "../../scripts/stack/keys.ts";
import { migrate } from "../../scripts/stack/migrate.ts";
import { freePort } from "../../scripts/stack/ports.ts";
import { kill, killDatabase } from "../support/processes.ts";
import type { Random } from "../support/random.ts";
import { until } from "../support/until.ts";
import { type ErraticProvider, startErraticProvider } from "./provider.ts";
import { type HttpProxy, startHttpProxy, startTcpProxy, type TcpProxy } from "./proxies.ts";

export interface World {
  /** Straight to the database, for checks; ends with the server. */
  direct(): Sql;
  /** The database as its users reach it: by a network that may be cut. */
  databaseUrl: string;
  keys: Keys;
  /** Where the functions listen now. */
  functionsUrl(): string;
  provider: ErraticProvider;
  network: TcpProxy;
  gateNetwork: HttpProxy;
  /** SIGKILL for the server and every one of its processes, then started again. */
  killDatabase(): Promise<void>;
  killFunctions(): Promise<void>;
  stop(): Promise<void>;
}

export async function startWorld(random: Random): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), "spendgate-chaos-"));
  const stops: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  const stop = async () => {
    for (const each of stops.splice(0).reverse()) await each().catch(() => {});
  };
  try {
    const port = await freePort();
    let server: DatabaseServer = await startDatabase({ port, dataDir: folder });
    stops.push(() => server.stop());
    await bootstrap(server.url);
    await migrate(server.url, { seeds: ["./seeds/prices.sql"] });

    const provider = await startErraticProvider(random.fork());
    stops.push(provider.stop);
    const network = await startTcpProxy(port, random.fork());
    stops.push(network.stop);
    const databaseUrl = `postgresql://postgres:postgres@127.0.0.1:${network.port}/postgres`;
    const keys = await generateKeys();
    const serveApi = async (): Promise<Api> =>
      startApi({ databaseUrl, port: await freePort(), keys, functionsPort: 0 });
    let api = await serveApi();
    stops.push(() => within(4000, api.stop()));
    const gateNetwork = await startHttpProxy(api.url, random.fork());
    stops.push(gateNetwork.stop);
    const start = (): Promise<Functions> =>
      startFunctions({
        apiUrl: gateNetwork.url,
        keys,
        env: {
          ...provider.env,
          SPENDGATE_GATE_TIMEOUT_MS: "3000",
          SPENDGATE_CALL_TIMEOUT_MS: "3000",
          SPENDGATE_DISCONNECT_GRACE_MS: "200",
          SPENDGATE_MAX_OUTPUT_TOKENS: "1000",
        },
      });
    let functions = await start();
    stops.push(() => functions.stop());
    const connect = () => postgres(server.url, { max: 4, onnotice: () => {}, connect_timeout: 10 });
    let direct = connect();
    stops.push(() => direct.end({ timeout: 1 }));

    return {
      direct: () => direct,
      databaseUrl,
      keys,
      functionsUrl: () => `http://127.0.0.1:${functions.port}`,
      provider,
      network,
      gateNetwork,
      async killDatabase() {
        await killDatabase(server);
        await server.stop();
        server = await startDatabase({ port, dataDir: folder });
        // The driver (postgres 3.4) may wait for ever for a query whose connection broke while it was sent: whoever
        // uses it starts anew, as a Data API of its own would reconnect.
        void direct.end({ timeout: 0 }).catch(() => {});
        direct = connect();
        await until("the server has recovered", () => direct`select 1`.catch(() => null), 30);
        const old = api;
        api = await serveApi();
        gateNetwork.target = api.url;
        void old.stop().catch(() => {});
      },
      async killFunctions() {
        kill(functions.pid);
        await functions.exited;
        functions = await start();
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function within(milliseconds: number, work: Promise<unknown>): Promise<unknown> {
  return Promise.race([work, new Promise((done) => setTimeout(done, milliseconds).unref())]);
}
