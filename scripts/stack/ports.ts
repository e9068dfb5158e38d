import { createServer } from "node:net";

/** A port that nobody listens on right now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}

/**
 * Throws, naming the port and the remedy, when something listens on it.
 * `variable` is the environment variable that chooses another port.
 */
export function assertPortFree(port: number, what: string, variable?: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EADDRINUSE") return reject(error);
      const other = variable ? `, or choose another port: ${variable}=${port + 10}` : "";
      reject(
        new StackError(
          `Port ${port} (${what}) is taken by another program. ` +
            `See which with \`lsof -i :${port}\` and stop it (\`supabase stop\` if it is Supabase in Docker)${other}.`,
        ),
      );
    });
    server.listen(port, "127.0.0.1", () => server.close(() => resolve()));
  });
}

/** Something a person can put right: shown as its message alone, without a stack trace. */
export class StackError extends Error {}
