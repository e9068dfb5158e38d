// How each endpoint is called for a tenant. A new endpoint needs its request here, and its line in expected.md.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";

export interface Call {
  method: string;
  path: string;
  headers?: Record<string, string>;
  json?: unknown;
  body?: FormData;
}

export interface EndpointRequest {
  /**
   * The call that makes `tenant` pay; without a tenant where the endpoint is not about one. `sandbox` is one that
   * the tenant's owner opened.
   */
  call(tenant: string, sandbox: string): Call;
  /** A call that is let in reserves. */
  reserves: boolean;
}

const post = (path: string, json: unknown, headers?: Record<string, string>): Call => ({
  method: "POST",
  path,
  json,
  headers,
});
const recording = readFileSync(new URL("../unit/audio/pcm.wav", import.meta.url));
const messages = [{ role: "user", content: "Hello" }];
const naming = (tenant: string) => ({ "x-spendgate-tenant": tenant });

/** By method, path and the place that names the tenant: the first two columns of expected.md's endpoints. */
export const REQUESTS: Record<string, EndpointRequest> = {
  "POST /chat body": {
    call: (tenantId) => post("/chat", { tenantId, messages, stream: false }),
    reserves: true,
  },
  "POST /chat header": {
    call: (tenant) => post("/chat", { messages, stream: false }, naming(tenant)),
    reserves: true,
  },
  "POST /chat(stream) body": {
    call: (tenantId) => post("/chat", { tenantId, messages }),
    reserves: true,
  },
  "POST /chat/compact body": {
    call: (tenantId) =>
      post("/chat/compact", {
        tenantId,
        keep: 1,
        messages: [...messages, ...messages, ...messages],
      }),
    reserves: true,
  },
  "POST /chat/compact header": {
    call: (tenant) =>
      post(
        "/chat/compact",
        { keep: 1, messages: [...messages, ...messages, ...messages] },
        naming(tenant),
      ),
    reserves: true,
  },
  "POST /openai/chat/completions header": {
    call: (tenant) =>
      post("/openai/chat/completions", { model: "openai/gpt-4o-mini", messages }, naming(tenant)),
    reserves: true,
  },
  "POST /openai/responses header": {
    call: (tenant) =>
      post("/openai/responses", { model: "openai/gpt-4o-mini", input: "Hello" }, naming(tenant)),
    reserves: true,
  },
  "POST /openai/embeddings header": {
    call: (tenant) =>
      post(
        "/openai/embeddings",
        { model: "openai/text-embedding-3-small", input: "Hello" },
        naming(tenant),
      ),
    reserves: true,
  },
  "POST /openai/audio/speech header": {
    call: (tenant) =>
      post(
        "/openai/audio/speech",
        { model: "openai/tts-1", voice: "alloy", input: "Hello" },
        naming(tenant),
      ),
    reserves: true,
  },
  "POST /openai/audio/transcriptions header": {
    call: (tenant) => {
      const body = new FormData();
      body.append("model", "openai/whisper-1");
      body.append("file", new File([recording], "speech.wav"));
      const headers = naming(tenant);
      return { method: "POST", path: "/openai/audio/transcriptions", headers, body };
    },
    reserves: true,
  },
  "POST /openai/images/generations header": {
    call: (tenant) =>
      post(
        "/openai/images/generations",
        { model: "openai/gpt-image-1-mini", prompt: "A cat", quality: "low" },
        naming(tenant),
      ),
    reserves: true,
  },
  "POST /openai/moderations header": {
    call: (tenant) => post("/openai/moderations", { input: "Hello" }, naming(tenant)),
    reserves: true,
  },
  "GET /openai/models -": {
    call: () => ({ method: "GET", path: "/openai/models" }),
    reserves: false,
  },
  "GET /openai/models header": {
    call: (tenant) => ({ method: "GET", path: "/openai/models", headers: naming(tenant) }),
    reserves: false,
  },
  "GET /openai/models/{id} path": {
    call: () => ({ method: "GET", path: "/openai/models/openai%2Fgpt-4o-mini" }),
    reserves: false,
  },
  "POST /anthropic/v1/messages header": {
    call: (tenant) =>
      post(
        "/anthropic/v1/messages",
        { model: "claude-haiku-4-5", max_tokens: 50, messages },
        naming(tenant),
      ),
    reserves: true,
  },
  "POST /anthropic/v1/messages/count_tokens header": {
    call: (tenant) =>
      post(
        "/anthropic/v1/messages/count_tokens",
        { model: "claude-haiku-4-5", messages },
        naming(tenant),
      ),
    reserves: false,
  },
  "GET /anthropic/v1/models -": {
    call: () => ({ method: "GET", path: "/anthropic/v1/models" }),
    reserves: false,
  },
  "GET /anthropic/v1/models/{id} path": {
    call: () => ({ method: "GET", path: "/anthropic/v1/models/claude-haiku-4-5" }),
    reserves: false,
  },
  "POST /sandbox body": {
    call: (tenantId) => post("/sandbox", { tenantId, conversationId: randomUUID() }),
    reserves: true,
  },
  "POST /sandbox header": {
    call: (tenant) => post("/sandbox", { conversationId: randomUUID() }, naming(tenant)),
    reserves: true,
  },
  "POST /sandbox/{id}/run path": {
    call: (_, sandbox) => post(`/sandbox/${sandbox}/run`, { code: "1 + 1" }),
    reserves: false,
  },
  "POST /sandbox/{id}/run header": {
    call: (tenant, sandbox) => post(`/sandbox/${sandbox}/run`, { code: "1 + 1" }, naming(tenant)),
    reserves: false,
  },
  "DELETE /sandbox/{id} path": {
    call: (_, sandbox) => ({ method: "DELETE", path: `/sandbox/${sandbox}` }),
    reserves: false,
  },
  "DELETE /sandbox/{id} header": {
    call: (tenant, sandbox) => ({
      method: "DELETE",
      path: `/sandbox/${sandbox}`,
      headers: naming(tenant),
    }),
    reserves: false,
  },
  "POST /maintenance -": { call: () => post("/maintenance", {}), reserves: false },
  "POST /alerts -": { call: () => post("/alerts", {}), reserves: false },
};
