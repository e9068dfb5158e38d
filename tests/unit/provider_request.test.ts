// What is known of a request on the wire: whether it was sent, and whether its answer is a refusal.
import type { RequestListener } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { ProviderRequest, saysOnlyError } from "../../functions/_shared/llm/providers/request.ts";
import { closedPort, startServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

let server: TestServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

async function serve(listener: RequestListener): Promise<string> {
  server = await startServer(listener);
  return `${server.url}/`;
}

const post = { method: "POST", body: "{}" };

describe("A request", () => {
  it("was not sent before it is made", () => {
    expect(new ProviderRequest(Promise.resolve()).isSent).toBe(false);
  });

  it("was not sent where nobody listens", async () => {
    const url = `http://127.0.0.1:${await closedPort()}/`;
    const request = new ProviderRequest(Promise.resolve());
    await expect(request.fetch(url, post)).rejects.toThrow();
    expect(request.isSent).toBe(false);
  });

  it("was not sent when it was stopped before", async () => {
    const request = new ProviderRequest(Promise.resolve());
    await expect(
      request.fetch("http://127.0.0.1:1/", { ...post, signal: AbortSignal.abort() }),
    ).rejects.toThrow();
    expect(request.isSent).toBe(false);
  });

  it("was sent when the connection breaks before the answer", async () => {
    const url = await serve((_, response) => response.destroy());
    const request = new ProviderRequest(Promise.resolve());
    await expect(request.fetch(url, post)).rejects.toThrow();
    expect(request.isSent).toBe(true);
  });

  it("was sent when it was stopped under way, and the provider is hung up on", async () => {
    const seen: string[] = [];
    const url = await serve((_, response) => {
      seen.push("called");
      response.on("close", () => seen.push("hung up"));
    });
    const request = new ProviderRequest(Promise.resolve());
    const answer = request.fetch(url, post);
    answer.catch(() => {});
    await until("it is called", () => seen.length === 1);
    request.close();
    await expect(answer).rejects.toThrow();
    await until("it is hung up on", () => seen.length === 2);
    expect(request.isSent).toBe(true);
  });
});

it.each<[string, string, number]>([
  ["an error alone", '{"error":{"message":"no"}}', 502],
  ["an error that names a status", '{"error":{"message":"no","code":429}}', 429],
  ["an error that names a status as text", '{"error":{"message":"no","status":"503"}}', 503],
  ["an error that is a text", '{"error":"no"}', 502],
  ["an error beside usage", '{"error":{"message":"no"},"usage":{"prompt_tokens":1}}', 200],
  ["an error beside an answer", '{"error":{"message":"no"},"choices":[]}', 200],
  ["an error beside data", '{"error":"","data":[]}', 200],
  ["an error beside a text", '{"error":"","text":"Yes"}', 200],
  ["an error beside results", '{"error":"","results":[]}', 200],
  ["an answer that says there is none", '{"error":null,"choices":[]}', 200],
  ["an answer about errors", '{"choices":[{"message":{"content":"\\"error\\""}}]}', 200],
  ["no JSON", '{"error"', 200],
])("A status of 200 with %s is read by what it says", async (_, body, status) => {
  const url = await serve((_, response) => {
    response.writeHead(200, { "content-type": "application/json; charset=utf-8" }).end(body);
  });
  const request = new ProviderRequest(Promise.resolve());
  const response = await request.fetch(url, post);
  expect(response.status).toBe(status);
  expect(await response.text()).toBe(body);
  expect(request.status).toBe(200);
});

it("An answer that is no object says nothing", () => {
  for (const value of [null, undefined, 1, "error", []]) expect(saysOnlyError(value)).toBe(false);
});
