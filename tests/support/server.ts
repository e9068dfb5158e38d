// HTTP servers that a test runs: receivers, collectors, and proxies between the functions and what they call.
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import type { AddressInfo, Server } from "node:net";

export interface TestServer {
  /** Origin, without a slash at its end. */
  url: string;
  port: number;
  /** Cuts the connections that are open, and listens no more. */
  stop(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1. */
export async function startServer(listener: RequestListener): Promise<TestServer> {
  const server = createServer(listener);
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    async stop() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

/** Has a server listen on a free port of 127.0.0.1, and answers which. */
export async function listen(server: Server): Promise<number> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return (server.address() as AddressInfo).port;
}

/** A port that nobody listens on. */
export async function closedPort(): Promise<number> {
  const server = await startServer(() => {});
  await server.stop();
  return server.port;
}

/** All of a request's body. */
export async function readBody(incoming: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of incoming) text += chunk;
  return text;
}

/** Passes a request on to `origin`, and its answer back, which `onAnswer` sees before. */
export function forward(
  origin: string,
  incoming: IncomingMessage,
  response: ServerResponse,
  onAnswer?: (answer: IncomingMessage) => void,
): void {
  const { method, headers } = incoming;
  const upstream = httpRequest(`${origin}${incoming.url}`, { method, headers }, (answer) => {
    onAnswer?.(answer);
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  incoming.pipe(upstream);
}
