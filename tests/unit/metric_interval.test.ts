// Metrics leave as often as OTEL_METRIC_EXPORT_INTERVAL says, while nothing is answered and nothing is flushed.
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { readEnv } from "../../functions/_shared/runtime/env.ts";
import { record, startTelemetry } from "../../functions/_shared/runtime/telemetry/telemetry.ts";
import { readBody, startServer, type TestServer } from "../support/server.ts";

let collector: TestServer;
const received: { at: number; body: string }[] = [];

beforeAll(async () => {
  collector = await startServer(async (request, response) => {
    received.push({ at: performance.now(), body: await readBody(request) });
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await collector.stop();
});

it("every second, where the time-out is longer than that", async () => {
  // The SDK's exporter reads it itself.
  vi.stubEnv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url);
  const env = readEnv({
    SUPABASE_URL: "http://127.0.0.1:54321",
    SUPABASE_PUBLISHABLE_KEY: "sb_publishable_1",
    SUPABASE_SECRET_KEY: "sb_secret_1",
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_METRIC_EXPORT_INTERVAL: "1000",
    OTEL_METRIC_EXPORT_TIMEOUT: "30000",
  });
  expect(env.problems).toEqual([]);
  await startTelemetry(env);
  record("refusals", 1, { resourceType: "llm", reason: "limit_reached", scope: "tenant" });
  await vi.waitFor(() => expect(received.length).toBeGreaterThanOrEqual(3), 15_000);
  expect(received[0]?.body).toContain("spendgate.refusals");
  const [, second, third] = received;
  const seconds = ((third?.at ?? 0) - (second?.at ?? 0)) / 1000;
  expect(seconds).toBeGreaterThan(0.5);
  expect(seconds).toBeLessThan(10);
});
