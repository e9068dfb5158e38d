// One POST to a receiver: to the address that was checked, in ten seconds, without redirects, and without a word of it in an error.
import { lookup } from "node:dns/promises";
import { createServer, type Socket } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { CheckedTarget } from "../../../functions/alerts/addresses.ts";
import { DeliveryFailure } from "../../../functions/alerts/failure.ts";
import { post, type Trust } from "../../../functions/alerts/post.ts";
import { postTo } from "../../../functions/alerts/post_to.ts";
import { closedPort, listen, readBody, startServer } from "../../support/server.ts";

vi.mock("node:dns/promises", async (importOriginal) => {
  const actual = await importOriginal<typeof import("node:dns/promises")>();
  return { ...actual, lookup: vi.fn(actual.lookup) };
});

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  vi.useRealTimers();
  for (const stop of stops.splice(0)) await stop();
});

const TENANTS: Trust = { isTenants: true, allowPrivate: true };
const OPERATORS: Trust = { isTenants: false, allowPrivate: false };
const BOTH: [string, Trust][] = [
  ["a tenant's", TENANTS],
  ["the operator's", OPERATORS],
];

async function receiver(status: number, headers: Record<string, string> = {}) {
  const received: { url?: string; host?: string; type?: string; body: string }[] = [];
  const server = await startServer(async (request, response) => {
    const { url, headers: sent } = request;
    received.push({
      url,
      host: sent.host,
      type: sent["content-type"],
      body: await readBody(request),
    });
    response.writeHead(status, headers).end("no word of this is kept");
  });
  stops.push(server.stop);
  return { ...server, received };
}

/** A server that says what it is given, byte by byte as it stands there. */
async function rawServer(says: string | ((socket: Socket) => void)) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("data", () => (typeof says === "string" ? socket.end(says) : says(socket)));
  });
  const port = await listen(server);
  stops.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((done) => server.close(done));
  });
  return { url: `http://127.0.0.1:${port}`, port };
}

const failureOf = async (sent: Promise<unknown>): Promise<DeliveryFailure> => {
  const failure = await sent.then(
    () => undefined,
    (error) => error,
  );
  expect(failure).toBeInstanceOf(DeliveryFailure);
  return failure;
};

describe.each(BOTH)("Of %s address", (_, trust) => {
  it("200 and 204 are right, and the body comes as it was written", async () => {
    for (const status of [200, 204]) {
      const { url, port, received } = await receiver(status);
      await post("the webhook", { url: `${url}/hook?key=ä b`, body: { text: "Grüße" } }, trust);
      expect(received).toEqual([
        {
          url: "/hook?key=%C3%A4%20b",
          host: `127.0.0.1:${port}`,
          type: "application/json",
          body: '{"text":"Grüße"}',
        },
      ]);
    }
  });

  it.each([
    [301, {}, null, false],
    [307, { location: "http://127.0.0.1:1/elsewhere" }, null, false],
    [400, { "retry-after": "9" }, null, false],
    [404, {}, null, false],
    [410, {}, null, true],
    [429, { "retry-after": "120" }, 120, false],
    [503, { "retry-after": "7" }, 7, false],
    [503, { "retry-after": "soon" }, null, false],
    [500, {}, null, false],
  ])(
    "%i is a failure, with %o it waits %s s, and is final: %s",
    async (status, headers, retryAfter, isFinal) => {
      const { url, received } = await receiver(status, headers as Record<string, string>);
      const failure = await failureOf(post("the webhook", { url, body: {} }, trust));
      expect(failure).toMatchObject({
        message: `the webhook answered ${status}`,
        status,
        retryAfter,
        isFinal,
      });
      expect(received).toHaveLength(1);
    },
  );

  it("nobody listens: the error has no word of the URL", async () => {
    const url = `http://127.0.0.1:${await closedPort()}/services/T000/SECRET`;
    const failure = await failureOf(post("Slack", { url, body: {} }, trust));
    expect(failure.message).toBe("Slack could not be reached");
    expect(JSON.stringify({ ...failure })).not.toContain("SECRET");
  });

  it("a receiver that says nothing is given up after 10 s", async () => {
    const timeout = vi.spyOn(AbortSignal, "timeout");
    timeout.mockImplementationOnce((ms) => {
      expect(ms).toBe(10_000);
      const late = new AbortController();
      setTimeout(() => late.abort(new DOMException("late", "TimeoutError")), 200);
      return late.signal;
    });
    const { url } = await rawServer(() => {});
    const failure = await failureOf(post("the webhook", { url, body: {} }, trust));
    expect(failure.message).toBe("the webhook did not answer within 10 s");
    timeout.mockRestore();
  });

  it("an answer that never ends is not read", async () => {
    const { url } = await rawServer((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
      const chunk = `10000\r\n${"x".repeat(65_536)}\r\n`;
      const pour = () => {
        while (!socket.destroyed && socket.write(chunk));
        if (!socket.destroyed) socket.once("drain", pour);
      };
      pour();
    });
    await post("the webhook", { url, body: {} }, trust);
  });
});

describe("A checked address", () => {
  const target = (port: number, addresses: string[]): CheckedTarget => ({
    url: new URL(`http://hooks.example.com:${port}/hook`),
    addresses,
  });
  const send = (to: CheckedTarget) => postTo(to, { a: "b" }, "{}", AbortSignal.timeout(5000));

  it("is the one that is connected to, and the name is the host: nobody looks it up", async () => {
    const { port, received } = await receiver(200);
    expect(await send(target(port, ["127.0.0.1"]))).toEqual({ status: 200, retryAfter: null });
    expect(received[0]?.host).toBe(`hooks.example.com:${port}`);
  });

  it("that refuses is passed over for the next one of the name", async () => {
    const { port, received } = await receiver(200);
    await send(target(port, ["127.0.0.2", "127.0.0.1"]));
    expect(received.length).toBe(1);
  });

  it.each([
    [
      "100 and 103 first",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\na: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
      200,
    ],
    ["no reason, and HTTP/1.0", "HTTP/1.0 204\r\n\r\n", 204],
    ["a switch of protocols", "HTTP/1.1 101 Switching\r\n\r\n", 101],
    ["another protocol", "SSH-2.0-OpenSSH_9\r\n\r\n", 0],
  ])("may answer %s", async (_, says, status) => {
    const { port } = await rawServer(says);
    expect(await send(target(port, ["127.0.0.1"]))).toMatchObject({ status });
  });

  it("that ends in the middle of a head is a failure", async () => {
    const { port } = await rawServer("HTTP/1.1 200 OK\r\n");
    await expect(send(target(port, ["127.0.0.1"]))).rejects.toThrow("the connection ended");
  });

  it("that sends a head of more than 16 kB, and stays, is a failure at once", async () => {
    const { port } = await rawServer((socket) =>
      socket.write(`HTTP/1.1 200 OK\r\na: ${"x".repeat(20_000)}`),
    );
    await expect(send(target(port, ["127.0.0.1"]))).rejects.toThrow("does not end");
  });

  it("that is looked up for ever is given up, too", async () => {
    vi.mocked(lookup).mockReturnValueOnce(new Promise(() => {}) as never);
    const timeout = vi.spyOn(AbortSignal, "timeout");
    timeout.mockImplementationOnce(() => {
      const late = new AbortController();
      setTimeout(() => late.abort(new Error("late")), 50);
      return late.signal;
    });
    const url = "https://hooks.example.com/hook";
    const failure = await failureOf(post("the webhook", { url, body: {} }, TENANTS));
    expect(failure.message).toBe("the webhook did not answer within 10 s");
    timeout.mockRestore();
  });
});
