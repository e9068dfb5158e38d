// A POST to an address that was checked. `fetch` looks a name up by itself, and may get another answer than the check
// did; node:http takes no address on Deno 2.1. So this writes the request on a socket, and reads the head of the answer.
import { connect as connectPlain, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import ipaddr from "ipaddr.js";
import type { CheckedTarget } from "./addresses.ts";

export interface Answer {
  status: number;
  retryAfter: string | null;
}

const HEAD_BYTES = 16_384;

/** Tries the addresses one after the other, until one can be connected to. */
export async function postTo(
  { url, addresses }: CheckedTarget,
  headers: Record<string, string>,
  body: string,
  signal: AbortSignal,
): Promise<Answer> {
  const request = requestBytes(url, headers, body);
  let failure: unknown;
  for (const address of addresses) {
    signal.throwIfAborted();
    try {
      const socket = await connected(url, address, signal);
      return await exchange(socket, request, signal);
    } catch (error) {
      failure = error;
      // What was sent may have come.
      if (!(error instanceof NotConnected)) throw error;
    }
  }
  throw failure;
}

class NotConnected extends Error {}

function requestBytes(url: URL, headers: Record<string, string>, body: string): Uint8Array {
  const bytes = new TextEncoder().encode(body);
  const all = {
    host: url.host,
    ...headers,
    "content-length": String(bytes.length),
    connection: "close",
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  const head = [`POST ${url.pathname}${url.search} HTTP/1.1`, ...lines, "", ""].join("\r\n");
  return new Uint8Array([...new TextEncoder().encode(head), ...bytes]);
}

function connected(url: URL, address: string, signal: AbortSignal): Promise<Socket> {
  const isTls = url.protocol === "https:";
  const port = Number(url.port) || (isTls ? 443 : 80);
  const { hostname } = url;
  // The certificate must be the name's, whatever the address.
  const servername = ipaddr.isValid(hostname.replace(/^\[|\]$/g, ""))
    ? undefined
    : hostname.replace(/\.$/, "");
  const socket: Socket = isTls
    ? connectTls({ host: address, port, servername })
    : connectPlain({ host: address, port });
  return new Promise((resolve, reject) => {
    const abort = () => socket.destroy(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    socket.once(isTls ? "secureConnect" : "connect", () => resolve(socket));
    socket.once("error", (cause) => reject(new NotConnected("no connection", { cause })));
    socket.once("close", () => {
      signal.removeEventListener("abort", abort);
      reject(new NotConnected("closed"));
    });
  });
}

function exchange(socket: Socket, request: Uint8Array, signal: AbortSignal): Promise<Answer> {
  return new Promise<Answer>((resolve, reject) => {
    let head = "";
    socket.setEncoding("latin1");
    socket.on("data", (chunk) => {
      head += chunk;
      const answer = readHead(head);
      if (answer !== undefined) resolve(answer);
      else if (head.length > HEAD_BYTES) reject(new Error("the answer's head does not end"));
    });
    socket.once("error", reject);
    socket.once("close", () => reject(signal.reason ?? new Error("the connection ended")));
    socket.write(request);
  }).finally(() => socket.destroy());
}

/** The status and the one header that is looked at, when the head is whole; heads of 1xx come before it. */
function readHead(text: string): Answer | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const [first = "", ...lines] = text.slice(0, end).split("\r\n");
  const status = Number(/^HTTP\/1\.\d (\d{3})(?: |$)/.exec(first)?.[1]);
  if (Number.isNaN(status)) return { status: 0, retryAfter: null };
  if (status < 200 && status !== 101) return readHead(text.slice(end + 4));
  const retryAfter = lines
    .map((line) => /^retry-after:\s*(.*?)\s*$/i.exec(line)?.[1])
    .find(Boolean);
  return { status, retryAfter: retryAfter ?? null };
}
