// Proxies that fail: they cut connections, and answer late or never.
import { request as httpRequest } from "node:http";
import {
  connect,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../support/random.ts";
import { listen, startServer } from "../support/server.ts";

/** How bad it is, each as a share of requests. */
export interface Weather {
  /** The request never arrives. */
  cut: number;
  /** The request arrives and is carried out; its answer never comes. */
  lost: number;
  /** The answer comes late, up to two seconds. */
  late: number;
}
export const FAIR: Weather = { cut: 0, lost: 0, late: 0 };

export interface HttpProxy {
  url: string;
  /** Where requests go. */
  target: string;
  /** Paths that no weather touches. */
  spared?: RegExp;
  weather: Weather;
  stop(): Promise<void>;
}

/** Between the functions and the Data API. */
export async function startHttpProxy(target: string, random: Random): Promise<HttpProxy> {
  const { url, stop } = await startServer(async (incoming, response) => {
    const weather = proxy.spared?.test(incoming.url ?? "") ? FAIR : proxy.weather;
    const { hostname, port } = new URL(proxy.target);
    if (random.chance(weather.cut)) return void incoming.socket.destroy();
    const isLost = random.chance(weather.lost);
    const delayMs = random.chance(weather.late) ? random.int(50, 2000) : 0;
    const upstream = httpRequest(
      {
        hostname,
        port,
        path: incoming.url,
        method: incoming.method,
        headers: incoming.headers,
        agent: false,
      },
      async (answer) => {
        const chunks: Buffer[] = [];
        try {
          for await (const chunk of answer) chunks.push(chunk);
        } catch {
          return response.destroy();
        }
        if (delayMs > 0) await sleep(delayMs);
        if (isLost) return incoming.socket.destroy();
        const headers = { ...answer.headers };
        delete headers["transfer-encoding"];
        delete headers.connection;
        response.writeHead(answer.statusCode ?? 502, headers);
        response.end(Buffer.concat(chunks));
      },
    );
    upstream.on("error", () => incoming.socket.destroy());
    incoming.pipe(upstream);
  });
  const proxy: HttpProxy = { url, target, weather: FAIR, stop };
  return proxy;
}

export interface TcpProxy {
  port: number;
  /** Cuts a share of the connections that are open; of half of those the answers are lost for a moment before. */
  cut(share: number): void;
  stop(): Promise<void>;
}

/** Between whoever uses the database and the database. */
export async function startTcpProxy(targetPort: number, random: Random): Promise<TcpProxy> {
  const open = new Map<Socket, Socket>();
  const server: TcpServer = createTcpServer((client) => {
    const upstream = connect(targetPort, "127.0.0.1");
    open.set(client, upstream);
    const close = () => {
      open.delete(client);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true);
      socket.on("error", close);
      socket.on("close", close);
    }
    client.pipe(upstream);
    upstream.pipe(client);
  });
  const port = await listen(server);
  return {
    port,
    cut(share) {
      for (const [client, upstream] of open) {
        if (!random.chance(share)) continue;
        if (random.chance(0.5)) {
          client.destroy();
          continue;
        }
        // What is sent still arrives; what comes of it is not heard of.
        upstream.unpipe(client);
        upstream.resume();
        setTimeout(() => client.destroy(), random.int(20, 300));
      }
    },
    async stop() {
      for (const client of open.keys()) client.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}
