// Spans and metrics leave over OTLP; the collector is a server of this test.
import { afterAll, beforeAll, expect, it } from "vitest";
import { readBody, startServer, type TestServer } from "../support/server.ts";
import { startTestStack, type TestStack } from "../support/stack.ts";
import { until } from "../support/until.ts";

let collector: TestServer;
let stack: TestStack;
const received: Record<string, string> = {};

beforeAll(async () => {
  collector = await startServer(async (request, response) => {
    const path = request.url ?? "";
    const body = await readBody(request);
    received[path] = (received[path] ?? "") + body;
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
  stack = await startTestStack({
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url },
  });
});
afterAll(async () => {
  await stack.stop();
  await collector.stop();
});

it("A call is a span with its reservation and cost and has metrics of its tokens, and neither has its words", async () => {
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

it("A sandbox's stages are spans and durations, those that fail with their error, and neither has its code", async () => {
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
