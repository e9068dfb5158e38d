// Spans and metrics leave over OTLP; the collector is a server of this test.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startTestStack, type TestStack } from "../setup/stack.ts";
import { until } from "../setup/until.ts";

let collector: Server;
let stack: TestStack;
const received: Record<string, string> = {};

beforeAll(async () => {
  collector = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      const path = request.url ?? "";
      received[path] = (received[path] ?? "") + body;
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
  });
  await new Promise<void>((done) => collector.listen(0, "127.0.0.1", done));
  const { port } = collector.address() as AddressInfo;
  stack = await startTestStack({
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` },
  });
});
afterAll(async () => {
  await stack.stop();
  collector.closeAllConnections();
  await new Promise((done) => collector.close(done));
});

it("a call is a span with its reservation and cost, its tokens are metrics, its words are in neither", async () => {
  const user = await stack.signUp();
  await stack.createTenant({ members: [user] });
  const response = await stack.call("/chat", {
    user,
    json: { stream: false, messages: [{ role: "user", content: "a secret question" }] },
  });
  expect(response.status).toBe(200);

  await until("the span and the metrics have arrived", () => {
    return received["/v1/traces"] && received["/v1/metrics"];
  });
  const spans = received["/v1/traces"] as string;
  for (const attribute of [
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "spendgate.reservation.id",
    "spendgate.cost_usd",
  ]) {
    expect(spans).toContain(attribute);
  }
  expect(received["/v1/metrics"]).toContain("gen_ai.client.token.usage");
  expect(received["/v1/metrics"]).toContain("gen_ai.client.operation.duration");
  expect(JSON.stringify(received) + stack.logs.join()).not.toContain("secret question");
});

it("a sandbox's stages are spans and durations, those that fail with their error; its code is in neither", async () => {
  const user = await stack.signUp();
  await stack.createTenant({ members: [user] });
  const json = { conversationId: "talk" };
  stack.sandboxes.fault({ operation: "create", status: 429 });
  expect((await stack.call("/sandbox", { user, json })).status).toBe(502);
  const opened = await stack.call("/sandbox", { user, json });
  const { id } = (await opened.json()) as { id: string };
  const run = { code: "'a secret' + ' program'", language: "javascript" };
  await stack.call(`/sandbox/${id}/run`, { user, json: run });
  await stack.call(`/sandbox/${id}`, { user, method: "DELETE" });

  const spans: Record<string, string> = { quota_check: "quota.reserve", settle: "cost.settle" };
  const stages = ["quota_check", "create", "connect", "run", "terminate", "settle"];
  await until("all stages have arrived", () =>
    stages.every(
      (stage) =>
        received["/v1/traces"]?.includes(spans[stage] ?? `sandbox.${stage}`) &&
        received["/v1/metrics"]?.includes(`"${stage}"`),
    ),
  );
  expect(received["/v1/metrics"]).toContain("spendgate.sandbox.operation.duration");
  expect(received["/v1/metrics"]).toMatch(/"error\.type","value":{"stringValue":"upstream_error"}/);
  expect(JSON.stringify(received) + stack.logs.join()).not.toContain("secret");
});
