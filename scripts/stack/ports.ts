import { randomInt } from "node:crypto";
import { createServer, type Server } from "node:net";

/**
 * Where free ports are chosen: below what Linux (32768), macOS and Windows (49152) give to outgoing connections. One of
 * those could take a port between its choice and its use.
 */
const CHOSEN = { from: 20_000, to: 32_768 };

/** A port, chosen at random, that nobody listens on right now. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(CHOSEN.from, CHOSEN.to);
    const server = await listenUnlessTaken(port);
    if (!server) continue;
    await close(server);
    return port;
  }
}

/** Ports kept for a part that starts later: to a second stack that starts at the same time they are taken. */
const kept = new Map<number, Server>();

/**
 * Keeps a port until `assertPortFree` is asked for it. `variable` is the environment variable that chooses another port.
 * @throws StackError when something listens on it.
 */
export async function keepPort(port: number, what: string, variable?: string): Promise<void> {
  kept.set(port, await open(port, what, variable));
}

/** Keeps the first free one of `port`, ten more, twenty more and so on. */
export async function keepFreePort(port: number): Promise<number> {
  for (let candidate = port; candidate <= 65_535; candidate += 10) {
    const server = await listenUnlessTaken(candidate);
    if (!server) continue;
    kept.set(candidate, server);
    return candidate;
  }
  return freePort();
}

/** Gives back what was kept and not asked for. */
export async function releasePorts(): Promise<void> {
  const servers = [...kept.values()];
  kept.clear();
  await Promise.all(servers.map(close));
}

/**
 * Throws, naming the port and the remedy, when something listens on it; what this process keeps is free for it.
 * `variable` is the environment variable that chooses another port.
 */
export async function assertPortFree(port: number, what: string, variable?: string): Promise<void> {
  const ours = kept.get(port);
  kept.delete(port);
  await close(ours ?? (await open(port, what, variable)));
}

async function open(port: number, what: string, variable?: string): Promise<Server> {
  try {
    return await listen(port);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EACCES") {
      const other = variable ? `, such as ${variable}=${port + 54_000}` : "";
      throw new StackError(`Port ${port} (${what}) is root's. Choose one from 1024 on${other}.`);
    }
    if (code !== "EADDRINUSE") throw error;
    const other = variable ? `, or choose another port: ${variable}=${port + 10}` : "";
    throw new StackError(
      `Port ${port} (${what}) is taken by another program. ` +
        `See which with \`lsof -i :${port}\` and stop it (\`supabase stop\` if it is Supabase in Docker)${other}.`,
    );
  }
}

/** Nothing when something listens on it. */
async function listenUnlessTaken(port: number): Promise<Server | undefined> {
  try {
    return await listen(port);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
  }
}

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server));
    server.unref();
  });
}

function close(server: Server): Promise<void> {
  return new Promise((done) => server.close(() => done()));
}

/** Something a person can put right: shown as its message alone, without a stack trace. */
export class StackError extends Error {}
