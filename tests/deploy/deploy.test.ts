// What `npm run functions:build` and `supabase functions deploy --use-api` upload is all that a hosted project runs: it is
// taken from a stand-in of the Management API, and run on Deno 2.1 with the variables of a hosted project.
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Bundle, bundleFunctions } from "../../scripts/functions/bundle.ts";
import { findSupabase } from "../../scripts/stack/binaries.ts";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { type Collector, startCollector } from "../support/collector.ts";
import { type HostedFunction, hostedVariables, startHosted } from "../support/hosted_function.ts";
import { type ManagementApi, startManagementApi, unpack } from "../support/management_api.ts";
import { readBody, startServer, type TestServer } from "../support/server.ts";
import { startTestStack, type TestStack, type TestUser } from "../support/stack.ts";
import { until } from "../support/until.ts";

const NAMES = ["alerts", "anthropic", "chat", "maintenance", "openai", "sandbox"];
const MODELS = [
  "openai/gpt-4o-mini",
  "anthropic/claude-sonnet-4-5",
  "google/gemini-2.5-flash",
  "local/llama",
];
/** What the platform bundles; above that it refuses. */
const LIMIT_BYTES = 5_000_000;

let folder: string;
let api: ManagementApi;
let bundles: Bundle[];
let printed: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "spendgate-deploy-"));
  const project = join(folder, "project");
  await mkdir(join(project, "supabase"), { recursive: true });
  await cp(join(PROJECT, "supabase/config.toml"), join(project, "supabase/config.toml"));
  bundles = await bundleFunctions(join(project, "dist/functions"));
  api = await startManagementApi();
  const profile = join(folder, "profile.yaml");
  await api.writeProfile(profile);
  const remote = `--remote=${"a".repeat(20)}`;
  const { stdout, stderr } = await promisify(execFile)(
    await findSupabase(),
    ["functions", "deploy", "--use-api", "--yes", remote, "--profile", profile],
    {
      cwd: project,
      env: {
        PATH: process.env.PATH,
        HOME: folder,
        SUPABASE_ACCESS_TOKEN: `sbp_${"0".repeat(40)}`,
        NO_COLOR: "1",
      },
    },
  );
  printed = stdout + stderr;
  for (const [name, upload] of api.uploads) await unpack(upload, join(folder, "deployed", name));
}, 120_000);
afterAll(async () => {
  await api?.stop();
  await rm(folder, { recursive: true, force: true });
});

describe("supabase functions deploy", () => {
  it("uploads all five functions and makes them live, without a warning", () => {
    expect([...api.uploads.keys()].sort()).toEqual(NAMES);
    expect([...api.live].sort()).toEqual(NAMES);
    expect(printed).not.toMatch(/warn/i);
  });

  it.each(NAMES)(
    "uploads every file of %s, and each function verifies its callers itself",
    async (name) => {
      const { metadata, files } = api.uploads.get(name) ?? expect.unreachable();
      expect(metadata).toMatchObject({
        verify_jwt: false,
        entrypoint_path: `dist/functions/${name}/index.js`,
      });
      const built = await readdir(join(folder, "project/dist/functions", name));
      const uploaded = [...files.keys()].map((path) => path.replace(`dist/functions/${name}/`, ""));
      expect(uploaded.sort()).toEqual(built.sort());
    },
  );

  it.each(NAMES)(
    "%s reads no SDK at its start that it may not need: of providers, E2B, OpenTelemetry",
    (name) => {
      const { startPackages = [] } = bundles.find((bundle) => bundle.name === name) ?? {};
      expect(startPackages).toContain("zod");
      const early = /^(@ai-sdk\/(?!provider|gateway)|@?e2b|@opentelemetry\/(?!api$))/;
      expect(startPackages.filter((each) => early.test(each))).toEqual([]);
    },
  );

  it.each(NAMES)("%s is less than half of the 5 MB that the platform bundles", (name) => {
    const { bytes = Number.NaN } = bundles.find((bundle) => bundle.name === name) ?? {};
    expect(bytes).toBeLessThan(LIMIT_BYTES / 2);
    expect(bytes).toBeGreaterThan(100_000);
  });
});

describe("What was uploaded, on Deno 2.1 with hosted variables alone", () => {
  let stack: TestStack;
  let collector: Collector;
  let webhook: TestServer;
  let delivered: string[];
  let user: TestUser;
  let tenantId: string;
  let running: HostedFunction | undefined;

  beforeAll(async () => {
    delivered = [];
    webhook = await startServer(async (request, response) => {
      delivered.push(await readBody(request));
      response.writeHead(204).end();
    });
    collector = await startCollector();
    stack = await startTestStack();
    user = await stack.signUp();
    tenantId = (await stack.createTenant({ members: [user] })).id;
  });
  afterAll(async () => {
    await running?.stop();
    await stack?.stop();
    await collector?.stop();
    await webhook?.stop();
  });

  /** Starts what was uploaded of a function, lets `work` call it, and stops it. */
  async function withFunction(name: string, work: (call: Call) => Promise<void>) {
    const standIn = stack.services.providers?.url;
    const secrets = {
      OPENAI_API_KEY: "key",
      OPENAI_BASE_URL: `${standIn}/v1`,
      ANTHROPIC_API_KEY: "key",
      ANTHROPIC_BASE_URL: `${standIn}/v1`,
      GOOGLE_GENERATIVE_AI_API_KEY: "key",
      GOOGLE_GENERATIVE_AI_BASE_URL: `${standIn}/v1beta`,
      SPENDGATE_PROVIDERS: JSON.stringify({ local: { baseUrl: `${standIn}/v1` } }),
      E2B_API_KEY: `e2b_${"0".repeat(40)}`,
      E2B_API_URL: stack.sandboxes.url,
      E2B_SANDBOX_URL: stack.sandboxes.url,
      ALERT_WEBHOOK_URL: webhook.url,
      ...collector.env,
    };
    const home = join(folder, "deployed", name);
    running = await startHosted(`${home}/dist/functions/${name}/index.js`, home, {
      ...hostedVariables(stack.url, stack.keys),
      ...secrets,
    });
    const { url, stop } = running;
    const call: Call = async (path, json, key = `Bearer ${user.jwt}`) => {
      const method = json === undefined ? "DELETE" : "POST";
      const response = await fetch(`${url}${path}`, {
        method,
        headers: { authorization: key, "content-type": "application/json" },
        body: json === undefined ? undefined : JSON.stringify(json),
      });
      const text = await response.text();
      return { status: response.status, text, json: text.startsWith("{") ? JSON.parse(text) : {} };
    };
    try {
      await work(call);
      expect(running.logs.filter((line) => /Error|not supported|is not/.test(line))).toEqual([]);
    } finally {
      await stop();
      running = undefined;
    }
  }
  type Call = (
    path: string,
    json?: unknown,
    key?: string,
  ) => Promise<{ status: number; text: string; json: Record<string, unknown> }>;
  const byKey = () => `Bearer ${stack.keys.secret}`;

  const messages = [{ role: "user", content: "Hello" }];

  it("chat answers by each of four providers, in a stream too, and runs code", async () => {
    await stack.sql`
      insert into spend.prices (resource_type, provider, product, meter, usd)
      select 'llm', 'local', 'llama', meter, 0.000001 from unnest(array['input_tokens', 'output_tokens']) as meter`;
    await withFunction("chat", async (call) => {
      for (const model of MODELS) {
        const { status, text } = await call("/chat", { tenantId, model, messages, stream: false });
        expect([model, status, text]).toEqual([model, 200, expect.stringContaining("Hello")]);
      }
      expect((await call("/chat", { tenantId, messages })).text).toContain('"type":"text-delta"');
      stack.mock.prependFixture({
        match: { userMessage: "Run it", hasToolResult: false },
        response: {
          toolCalls: [{ name: "run_code", arguments: '{"code":"6 * 7","language":"javascript"}' }],
        },
      });
      const asked = {
        ...{ tenantId, conversationId: "code", tools: ["run_code"] },
        messages: [{ role: "user", content: "Run it" }],
      };
      expect((await call("/chat", asked)).text).toContain('"results":["42"]');
    });
    const [{ calls } = {}] = await stack.sql`
      select count(*)::int as calls from spend.cost_events where resource_type = 'llm'`;
    expect(calls).toBe(MODELS.length + 3);
    // Some servers see no body without it.
    const lengths = stack.journal().map(({ headers }) => Number(headers["content-length"]));
    expect(Math.min(...lengths)).toBeGreaterThan(50);
    // The part that sends telemetry is a file of its own.
    await until("spans arrive", async () =>
      collector.spans.some(({ name }) => name.startsWith("chat ")),
    );
  });

  it("openai answers a chat completion and an embedding", async () => {
    await withFunction("openai", async (call) => {
      const chat = { model: "openai/gpt-4o-mini", messages };
      expect((await call("/openai/chat/completions", chat)).json).toMatchObject({
        choices: [{ message: { content: expect.stringContaining("Hello") } }],
      });
      for (const model of ["openai/text-embedding-3-small", "google/gemini-embedding-001"]) {
        const { json } = await call("/openai/embeddings", { model, input: "Hello" });
        expect([model, json]).toMatchObject([model, { data: [{ object: "embedding" }] }]);
      }
    });
  });

  it("anthropic answers a message, and counts its tokens", async () => {
    await withFunction("anthropic", async (call) => {
      const body = { model: "claude-haiku-4-5", messages };
      expect(
        (await call("/anthropic/v1/messages", { ...body, max_tokens: 50 })).json,
      ).toMatchObject({
        content: [{ type: "text", text: expect.stringContaining("Hello") }],
      });
      const { json } = await call("/anthropic/v1/messages/count_tokens", body);
      expect(json.input_tokens).toBeGreaterThan(0);
    });
  });

  it("sandbox starts one, runs code that prints 42, and ends it", async () => {
    await withFunction("sandbox", async (call) => {
      const { status, json } = await call("/sandbox", { tenantId, conversationId: "one" });
      expect(status).toBe(201);
      const run = await call(`/sandbox/${json.id}/run`, {
        code: "console.log(42)",
        language: "javascript",
      });
      expect(run.json).toMatchObject({ stdout: "42\n" });
      expect((await call(`/sandbox/${json.id}`)).json).toMatchObject({ status: "terminated" });
    });
  });

  it("alerts delivers one about a quota of which 80 % are spent, to the secret key alone", async () => {
    await stack.sql`select spend.adjust(${tenantId}, 41, 'test', 'e2b')`;
    await withFunction("alerts", async (call) => {
      expect((await call("/alerts", {})).status).toBe(401);
      expect((await call("/alerts", {}, byKey())).json).toMatchObject({ delivered: 1, failed: 0 });
      expect(delivered).toHaveLength(1);
    });
  });

  it("maintenance does its jobs, and looks for strays at E2B", async () => {
    await withFunction("maintenance", async (call) => {
      const { status, json } = await call("/maintenance", {}, byKey());
      expect(status).toBe(200);
      expect(json).toMatchObject({ database: expect.anything(), sandboxes: expect.anything() });
    });
    expect(stack.sandboxes.journal.some(({ operation }) => operation === "list")).toBe(true);
  });
});
