// What happens before a handler runs: the body is read, and the token is verified.
import { afterEach, expect, it, vi } from "vitest";
import { z } from "zod";
import { authenticate } from "../../functions/_shared/http/auth.ts";
import { readJson } from "../../functions/_shared/http/body.ts";
import { sendsSecretKey } from "../../functions/_shared/http/secret_key.ts";
import type { Env } from "../../functions/_shared/runtime/env.ts";
import { startServer } from "../support/server.ts";

afterEach(() => void vi.useRealTimers());

function requestOf(body: ReadableStream<Uint8Array>): Request {
  return new Request("http://localhost/", { method: "POST", body, duplex: "half" } as RequestInit);
}

it("A body that stops coming is given up after 30 s with a 408, and its connection let go", async () => {
  vi.useFakeTimers();
  const cancelled = vi.fn();
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new TextEncoder().encode('{"a":')),
    cancel: cancelled,
  });
  const read = readJson(requestOf(body), z.object({}), 1000);
  const failed = expect(read).rejects.toMatchObject({ code: "request_timeout", status: 408 });
  await vi.advanceTimersByTimeAsync(29_000);
  expect(cancelled).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1_000);
  await failed;
  expect(cancelled).toHaveBeenCalledOnce();
});

it("A body of up to 25 MB may take 50 s", async () => {
  vi.useFakeTimers();
  const read = readJson(requestOf(new ReadableStream()), z.object({}), 25_000_000);
  const failed = expect(read).rejects.toMatchObject({ code: "request_timeout" });
  const isLate = vi.fn();
  read.catch(isLate);
  await vi.advanceTimersByTimeAsync(49_000);
  expect(isLate).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1_000);
  await failed;
});

it("A body of one byte too many is refused when that byte has come", async () => {
  const cancelled = vi.fn();
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new Uint8Array(11)),
    cancel: cancelled,
  });
  await expect(readJson(requestOf(body), z.object({}), 10)).rejects.toMatchObject({
    code: "request_too_large",
  });
  expect(cancelled).toHaveBeenCalledOnce();
});

it("A body that comes byte by byte is read as one that comes whole", async () => {
  const sent = { text: "héllo – 你好 😀" };
  const bytes = new TextEncoder().encode(JSON.stringify(sent));
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      controller.close();
    },
  });
  expect(await readJson(requestOf(body), z.object({ text: z.string() }), 1000)).toEqual(sent);
});

const read = (
  body: string | Uint8Array<ArrayBuffer>,
  schema: z.ZodType = z.unknown(),
  headers = {},
) =>
  readJson(new Request("http://localhost/", { method: "POST", body, headers }), schema, 1_000_000);
const nested = (levels: number) => `${'{"a":['.repeat(levels / 2)}1${"]}".repeat(levels / 2)}`;

it.each([
  ["in Latin-1", Uint8Array.of(0x22, 0xe9, 0x22), {}, "The body is not UTF-8."],
  ["in UTF-16", new Uint8Array(Buffer.from('"a"', "utf16le")), {}, "The body is not JSON."],
  ["of nothing", "", {}, "The body is not JSON."],
  ["that is packed", "{}", { "content-encoding": "gzip" }, "without a Content-Encoding."],
  ["of 502 levels", nested(502), {}, "more than 500 levels deep"],
  ["of 100,000 levels", nested(100_000), {}, "more than 500 levels deep"],
])("A body %s is refused, and what is wrong is said", async (_, body, headers, words) => {
  const issues = [{ message: expect.stringContaining(words) }];
  await expect(read(body, undefined, headers)).rejects.toMatchObject({
    ...{ code: "invalid_request", details: { issues } },
  });
});

it("A body of 500 levels is read, and one with a byte order mark", async () => {
  expect(await read(nested(500))).toEqual(JSON.parse(nested(500)));
  expect(await read('\ufeff{"a":1}', undefined, { "content-encoding": "identity" })).toEqual({
    a: 1,
  });
});

it.each([
  [z.union([z.string(), z.array(z.string())]), "Invalid input: expected string, or array"],
  [
    z.union([z.enum(["a", "b"]), z.object({ c: z.string() })]),
    'expected one of "a"|"b", or object',
  ],
  [z.union([z.string(), z.array(z.string())], { error: "Send a text." }), "Send a text."],
])("Of a choice, what each branch takes is said", async (choice, words) => {
  const issues = [{ path: "stop", message: expect.stringContaining(words) }];
  await expect(read('{"stop":5}', z.object({ stop: choice }))).rejects.toMatchObject({
    details: { issues },
  });
});

it("Each of the secret keys is one, and nothing that begins like it, or goes on", () => {
  const env = { secretKeys: ["sb_secret_old", "sb_secret_new"] } as Env;
  const isKey = (apikey: string) =>
    sendsSecretKey(new Request("http://localhost/", { headers: { apikey } }), env);
  for (const key of env.secretKeys) {
    expect(
      [key, `${key}2`, `${key}${key}`, key.slice(0, -1), key.toUpperCase()].map(isKey),
    ).toEqual([true, ...Array(4).fill(false)]);
  }
});

/** A token that nobody signed. */
function tokenOf(header: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { sub: crypto.randomUUID(), role: "authenticated", exp: Date.now() };
  return `${part(header)}.${part(claims)}.AAAA`;
}

it("100 tokens of one key that Auth does not know ask it twice, and those of a shared secret each time", async () => {
  const asked: string[] = [];
  const auth = await startServer((request, response) => {
    asked.push(request.url as string);
    const isKeys = request.url?.includes("jwks");
    response.writeHead(isKeys ? 200 : 403, { "content-type": "application/json" });
    response.end(
      JSON.stringify(isKeys ? { keys: [] } : { code: 403, error_code: "bad_jwt", msg: "" }),
    );
  });
  const env = { supabaseUrl: auth.url, publishableKey: "key", gateTimeoutMs: 5000 } as Env;
  const ask = async (header: object) => {
    const headers = { authorization: `Bearer ${tokenOf(header)}` };
    await expect(
      authenticate(new Request("http://localhost/", { headers }), env),
    ).rejects.toMatchObject({ code: "unauthorized" });
  };
  try {
    for (let count = 0; count < 100; count++)
      await ask({ alg: "ES256", kid: "unknown", typ: "JWT" });
    expect(asked).toHaveLength(2);
    for (let count = 0; count < 3; count++) await ask({ alg: "HS256", kid: "secret", typ: "JWT" });
    expect(asked).toHaveLength(5);
  } finally {
    await auth.stop();
  }
});

/** A user, and tokens of his that are signed ES256. */
async function signer() {
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
    "sign",
    "verify",
  ]);
  const user = crypto.randomUUID();
  const tokenOf = async (kid: string, seconds = 60) => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const exp = Math.ceil(Date.now() / 1000) + seconds;
    const claims = { sub: user, role: "authenticated", exp };
    const body = `${part({ alg: "ES256", kid, typ: "JWT" })}.${part(claims)}`;
    const signature = await crypto.subtle.sign(
      { name: "ECDSA", hash: "SHA-256" },
      pair.privateKey,
      new TextEncoder().encode(body),
    );
    return `${body}.${Buffer.from(signature).toString("base64url")}`;
  };
  return { user, tokenOf, jwk: await crypto.subtle.exportKey("jwk", pair.publicKey) };
}

it("A token of a key in SUPABASE_JWKS is verified without asking Auth; of another key Auth is asked", async () => {
  const asked: string[] = [];
  const auth = await startServer((request, response) => {
    asked.push(request.url as string);
    response.writeHead(403, { "content-type": "application/json" });
    response.end(JSON.stringify({ code: 403, error_code: "bad_jwt", msg: "" }));
  });
  const { jwk, tokenOf: signed, user } = await signer();
  const env = {
    supabaseUrl: auth.url,
    publishableKey: "key",
    gateTimeoutMs: 5000,
    jwks: { keys: [{ ...jwk, kid: "ours" }] },
  } as unknown as Env;
  const ask = (token: string) =>
    authenticate(
      new Request("http://localhost/", { headers: { authorization: `Bearer ${token}` } }),
      env,
    );
  try {
    expect(await ask(await signed("ours"))).toBe(user);
    const [head, , signature] = (await signed("ours")).split(".");
    const other = Buffer.from(
      JSON.stringify({ sub: crypto.randomUUID(), role: "authenticated", exp: 9999999999 }),
    );
    await expect(ask(`${head}.${other.toString("base64url")}.${signature}`)).rejects.toMatchObject({
      code: "unauthorized",
    });
    expect(asked).toEqual([]);
    await expect(ask(await signed("another"))).rejects.toThrow();
    expect(asked).toEqual([expect.stringContaining("jwks.json")]);
  } finally {
    await auth.stop();
  }
});

it("A verified token is not verified again for five minutes, and never once it has expired", async () => {
  const { jwk, tokenOf, user } = await signer();
  const env = {
    supabaseUrl: "http://127.0.0.1:9",
    publishableKey: "key",
    gateTimeoutMs: 5000,
    jwks: { keys: [{ ...jwk, kid: "ours" }] },
  } as unknown as Env;
  const verify = vi.spyOn(crypto.subtle, "verify");
  vi.useFakeTimers({ toFake: ["Date"] });
  const ask = (token: string) =>
    authenticate(
      new Request("http://localhost/", { headers: { authorization: `Bearer ${token}` } }),
      env,
    );
  try {
    const [short, long] = [await tokenOf("ours", 60), await tokenOf("ours", 3600)];
    for (const token of [short, short, long, long]) expect(await ask(token)).toBe(user);
    expect(verify).toHaveBeenCalledTimes(2);
    vi.advanceTimersByTime(62_000);
    await expect(ask(short)).rejects.toMatchObject({ code: "unauthorized" });
    expect(await ask(long)).toBe(user);
    expect(verify).toHaveBeenCalledTimes(2);
    vi.advanceTimersByTime(5 * 60_000);
    expect(await ask(long)).toBe(user);
    expect(verify).toHaveBeenCalledTimes(3);
    await expect(ask(`${long.slice(0, -4)}AAAA`)).rejects.toMatchObject({ code: "unauthorized" });
    expect(verify).toHaveBeenCalledTimes(4);
  } finally {
    vi.useRealTimers();
    verify.mockRestore();
  }
});
