// A door before a stack, which notes who came and how they were answered.
import type { IncomingHttpHeaders } from "node:http";
import { forward, startServer, type TestServer } from "./server.ts";

export interface Visit {
  headers: IncomingHttpHeaders;
  /** Of the answer; undefined until it begins. */
  status?: number;
  /** Seconds that the answer asks to wait; NaN where it does not. */
  retryAfter?: number;
}

export interface CountingDoor extends TestServer {
  /** Every request that came, in order. */
  visits: Visit[];
}

/** `letIn` is waited for before each request goes on; `visit` is 1 for the first. */
export async function startDoor(
  origin: string,
  letIn: (visit: number) => Promise<unknown> = async () => {},
): Promise<CountingDoor> {
  const visits: Visit[] = [];
  const server = await startServer(async (incoming, response) => {
    const visit: Visit = { headers: incoming.headers };
    const count = visits.push(visit);
    await letIn(count);
    forward(origin, incoming, response, (answer) => {
      visit.status = answer.statusCode;
      visit.retryAfter = Number(answer.headers["retry-after"]);
    });
  });
  return { ...server, visits };
}
